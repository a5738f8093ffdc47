"""The list of all claims, docs/claims.md, made from the claims themselves.

python -m conformance.catalogue          write it
python -m conformance.catalogue --check  exit 1 if it is not current
python -m conformance.catalogue --json   print the claims, for programs: id, says, source, needs
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import sys
from pathlib import Path

import pytest

from conformance.claims import MOUNTS, Claim, claim_of

__all__ = ["claims", "markdown"]

_HERE = Path(__file__).parent
_PAGE = _HERE.parent / "docs" / "claims.md"
_INTRODUCTION = """# Claims

Every claim of the suite: one sentence that is true of a conforming target, and who promises it. Made from the tests
by `python -m conformance.catalogue`; do not edit.
"""


class _Collector:
    def __init__(self) -> None:
        self.claims: list[Claim] = []

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        self.claims = [claim for claim in map(claim_of, items) if claim]


def claims() -> list[Claim]:
    """Every claim, by id; ValueError if two tests judge one, or a test of the suite judges none."""
    collector = _Collector()
    with contextlib.redirect_stdout(io.StringIO()):
        code = pytest.main([str(_HERE), "--collect-only", "-q", "-n0", "-p", "no:cacheprovider"], [collector])
    if code != pytest.ExitCode.OK:
        raise ValueError(f"the claims could not be collected: pytest ended with {code}")
    found = sorted(collector.claims, key=lambda claim: claim.id)
    ids = [claim.id for claim in found]
    if twice := sorted({id_ for id_ in ids if ids.count(id_) > 1}):
        raise ValueError(f"judged by more than one test: {', '.join(twice)}")
    return found


def markdown(found: list[Claim]) -> str:
    """The page: a table a topic."""
    lines = [_INTRODUCTION, f"{len(found)} claims.\n"]
    topic = ""
    for claim in found:
        if claim.topic != topic:
            topic = claim.topic
            lines.append(f"\n## {topic}\n\n| claim | what holds | source |\n| --- | --- | --- |")
        special = [need for need in claim.needs if need not in MOUNTS]
        needs = f" Needs {', '.join(special)}." if special else ""
        lines.append(f"| `{claim.id}` | {claim.says}{needs} | {claim.source} |")
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


def _main(arguments: list[str]) -> int:
    if arguments == ["--json"]:
        print(json.dumps([dataclasses.asdict(claim) for claim in claims()], indent=1))
        return 0
    page = markdown(claims())
    if arguments == ["--check"]:
        if _PAGE.is_file() and _PAGE.read_text() == page:
            return 0
        print(f"{_PAGE.name} is not current: run `python -m conformance.catalogue`", file=sys.stderr)
        return 1
    if arguments:
        print("usage: python -m conformance.catalogue [--check | --json]", file=sys.stderr)
        return 2
    _PAGE.write_text(page)
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
