"""How truthful the emulator is: every recording replayed on it, as the runtime that was recorded.

    python -m conformance.truth [--json] [FINGERPRINT…]

Prints per recorded cluster how many cases match, differ, are known to differ, and were not recorded. Exit status 1 if
one differs without a known reason, or if a known difference is gone.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from conformance.fidelity import replay
from conformance.recordings import Recording, recordings
from conformance.targets import Options, Target, TargetUnavailableError, start
from fixtures import image_cases, pod_cases

__all__ = ["Findings", "check"]

_KNOWN = Path(__file__).parents[1] / "fixtures" / "observations" / "known-differences.yaml"
_SPEED = 20.0


@dataclass(frozen=True)
class Findings:
    """What a replay of one recording brought.

    differing: case → both sides, of those that have no reason; known: case → the reason, of those that still differ;
    vanished: cases that have a reason and match; not_recorded: cases that there are, but not in the recording.
    """

    fingerprint: str
    matched: tuple[str, ...]
    differing: Mapping[str, tuple[str, ...]]
    known: Mapping[str, str]
    vanished: tuple[str, ...]
    not_recorded: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Whether the emulator is as truthful as we say it is."""
        return not self.differing and not self.vanished


def check(recording: Recording, reasons: Mapping[str, str] | None = None) -> Findings:
    """Replay a recording on a fresh emulator. `reasons` are known differences by case; by default the project's own.

    Raises TargetUnavailableError.
    """
    if reasons is None:
        reasons = _known(recording.fingerprint)
    with start(Options(runtime=recording.runtime, speed=_SPEED)) as description:
        quick = dataclasses.replace(description, patience=min(description.patience, 8.0))
        compared = {one.case: one.differences for one in replay(Target(quick), recording)}
    every = {case.name for case in (*image_cases(), *pod_cases())}
    return Findings(
        fingerprint=recording.fingerprint,
        matched=tuple(sorted(case for case, found in compared.items() if not found)),
        differing={case: found for case, found in compared.items() if found and case not in reasons},
        known={case: reason for case, reason in reasons.items() if compared.get(case)},
        vanished=tuple(sorted(case for case in reasons if not compared.get(case))),
        not_recorded=tuple(sorted(every - set(compared))),
    )


def _known(fingerprint: str) -> Mapping[str, str]:
    known: Mapping[str, Mapping[str, str]] = yaml.safe_load(_KNOWN.read_text()) or {}
    return known.get(fingerprint, {})


def _tell(found: Findings) -> None:
    print(
        f"{found.fingerprint:<36} {len(found.matched):3} matched  {len(found.differing):3} differing  "
        f"{len(found.known):3} known to differ  {len(found.not_recorded):3} not recorded"
    )
    for case, differences in sorted(found.differing.items()):
        for difference in differences:
            print(f"  {case}: {difference}")
    for case in found.vanished:
        print(f"  {case}: matches now: take its reason out of {_KNOWN.name}")


def _main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m conformance.truth", description="how truthful the emulator is")
    parser.add_argument("--json", action="store_true", help="one JSON array instead of lines")
    parser.add_argument("fingerprint", nargs="*", help="only these recordings, e.g. kubernetes-1.36.3_containerd-2.3.7")
    asked = parser.parse_args(arguments)
    by_name = {recording.fingerprint: recording for recording in recordings()}
    if unknown := sorted(set(asked.fingerprint) - set(by_name)):
        parser.error(f"no recording of {', '.join(unknown)}; there are {', '.join(by_name)}")
    found = []
    try:
        for name in asked.fingerprint or by_name:
            found.append(check(by_name[name]))
            if not asked.json:
                _tell(found[-1])
    except TargetUnavailableError as error:
        print(error, file=sys.stderr)
        return 1
    if asked.json:
        print(json.dumps([dataclasses.asdict(one) for one in found], indent=2))
    return 0 if all(one.sound for one in found) else 1


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
