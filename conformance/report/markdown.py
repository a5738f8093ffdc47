"""The report as GitHub's Markdown, for the page of a workflow's run."""

from __future__ import annotations

import html
import itertools
import re
from collections.abc import Iterable, Sequence

from conformance.claims import Verdict
from conformance.report.comparison import Change, Comparison, Kind
from conformance.report.results import Judgement, Results
from conformance.report.summary import counted, first_line, grouped

__all__ = ["markdown"]

_SIGNS = {
    Verdict.PASS: "✅ pass",
    Verdict.FAIL: "❌ **FAIL**",
    Verdict.ERROR: "💥 **ERROR**",
    Verdict.UNSUPPORTED: "⚪ unsupported",
    Verdict.SKIPPED: "⏭️ skipped",
}
# GitHub drops a step's summary beyond 1 MiB as a whole: evidence is cut, and the two long parts end at so many bytes.
_ROOM = 400_000
# An empty cell.
_NONE = "none"
_EVIDENCE = 2_000


def markdown(results: Results, comparison: Comparison | None = None) -> str:
    """What changed, the nodes, a table of topics by pool, and the evidence of what did not pass."""
    sign = "❌" if results.failed else "✅"
    total = counted(one.verdict for one in results.judged) or "no claim judged"
    parts = [f"## {sign} Image volumes on {_text(results.target.target)}: {total}\n"]
    if comparison:
        parts += _changes(comparison)
    parts += _nodes(results)
    parts += _topics(results)
    parts += _not_passed(results)
    parts.append(f"<sub>{_text(_provenance(results))}</sub>\n")
    return "\n".join(parts) + "\n"


def _changes(comparison: Comparison) -> Iterable[str]:
    since = f"the run of {_text(comparison.baseline.provenance.started)}"
    yield f"### Changed since {since}\n" if comparison.changes else f"### No verdict changed since {since}\n"
    if comparison.differences:
        rows = [(one.where or "all", one.what, one.before, one.after) for one in comparison.differences]
        yield _table(("pool", "what", "was", "is"), [[_code(cell) for cell in row] for row in rows])
    for pool in comparison.pools_gone:
        yield f"- {_pool(pool)}: only the earlier run judged it.\n"
    for pool in comparison.pools_new:
        yield f"- {_pool(pool)}: the earlier run did not judge it.\n"
    share = _ROOM // len(Kind)
    for kind in Kind:
        told = [change for change in comparison.changes if change.kind is kind]
        if told:
            yield f"**{kind.counted(len(told))}**\n"
            yield _within(share, list(map(_change, told)))


def _pool(name: str) -> str:
    return f"Pool {_code(name)}" if name else "The target as a whole"


def _change(change: Change) -> str:
    was, is_ = ((_SIGNS[side.verdict] if side else "not judged") for side in (change.before, change.after))
    where = f" on <code>{_text(change.pool)}</code>" if change.pool else ""
    head = f"<code>{_text(change.claim.id)}</code>{where}: {_html(was)} → {_html(is_)}"
    told = (f"{when}: {side.evidence}" for when, side in (("was", change.before), ("is", change.after)) if side)
    return _details(head, "\n\n".join(_cut(one) for one in told))


def _nodes(results: Results) -> Iterable[str]:
    if not results.target.nodes:
        return
    yield "### Nodes\n"
    rows = [
        [
            _code(cell)
            for cell in (n.pool, n.name, n.kubelet, n.runtime, n.node_image, n.os_image, n.kernel, n.architecture)
        ]
        for n in results.target.nodes
    ]
    yield _table(("pool", "node", "kubelet", "runtime", "node image", "OS", "kernel", "architecture"), rows)


def _topics(results: Results) -> Iterable[str]:
    pools = results.pools
    if not pools:
        return
    yield "### Verdicts\n"
    rows = []
    for topic in dict.fromkeys(one.claim.topic for one in results.judged):
        ones = [one for one in results.judged if one.claim.topic == topic]
        rows.append([_text(topic), *(_counts(one.verdict for one in ones if one.pool == pool) for pool in pools)])
    yield _table(("topic", *map(results.heading_of, pools)), rows)


def _counts(verdicts: Iterable[Verdict]) -> str:
    seen = list(verdicts)
    return ", ".join(f"{seen.count(verdict)} {_SIGNS[verdict]}" for verdict in Verdict if verdict in seen) or _NONE


def _not_passed(results: Results) -> Iterable[str]:
    groups = [group for group in grouped(results.judged) if group[0].verdict is not Verdict.PASS]
    if not groups:
        return
    yield "### Not passed\n"
    yield _within(_ROOM, list(map(_group, groups)))


def _group(ones: Sequence[Judgement]) -> str:
    one = ones[0]
    pools = ", ".join(filter(None, (other.pool for other in ones)))
    where = f" on <code>{_text(pools)}</code>" if pools else ""
    told = _text(first_line(one.evidence)[:200])
    head = f"{_html(_SIGNS[one.verdict])} <code>{_text(one.claim.id)}</code>{where}: {told}"
    return _details(head, f"{one.claim.says}\n({one.claim.source})\n\n{_cut(one.evidence)}")


def _provenance(results: Results) -> str:
    run = results.provenance
    options = "".join(f", {name}={value}" for name, value in run.options.items())
    return f"imgvol {run.suite}, {run.started}, {run.seconds:.0f} s{options}"


def _details(head: str, body: str) -> str:
    # The blank line makes <pre> a block of its own, so that nothing in it ends the block but its own end.
    return f"<details><summary>{head}</summary>\n\n<pre>{html.escape(body)}</pre>\n\n</details>\n"


def _within(room: int, parts: Sequence[str]) -> str:
    """As many of the parts as have room, and how many have not."""
    sizes = itertools.accumulate(len(part.encode()) for part in parts)
    fit = sum(size <= room for size in sizes)
    rest = f"\n… and {len(parts) - fit} more in report.html.\n" if fit < len(parts) else ""
    return "".join(parts[:fit]) + rest


def _cut(text: str) -> str:
    return text if len(text) <= _EVIDENCE else f"{text[:_EVIDENCE]} … (cut; results.json has it all)"


def _html(sign: str) -> str:
    return re.sub(r"\*\*(.*?)\*\*", r"<b>\1</b>", sign)


def _text(text: str) -> str:
    """A text in which Markdown and HTML see nothing but text."""
    plain = html.escape(" ".join(text.split()))
    return re.sub(r"([\\`*_{}\[\]()#!|~@:])", lambda found: f"&#{ord(found[1])};", plain)


def _code(text: str) -> str:
    return f"<code>{_text(text)}</code>" if text else _NONE


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [[_text(name) for name in head], ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
