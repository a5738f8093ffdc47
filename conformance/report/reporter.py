"""The reports of one run of the suite: made when it begins, written when it ends."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from conformance.files import write_text
from conformance.report.comparison import Comparison, compare
from conformance.report.markdown import markdown
from conformance.report.page import page
from conformance.report.results import Judgement, Provenance, Results, read, write
from conformance.report.secrets import scrub
from conformance.report.summary import Line, lines
from conformance.targets import Fingerprint

__all__ = ["Reporter", "write_all"]

# GitHub appends what a step writes into the file of this name to the page of the workflow's run.
_STEP_SUMMARY = "GITHUB_STEP_SUMMARY"


class Reporter:
    """Writes the reports of a run into a folder, compared with the results in the file `baseline`, if given.

    Raises UnreadableError when the baseline cannot be read, so that nobody waits for a run to learn it.
    """

    def __init__(
        self, folder: Path, *, baseline: Path | None = None, options: Mapping[str, object] | None = None
    ) -> None:
        self.folder = folder
        self.results: Results | None = None
        self.comparison: Comparison | None = None
        self._baseline = read(baseline) if baseline else None
        self._options = {name: told for name, value in (options or {}).items() if (told := _told(value))}
        self._started = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._clock = time.monotonic()

    def finish(
        self,
        target: Fingerprint,
        judged: Iterable[Judgement],
        *,
        secrets: Iterable[str] = (),
        junit: Path | None = None,
    ) -> bool:
        """Write results.json, report.html and summary.md, and the step summary on GitHub; clean `junit` of secrets.

        The result says whether a claim held in the baseline and does no longer.
        """
        known = list(secrets)
        if junit and junit.is_file():
            write_text(junit, scrub(junit.read_text(encoding="utf-8"), known))
        options = {name: scrub(value, known) for name, value in self._options.items()}
        provenance = Provenance(self._started, round(time.monotonic() - self._clock, 3), version("imgvol"), options)
        told = tuple(dataclasses.replace(one, evidence=scrub(one.evidence, known)) for one in judged)
        self.results = Results(provenance, target, told)
        self.comparison = compare(self._baseline, self.results) if self._baseline else None
        write_all(self.folder, self.results, self.comparison)
        return bool(self.comparison and self.comparison.regressions)

    @property
    def lines(self) -> list[Line]:
        """The summary for a terminal, once finished."""
        return lines(self.results, self.comparison) if self.results else []


def write_all(folder: Path, results: Results, comparison: Comparison | None) -> None:
    """Write every report into a folder."""
    write(folder / "results.json", results)
    write_text(folder / "report.html", page(results, comparison))
    told = markdown(results, comparison)
    write_text(folder / "summary.md", told)
    if step := os.environ.get(_STEP_SUMMARY):
        with Path(step).open("a", encoding="utf-8") as file:
            file.write(told)


def _told(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
