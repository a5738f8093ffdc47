"""The summary at the end of a run: what changed, then a line a topic, then what did not pass, then the count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from conformance.claims import Verdict
from conformance.report.comparison import Comparison, Kind
from conformance.report.results import Judgement, Results

__all__ = ["Line", "counted", "first_line", "grouped", "lines"]

_MARKS = {
    Verdict.PASS: ("pass", "green"),
    Verdict.FAIL: ("FAIL", "red"),
    Verdict.ERROR: ("ERROR", "red"),
    Verdict.UNSUPPORTED: ("unsupported", "yellow"),
    Verdict.SKIPPED: ("skipped", "yellow"),
}
_WORST_FIRST = (Verdict.ERROR, Verdict.FAIL, Verdict.UNSUPPORTED, Verdict.SKIPPED, Verdict.PASS)
_KIND_COLOURS = {Kind.REGRESSION: "red", Kind.FIXED: "green"}
# Nodes that do not say, e.g. a node image outside AKS.
_UNSAID = "unsaid"

Line = tuple[str, str]


def lines(results: Results, comparison: Comparison | None = None) -> list[Line]:
    """Lines with the name of their colour each, empty for none."""
    found = _changes(comparison) if comparison else []
    by_topic: dict[str, list[Judgement]] = {}
    for one in results.judged:
        by_topic.setdefault(one.claim.topic, []).append(one)
    pools = results.pools
    rows = [
        [topic, *(counted(one.verdict for one in ones if one.pool == pool) or "none" for pool in pools)]
        for topic, ones in by_topic.items()
    ]
    head = [["", *map(results.heading_of, pools)]] if any(pools) else []
    laid = _table([*head, *rows])
    found += [(line, "bold") for line in laid[: len(head)]]
    indent = 4 + max((len(topic) for topic in by_topic), default=0)
    for line, ones in zip(laid[len(head) :], by_topic.values(), strict=True):
        found.append((line, _colour(one.verdict for one in ones)))
        for alike in grouped(ones):
            one = alike[0]
            if one.verdict is not Verdict.PASS:
                mark, colour = _MARKS[one.verdict]
                where = f" [{', '.join(results.heading_of(other.pool) for other in alike)}]" if any(pools) else ""
                told = f"{mark}: {one.claim.id}{where}: {first_line(one.evidence)}"
                found.append((f"  {'':<{indent}}{told}", colour))
    verdicts = [one.verdict for one in results.judged]
    what = "claims" if len(pools) < 2 else f"verdicts on {len({one.claim.id for one in results.judged})} claims"
    judged = "judged" if len(pools) < 2 else f"in {len(pools)} pools"
    found.append(
        (f"{len(verdicts)} {what} {judged}: {counted(verdicts) or 'none'}", "red" if results.failed else "green")
    )
    return found


def _table(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  " + "  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def first_line(text: str) -> str:
    """The first line of a text that says something."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def _changes(comparison: Comparison) -> list[Line]:
    since = f"since the run of {comparison.baseline.provenance.started}"
    if not comparison.changes:
        found = [(f"no verdict changed {since}", "green")]
    else:
        counts = Counter(change.kind for change in comparison.changes)
        told = ", ".join(kind.counted(counts[kind]) for kind in Kind if counts[kind])
        found = [(f"changed {since}: {told}", "red" if comparison.regressions else "yellow")]
    if comparison.differences:
        rows = [
            [one.where, one.what, f"{one.before or _UNSAID} → {one.after or _UNSAID}"] for one in comparison.differences
        ]
        found += [(line, "") for line in _table(rows)]
    found += [(f"  {_pool(pool)}: only the earlier run judged it", "yellow") for pool in comparison.pools_gone]
    found += [(f"  {_pool(pool)}: the earlier run did not judge it", "yellow") for pool in comparison.pools_new]
    for change in comparison.changes:
        where = f" [{change.pool}]" if change.pool else ""
        colour = _KIND_COLOURS.get(change.kind, "yellow")
        found.append((f"  {change.kind}: {change.claim.id}{where}", colour))
        found += [
            (f"    {when}: {_MARKS[one.verdict][0]}: {first_line(one.evidence)}", "")
            for when, one in (("was", change.before), ("is ", change.after))
            if one
        ]
    return [*found, ("", "")]


def _pool(name: str) -> str:
    return f"pool {name}" if name else "the target as a whole"


def grouped(ones: Iterable[Judgement]) -> list[list[Judgement]]:
    """Judgements of one claim that say the same of several pools, together."""
    found: dict[tuple[str, Verdict, str], list[Judgement]] = {}
    for one in ones:
        found.setdefault((one.claim.id, one.verdict, one.evidence.strip()), []).append(one)
    return list(found.values())


def counted(verdicts: Iterable[Verdict]) -> str:
    """How many of each verdict, in words; empty if there are none."""
    counts = Counter(verdicts)
    return ", ".join(f"{counts[verdict]} {_MARKS[verdict][0]}" for verdict in Verdict if counts[verdict])


def _colour(verdicts: Iterable[Verdict]) -> str:
    seen = set(verdicts)
    return _MARKS[next(verdict for verdict in _WORST_FIRST if verdict in seen)][1]
