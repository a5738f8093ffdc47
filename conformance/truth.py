"""How truthful the emulator is: every recording replayed on it, as the runtime that was recorded.

    python -m conformance.truth [--claims] [--json] [FINGERPRINT…]

Prints per recorded cluster how many cases match, differ, are known to differ, and were not recorded; with --claims the
same of the claims that no case states, for which the suite runs once a cluster. Exit status 1 if one differs without a
known reason, or if a known difference is gone.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml

from conformance.fidelity import replay
from conformance.recordings import Judged, Recording, recordings
from conformance.targets import Options, Target, TargetUnavailableError, start
from conformance.verdicts import differences, judged_on_emulator, of_no_case
from fixtures import image_cases, pod_cases

__all__ = ["Findings", "check", "check_claims"]

_KNOWN = Path(__file__).parents[1] / "fixtures" / "observations" / "known-differences.yaml"
_SPEED = 20.0
_AT_ONCE = 3
# Seconds until a case that is not yet as recorded is said to differ; only one that does differ takes them.
_PATIENCE = 40.0


@dataclass(frozen=True)
class Findings:
    """What a replay of one recording brought.

    what: `cases` or `claims`. differing: case → both sides, of those that have no reason; known: case → the reason, of
    those that still differ; vanished: cases that have a reason and match; not_recorded: cases that there are, but not
    in the recording.
    """

    fingerprint: str
    what: str
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
        patient = dataclasses.replace(description, patience=max(description.patience, _PATIENCE))
        compared = {one.case: one.differences for one in replay(Target(patient), recording)}
    every = {case.name for case in (*image_cases(), *pod_cases())}
    return _findings(recording, "cases", compared, every, reasons)


def check_claims(
    recording: Recording, judged: Mapping[str, Judged], reasons: Mapping[str, str] | None = None
) -> Findings:
    """Compare the claims that no case states with what the suite says of an emulator; see `verdicts`."""
    if reasons is None:
        reasons = _known(recording.fingerprint)
    compared = differences(recording.claims, judged)
    return _findings(recording, "claims", compared, set(of_no_case()), reasons)


def _findings(
    recording: Recording,
    what: str,
    compared: Mapping[str, tuple[str, ...]],
    every: set[str],
    reasons: Mapping[str, str],
) -> Findings:
    recorded = set(recording.cases) | set(recording.claims)
    # A claim's id has a slash, a case's name has none.
    reasons = {one: reason for one, reason in reasons.items() if ("/" in one) is (what == "claims")}
    return Findings(
        fingerprint=recording.fingerprint,
        what=what,
        matched=tuple(sorted(one for one, found in compared.items() if not found)),
        differing={one: found for one, found in compared.items() if found and one not in reasons},
        known={one: reason for one, reason in reasons.items() if compared.get(one)},
        vanished=tuple(sorted(one for one in reasons if not compared.get(one))),
        not_recorded=tuple(sorted(every - recorded)),
    )


def _known(fingerprint: str) -> Mapping[str, str]:
    known: Mapping[str, Mapping[str, str]] = yaml.safe_load(_KNOWN.read_text()) or {}
    return known.get(fingerprint, {})


def _tell(found: Findings) -> None:
    print(
        f"{found.fingerprint:<36} {found.what:<6} {len(found.matched):3} matched  {len(found.differing):3} differing  "
        f"{len(found.known):3} known to differ  {len(found.not_recorded):3} not recorded"
    )
    for case, sides in sorted(found.differing.items()):
        for difference in sides:
            print(f"  {case}: {difference}")
    for case in found.vanished:
        print(f"  {case}: matches now: take its reason out of {_KNOWN.name}")


def _everything(recording: Recording, *, claims: bool) -> list[Findings]:
    found = [check(recording)]
    if claims:
        found.append(check_claims(recording, judged_on_emulator(recording)))
    return found


def _main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m conformance.truth", description="how truthful the emulator is")
    parser.add_argument("--json", action="store_true", help="one JSON array instead of lines")
    parser.add_argument(
        "--claims", action="store_true", help="also compare the claims that no case states: takes longer"
    )
    parser.add_argument("fingerprint", nargs="*", help="only these recordings, e.g. kubernetes-1.36.3_containerd-2.3.7")
    asked = parser.parse_args(arguments)
    by_name = {recording.fingerprint: recording for recording in recordings()}
    if unknown := sorted(set(asked.fingerprint) - set(by_name)):
        parser.error(f"no recording of {', '.join(unknown)}; there are {', '.join(by_name)}")
    chosen = [by_name[name] for name in asked.fingerprint or by_name]
    found = []
    try:
        # Several at once: an emulator waits for its clock more than it works.
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for of_one in pool.map(partial(_everything, claims=asked.claims), chosen):
                found += of_one
                if not asked.json:
                    for findings in of_one:
                        _tell(findings)
    except TargetUnavailableError as error:
        print(error, file=sys.stderr)
        return 1
    if asked.json:
        print(json.dumps([dataclasses.asdict(one) for one in found], indent=2))
    return 0 if all(one.sound for one in found) else 1


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
