"""Whether an observation is what a case calls for."""

from __future__ import annotations

from collections.abc import Mapping

from conformance.observation import Observation, explained
from fixtures import Case

__all__ = ["violations"]


def violations(case: Case, seen: Observation, *, owners: bool = True) -> list[str]:
    """Every way in which an observation is not what the case calls for, each naming expected and seen.

    With `owners` false, owners and modes are not compared, only what a file is and holds: for a target that declares
    that it cannot keep them.
    """
    expect = case.expect
    found = []
    if seen.outcome != expect.outcome:
        found.append(f"expected the outcome {expect.outcome}, saw {seen.brief()}")
    if expect.message not in seen.message:
        found.append(f"expected a message with {expect.message!r}, saw {explained(seen.message)!r}")
    if expect.outcome != "mounted" or found:
        return found
    files = seen.probe.get("files", {})
    for path, line in expect.files.items():
        if not _alike(line, files.get(path, ""), owners):
            found.append(f"expected {path} to be {line!r}, saw {files.get(path, 'nothing there')!r}")
    found += [f"expected no {path}, saw {files[path]!r}" for path in expect.absent if path in files]
    writes = seen.probe.get("writes", {})
    for attempt, error in expect.writes.items():
        if not writes.get(attempt, "").endswith(error):
            found.append(f"expected {attempt} to end in {error!r}, saw {writes.get(attempt, 'no attempt')!r}")
    return found


def _alike(expected: str, seen: str, owners: bool) -> bool:
    if owners:
        return seen.startswith(expected)
    return _kind_and_content(seen).startswith(_kind_and_content(expected)) and bool(seen)


def _kind_and_content(line: str) -> str:
    """A listing's line without permissions and owner: `-rw-r--r-- 0:0 aefdbe17 text` becomes `- aefdbe17 text`."""
    parts: Mapping[int, str] = dict(enumerate(line.split(" ", 2)))
    kind = parts.get(0, "").rstrip("rwxst-") or "-"
    return f"{kind} {parts.get(2, '')}".rstrip()
