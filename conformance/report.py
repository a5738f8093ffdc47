"""The verdicts of a run: a summary by topic, and `results.json` for machines."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance.claims import Claim, Verdict
from conformance.files import write_json
from conformance.targets import Fingerprint

__all__ = ["Judgement", "summary", "write_results"]

_MARKS = {
    Verdict.PASS: ("pass", "green"),
    Verdict.FAIL: ("FAIL", "red"),
    Verdict.ERROR: ("ERROR", "red"),
    Verdict.UNSUPPORTED: ("unsupported", "yellow"),
    Verdict.SKIPPED: ("skipped", "yellow"),
}


@dataclass(frozen=True)
class Judgement:
    """One claim judged: seconds it took, and the evidence: what was seen, or why it could not be judged.

    pool: the node pool that it was judged on; empty when the target has no pools.
    """

    claim: Claim
    verdict: Verdict
    seconds: float
    evidence: str
    pool: str = ""


def write_results(path: Path, fingerprint: Fingerprint | None, judged: Iterable[Judgement]) -> None:
    """Write results.json, whole or not at all: `{"target": {…}, "claims": [{"id", "pool", "verdict", …}]}`, sorted."""
    claims = [
        {
            "id": one.claim.id,
            "pool": one.pool,
            "verdict": str(one.verdict),
            "seconds": round(one.seconds, 3),
            "source": one.claim.source,
            "says": one.claim.says,
            "evidence": one.evidence,
        }
        for one in sorted(judged, key=lambda one: (one.claim.id, one.pool))
    ]
    target: Any = dataclasses.asdict(fingerprint) if fingerprint else None
    write_json(path, {"target": target, "claims": claims})


def summary(judged: Iterable[Judgement]) -> list[tuple[str, str]]:
    """Lines of the summary with their colours: a line a topic, then what did not pass, then the count."""
    by_topic: dict[str, list[Judgement]] = {}
    for one in sorted(judged, key=lambda one: one.claim.id):
        by_topic.setdefault(one.claim.topic, []).append(one)
    width = max((len(topic) for topic in by_topic), default=0)
    lines = []
    for topic, ones in by_topic.items():
        counts = Counter(one.verdict for one in ones)
        worst = next(
            (v for v in (Verdict.ERROR, Verdict.FAIL, Verdict.UNSUPPORTED, Verdict.SKIPPED) if counts[v]),
            Verdict.PASS,
        )
        told = ", ".join(f"{counts[verdict]} {_MARKS[verdict][0]}" for verdict in Verdict if counts[verdict])
        lines.append((f"  {topic:<{width}}  {told}", _MARKS[worst][1]))
        for one in ones:
            if one.verdict is not Verdict.PASS:
                mark, colour = _MARKS[one.verdict]
                lines.append((f"  {'':<{width}}    {mark}: {one.claim.id}: {_first_line(one.evidence)}", colour))
    total = Counter(one.verdict for ones in by_topic.values() for one in ones)
    told = ", ".join(f"{total[verdict]} {_MARKS[verdict][0]}" for verdict in Verdict if total[verdict])
    bad = total[Verdict.FAIL] or total[Verdict.ERROR]
    lines.append((f"{sum(total.values())} claims judged: {told or 'none'}", "red" if bad or not total else "green"))
    return lines


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else ""
