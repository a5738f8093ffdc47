"""The report as one HTML page that needs nothing else: no network, and no JavaScript to be read."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from conformance.claims import Verdict
from conformance.report.comparison import Comparison
from conformance.report.results import Judgement, Results
from conformance.report.summary import grouped

__all__ = ["page"]

_TEMPLATE = Path(__file__).with_name("page.html")
# A sign beside each verdict's word, so that its colour is not all there is.
_SIGNS = {
    Verdict.PASS: "✓",
    Verdict.FAIL: "✗",
    Verdict.ERROR: "!",
    Verdict.UNSUPPORTED: "○",
    Verdict.SKIPPED: "·",
}


def page(results: Results, comparison: Comparison | None = None) -> str:
    """The page; the results themselves are in it as JSON, in the element with the id `results`."""
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals |= {"signs": _SIGNS, "words": {verdict: verdict.split("-")[0] for verdict in Verdict}}
    counts = Counter(one.verdict for one in results.judged)
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        results=results,
        comparison=comparison,
        pools=results.pools,
        counts={verdict: counts[verdict] for verdict in Verdict if counts[verdict]},
        topics=_topics(results),
        data=_embedded(results.to_json()),
    )


def _topics(results: Results) -> dict[str, list[dict[str, Any]]]:
    """By topic, the claims with their judgements by pool, and grouped by what they say."""
    by_claim: dict[str, list[Judgement]] = {}
    for one in results.judged:
        by_claim.setdefault(one.claim.id, []).append(one)
    topics: dict[str, list[dict[str, Any]]] = {}
    for ones in by_claim.values():
        claim = ones[0].claim
        topics.setdefault(claim.topic, []).append(
            {
                "claim": claim,
                "by_pool": {one.pool: one for one in ones},
                "groups": grouped(ones),
                "differs": len({one.verdict for one in ones}) > 1,
            }
        )
    return topics


def _embedded(value: object) -> str:
    """JSON that may stand in a script element: with `<`, `>` and `&` as escapes, nothing in it ends the element."""
    text = json.dumps(value, ensure_ascii=True)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
