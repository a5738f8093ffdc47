"""The same results told on a terminal and in Markdown."""

from __future__ import annotations

import re

import pytest

from conformance.report import compare, lines, markdown

HOSTILE = "a|b `c` <img src=x> </pre></details> **d** [e](https://example.org)\n\n# heading\n@somebody"


@pytest.fixture
def east_west(made):
    same = {"mount/b": "pass", "mount/c": "unsupported"}
    return made({"east": {**same, "subpath/d": "pass"}, "west": {**same, "subpath/d": "fail"}})


def test_without_pools_a_topic_is_a_line(made) -> None:
    told = [line for line, _ in lines(made({"": {"api/a": "pass", "mount/b": "fail", "mount/c": "pass"}}))]
    assert told == [
        "  api    1 pass",
        "  mount  1 pass, 1 FAIL",
        "           FAIL: mount/b: fail: saw something",
        "3 claims judged: 2 pass, 1 FAIL",
    ]


def test_pools_are_columns_and_what_they_share_is_told_once(east_west) -> None:
    told = [line for line, _ in lines(east_west)]
    assert told == [
        "           east                   west",
        "  mount    1 pass, 1 unsupported  1 pass, 1 unsupported",
        "             unsupported: mount/c [east, west]: unsupported: saw something",
        "  subpath  1 pass                 1 FAIL",
        "             FAIL: subpath/d [west]: fail: saw something",
        "6 verdicts on 3 claims in 2 pools: 3 pass, 1 FAIL, 2 unsupported",
    ]


def test_what_changed_is_told_first(made, east_west) -> None:
    both = {"mount/b": "pass", "mount/c": "unsupported", "subpath/d": "pass"}
    baseline = made(
        {"east": both, "west": both}, nodes={"west": {"runtime": "containerd://2.2.9"}}, evidence="all well"
    )
    told = [line for line, _ in lines(east_west, compare(baseline, east_west))]
    assert told[:6] == [
        "changed since the run of 2026-01-02T03:04:05Z: 1 regression",
        "  west  runtime  containerd://2.2.9 → containerd://2.3.7",
        "  regression: subpath/d [west]",
        "    was: pass: pass: all well",
        "    is : FAIL: fail: saw something",
        "",
    ]


def test_no_change_is_told_too(east_west) -> None:
    assert lines(east_west, compare(east_west, east_west))[0] == (
        "no verdict changed since the run of 2026-01-02T03:04:05Z",
        "green",
    )


def test_nothing_judged_is_red(made) -> None:
    assert lines(made({})) == [("0 claims judged: none", "red")]


def test_markdown_begins_with_what_changed_and_has_both_pieces_of_evidence(made, east_west) -> None:
    both = {"mount/b": "pass", "mount/c": "unsupported", "subpath/d": "pass"}
    baseline = made({"east": both, "west": both}, nodes={"west": {"kernel": "6.6.0"}}, evidence="all well")
    told = markdown(east_west, compare(baseline, east_west))
    headings = re.findall(r"^#+ (.*)", told, re.MULTILINE)
    assert headings[0].startswith("❌ Image volumes on aks: 3 pass, 1 FAIL")
    assert headings[1:] == ["Changed since the run of 2026-01-02T03&#58;04&#58;05Z", "Nodes", "Verdicts", "Not passed"]
    changed = told[told.index("### Changed") : told.index("### Nodes")]
    assert "was: pass: all well" in changed
    assert "is: fail: saw something" in changed
    assert "| <code>west</code> | <code>kernel</code> | <code>6.6.0</code> | <code>6.6.1</code> |" in changed
    assert "| mount | 1 ✅ pass, 1 ⚪ unsupported | 1 ✅ pass, 1 ⚪ unsupported |" in told


def test_nothing_in_evidence_is_markdown_or_html(made) -> None:
    results = made({HOSTILE: {"mount/a": "fail"}}, evidence=HOSTILE, nodes={HOSTILE: {"node_image": HOSTILE}})
    told = markdown(results, compare(made({HOSTILE: {"mount/a": "pass"}}, evidence=HOSTILE), results))
    assert "<img" not in told
    outside = re.sub(r"<pre>.*?</pre>", "", told, flags=re.DOTALL)
    for syntax in ("**d**", "`", "[e]", "@somebody", "\n# heading"):
        assert syntax not in outside
    assert {line.count("|") for line in outside.splitlines() if line.startswith("|")} == {5, 9, 3}
    for tag in ("details", "pre", "summary"):
        assert told.count(f"<{tag}>") == told.count(f"</{tag}>")


def test_markdown_fits_into_a_step_summary_however_much_there_is_to_tell(made) -> None:
    verdicts = {f"mount/claim-{n}": "fail" for n in range(130)}
    results = made({f"pool{n}": verdicts for n in range(10)}, evidence="<" * 50_000)
    baseline = made({f"pool{n}": dict.fromkeys(verdicts, "pass") for n in range(10)}, evidence="&" * 50_000)
    told = markdown(results, compare(baseline, results))
    assert len(told.encode()) < 2**20
    assert "more in report.html" in told


def test_what_is_judged_once_stands_beside_the_pools(made) -> None:
    results = made({"": {"api/a": "fail"}, "east": {"mount/b": "pass"}})
    told = [line for line, _ in lines(results)]
    assert told[0].split() == ["whole", "target", "east"]
    assert told[2] == "           FAIL: api/a [whole target]: fail: saw something"
    assert "| topic | whole target | east |" in markdown(results)
    whole = made({"": {"api/a": "pass"}})
    assert ("  the target as a whole: only the earlier run judged it", "yellow") in lines(
        made({"east": {"mount/b": "pass"}, "west": {"mount/b": "pass"}}),
        compare(whole, made({"east": {"mount/b": "pass"}, "west": {"mount/b": "pass"}})),
    )
