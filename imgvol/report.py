"""The command imgvol report: results of a run, told again, and compared with an earlier run."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

__all__ = ["add_parsers"]

_UNREADABLE = 2
_EXAMPLES = """examples:
  imgvol report build/report/results.json
  imgvol report new/results.json --baseline old/results.json --html report.html
  imgvol report new/results.json --baseline old/results.json --markdown - >> "$GITHUB_STEP_SUMMARY"

exit status: 0 if every claim holds that could be judged; 1 if a claim fails, could not be judged for an error, or held
in the baseline and does no longer; 2 if a file is not a results.json that this imgvol reads.
"""
_COLOURS = {"red": "31", "green": "32", "yellow": "33", "bold": "1"}


def add_parsers(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Add the parser; its `handler` takes the parsed arguments and returns the exit status."""
    parser = subparsers.add_parser(
        "report",
        help="tell what a run of the suite found, and what changed since an earlier one",
        description="Tell what a run of the suite found, and what changed since an earlier one.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("results", type=Path, metavar="RESULTS_JSON", help="what the run wrote")
    parser.add_argument("--baseline", type=Path, metavar="FILE", help="results.json of an earlier run to compare with")
    parser.add_argument("--html", metavar="FILE", help="write the HTML page there")
    parser.add_argument("--markdown", metavar="FILE", help="write the report in Markdown there; - for standard output")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the summary")
    parser.set_defaults(handler=_report)


def _report(asked: argparse.Namespace) -> int:
    # What it is to work with is imported when it does: --help need not wait for it.
    try:
        from conformance.files import write_text
        from conformance.report import UnreadableError, compare, lines, markdown, page, read
    except ModuleNotFoundError as missing:
        print(f"imgvol report: {missing.name} is missing: pip install 'imgvol[suite]'", file=sys.stderr)
        return 1
    if asked.json and asked.markdown == "-":
        print("imgvol report: --json and --markdown - both want standard output: name a file", file=sys.stderr)
        return _UNREADABLE
    try:
        results = read(asked.results)
        comparison = compare(read(asked.baseline), results) if asked.baseline else None
    except UnreadableError as error:
        print(f"imgvol report: {error}", file=sys.stderr)
        return _UNREADABLE
    try:
        if asked.html:
            write_text(Path(asked.html), page(results, comparison))
        if asked.markdown == "-":
            sys.stdout.write(markdown(results, comparison))
        elif asked.markdown:
            write_text(Path(asked.markdown), markdown(results, comparison))
    except OSError as error:
        print(f"imgvol report: cannot write {error.filename}: {(error.strerror or '').lower()}", file=sys.stderr)
        return 1
    regressions = comparison.regressions if comparison else []
    if asked.json:
        print(json.dumps(_told(results, comparison), indent=2))
    elif asked.markdown != "-":
        for line, colour in lines(results, comparison):
            print(f"\x1b[{_COLOURS[colour]}m{line}\x1b[0m" if colour and sys.stdout.isatty() else line)
    return 1 if results.failed or regressions else 0


def _told(results: Any, comparison: Any) -> dict[str, Any]:
    """For scripts: the counts, whether it failed, and the changes (null without a baseline)."""
    from collections import Counter

    return {
        "failed": results.failed or bool(comparison and comparison.regressions),
        "counts": Counter(str(one.verdict) for one in results.judged),
        "pools": results.pools,
        "changes": comparison
        and [
            {
                "kind": str(change.kind),
                "id": change.claim.id,
                "pool": change.pool,
                **{
                    when: side and {"verdict": str(side.verdict), "evidence": side.evidence}
                    for when, side in (("before", change.before), ("after", change.after))
                },
            }
            for change in comparison.changes
        ],
        "differences": comparison and [vars(one) for one in comparison.differences],
        "pools_gone": comparison and comparison.pools_gone,
        "pools_new": comparison and comparison.pools_new,
    }
