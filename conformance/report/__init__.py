"""What a run found, told to people and to machines: one set of results, several ways to read it.

`Results` are what `results.json` holds; `compare` says what changed since an earlier run; `lines`, `markdown` and
`page` tell both. docs/report.md describes the file and the page.
"""

from conformance.report.comparison import Change, Comparison, Difference, Kind, compare
from conformance.report.markdown import markdown
from conformance.report.page import page
from conformance.report.reporter import Reporter
from conformance.report.results import SCHEMA, Judgement, Provenance, Results, UnreadableError, read, write
from conformance.report.summary import lines

__all__ = [
    "SCHEMA",
    "Change",
    "Comparison",
    "Difference",
    "Judgement",
    "Kind",
    "Provenance",
    "Reporter",
    "Results",
    "UnreadableError",
    "compare",
    "lines",
    "markdown",
    "page",
    "read",
    "write",
]
