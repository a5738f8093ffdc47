"""What changed between two runs."""

from __future__ import annotations

import pytest

from conformance.report import Kind, compare

SKIPPED = "skipped-by-request"


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ("pass", "fail", Kind.REGRESSION),
        ("pass", "error", Kind.REGRESSION),
        ("pass", "unsupported", Kind.REGRESSION),
        ("unsupported", "fail", Kind.REGRESSION),
        ("fail", "pass", Kind.FIXED),
        ("unsupported", "pass", Kind.FIXED),
        ("error", "fail", Kind.CHANGED),
        ("fail", "unsupported", Kind.CHANGED),
        ("pass", SKIPPED, Kind.GONE),
        (SKIPPED, "fail", Kind.NEW),
        ("pass", None, Kind.GONE),
        (None, "fail", Kind.NEW),
    ],
)
def test_what_a_change_means(made, before: str | None, after: str | None, kind: Kind) -> None:
    old, new = ({"mount/z": "pass", **({"mount/a": verdict} if verdict else {})} for verdict in (before, after))
    found = compare(made({"": old}), made({"": new}))
    assert [(change.claim.id, change.kind) for change in found.changes] == [("mount/a", kind)]
    assert bool(found.regressions) is (kind is Kind.REGRESSION)


def test_the_same_verdicts_are_no_change(made) -> None:
    found = compare(
        made({"": {"mount/a": "fail"}}, evidence="one"), made({"": {"mount/a": "fail"}}, evidence="another")
    )
    assert not found.changes
    assert not found.differences


def test_regressions_come_first_then_by_claim_and_pool(made) -> None:
    before = {"mount/a": "fail", "mount/b": "pass", "mount/c": "pass"}
    after = {"mount/a": "pass", "mount/b": "fail", "mount/c": "fail"}
    found = compare(made({"x": before, "y": before}), made({"x": after, "y": after}))
    assert [(change.claim.id, change.pool) for change in found.changes] == [
        ("mount/b", "x"),
        ("mount/b", "y"),
        ("mount/c", "x"),
        ("mount/c", "y"),
        ("mount/a", "x"),
        ("mount/a", "y"),
    ]


def test_pools_are_compared_by_name_and_their_nodes_with_them(made) -> None:
    both = {"mount/a": "pass"}
    before = made({"x": both, "y": both}, nodes={"x": {"node_image": "AKS-1", "runtime": "containerd://2.1.9"}})
    after = made({"x": both, "y": both}, nodes={"x": {"node_image": "AKS-2"}})
    found = compare(before, after)
    assert [(one.where, one.what, one.before, one.after) for one in found.differences] == [
        ("x", "runtime", "containerd://2.1.9", "containerd://2.3.7"),
        ("x", "node image", "AKS-1", "AKS-2"),
    ]
    assert not found.changes


def test_the_only_pools_of_two_runs_are_compared_whatever_their_names(made) -> None:
    found = compare(made({"old": {"mount/a": "pass"}}), made({"new": {"mount/a": "fail"}}))
    assert [(change.pool, change.kind) for change in found.changes] == [("new", Kind.REGRESSION)]
    assert not found.pools_gone
    assert not found.pools_new


def test_pools_of_one_run_only_are_named_not_compared(made) -> None:
    judged = {"mount/a": "pass"}
    found = compare(made({"both": judged, "old": judged}), made({"both": judged, "new": {"mount/a": "fail"}}))
    assert not found.changes
    assert (found.pools_gone, found.pools_new) == (("old",), ("new",))
