"""What changed between two runs: verdicts, and the nodes they were reached on."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from conformance.claims import Claim, Verdict
from conformance.report.results import Judgement, Results
from conformance.targets import NodeFingerprint

__all__ = ["Change", "Comparison", "Difference", "Kind", "compare"]

_BAD = frozenset({Verdict.FAIL, Verdict.ERROR})
# What tells one node's behaviour from another's, and the fields that say so.
_FACTS = {
    "kubelet": "kubelet",
    "runtime": "runtime",
    "node image": "node_image",
    "OS": "os_image",
    "OS SKU": "os_sku",
    "kernel": "kernel",
    "architecture": "architecture",
}


class Kind(enum.StrEnum):
    """What a changed verdict means, the most urgent first."""

    REGRESSION = "regression"
    CHANGED = "changed"
    FIXED = "fixed"
    NEW = "newly judged"
    GONE = "no longer judged"

    def counted(self, number: int) -> str:
        """So many changes of this kind, in words."""
        return f"{number} {self}{'s' if self is Kind.REGRESSION and number != 1 else ''}"


@dataclass(frozen=True)
class Change:
    """A claim whose verdict changed on a pool; one side is None where only the other run judged it."""

    claim: Claim
    pool: str
    before: Judgement | None
    after: Judgement | None

    @property
    def kind(self) -> Kind:
        """What the change means. A claim that held and is now unsupported is lost all the same: a regression."""
        if self.before is None:
            return Kind.NEW
        if self.after is None or self.after.verdict is Verdict.SKIPPED:
            return Kind.GONE
        if self.before.verdict is Verdict.SKIPPED:
            return Kind.NEW
        if self.after.verdict is Verdict.PASS:
            return Kind.FIXED
        if self.before.verdict is Verdict.PASS or (
            self.after.verdict in _BAD and self.before.verdict is Verdict.UNSUPPORTED
        ):
            return Kind.REGRESSION
        return Kind.CHANGED


@dataclass(frozen=True)
class Difference:
    """Something that is not what it was: on a pool's nodes, or, with no `where`, of the run as a whole.

    A side names every value that the pool's nodes report, and is empty where they report none.
    """

    where: str
    what: str
    before: str
    after: str


@dataclass(frozen=True)
class Comparison:
    """Two runs side by side: verdicts that changed, what changed around them, pools that only one run judged.

    A pool's name is empty where the target was judged as a whole.
    """

    baseline: Results
    changes: tuple[Change, ...]
    differences: tuple[Difference, ...]
    pools_gone: tuple[str, ...]
    pools_new: tuple[str, ...]

    @property
    def regressions(self) -> list[Change]:
        """The changes that are for the worse."""
        return [change for change in self.changes if change.kind is Kind.REGRESSION]


def compare(baseline: Results, results: Results) -> Comparison:
    """Compare pools of one name with each other; where each run has but one pool, these two whatever their names."""
    pairs = {pool: pool for pool in baseline.pools if pool in results.pools}
    if not pairs and len(baseline.pools) == len(results.pools) == 1:
        pairs = {baseline.pools[0]: results.pools[0]}
    changes, differences = [], list(_of_the_run(baseline, results))
    for old, new in pairs.items():
        before = {one.claim.id: one for one in baseline.judged if one.pool == old}
        after = {one.claim.id: one for one in results.judged if one.pool == new}
        for id_ in before.keys() | after.keys():
            was, is_ = before.get(id_), after.get(id_)
            if was is None or is_ is None or was.verdict is not is_.verdict:
                changes.append(Change((is_ or was).claim, new, was, is_))  # type: ignore[union-attr]
        differences += _of_nodes(new, baseline.nodes_of(old), results.nodes_of(new))
    rank = list(Kind)
    return Comparison(
        baseline,
        tuple(sorted(changes, key=lambda change: (rank.index(change.kind), change.claim.id, change.pool))),
        tuple(differences),
        tuple(pool for pool in baseline.pools if pool not in pairs),
        tuple(pool for pool in results.pools if pool not in pairs.values()),
    )


def _of_the_run(before: Results, after: Results) -> Iterable[Difference]:
    sides = {
        "suite": (before.provenance.suite, after.provenance.suite),
        "target": (before.target.target, after.target.target),
        "Kubernetes": (before.target.kubernetes, after.target.kubernetes),
        "emulator": (before.target.emulator, after.target.emulator),
    }
    return [Difference("", what, was, is_) for what, (was, is_) in sides.items() if was != is_]


def _of_nodes(pool: str, before: list[NodeFingerprint], after: list[NodeFingerprint]) -> Iterable[Difference]:
    for what, name in _FACTS.items():
        was, is_ = (", ".join(sorted({getattr(node, name) for node in side} - {""})) for side in (before, after))
        if was != is_:
            yield Difference(pool, what, was, is_)
