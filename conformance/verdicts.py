"""The claims against a recording: what the suite says of an emulator that plays the recorded runtime."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from conformance.recordings import Judged, Recording, claims_in
from conformance.targets import TargetUnavailableError
from fixtures import image_cases, pod_cases

__all__ = ["differences", "judged_on_emulator", "of_no_case"]

_ROOT = Path(__file__).parents[1]
_SPEED = 20.0
# Claims that waited in vain on the real cluster wait here as well: side by side, and for so many seconds.
_IN_VAIN = ("-n6", {"IMGVOL_PATIENCE": "10"})
_OTHERS: tuple[str, dict[str, str]] = ("-n0", {"IMGVOL_PATIENCE": "60"})
# What a node warned of while a claim waited depends on how long that was, and numbers of requests on the machine.
_WARNINGS = re.compile(r"; event .*", re.DOTALL)
_REQUESTS = re.compile(r"\b\d+ requests\b")


@cache
def of_no_case() -> frozenset[str]:
    """The ids of the claims that no case states. They are collected in a process of their own, as pytest wants it."""
    collect = [sys.executable, "-m", "conformance.catalogue", "--json"]
    every = json.loads(subprocess.run(collect, cwd=_ROOT, capture_output=True, text=True, check=True).stdout)
    return frozenset({one["id"] for one in every} - {case.claim for case in (*image_cases(), *pod_cases())})


def judged_on_emulator(recording: Recording) -> dict[str, Judged]:
    """Judge the recorded claims on a fresh emulator of the recorded runtime, in a process of its own.

    Raises TargetUnavailableError if nothing was judged.
    """
    in_vain = {claim for claim, judged in recording.claims.items() if "in vain" in judged.evidence}
    judged: dict[str, Judged] = {}
    for claims, (workers, environment) in ((in_vain, _IN_VAIN), (set(recording.claims) - in_vain, _OTHERS)):
        if claims:
            judged |= _judged(recording, sorted(claims), workers, environment)
    return judged


def _judged(recording: Recording, claims: list[str], workers: str, environment: dict[str, str]) -> dict[str, Judged]:
    with tempfile.TemporaryDirectory(prefix="imgvol-verdicts-") as directory:
        command = [sys.executable, "-m", "pytest", "conformance", workers, "-q", "-p", "no:cacheprovider"]
        options = [f"--runtime={recording.runtime}", f"--speed={_SPEED}", f"--report={directory}/report"]
        run = subprocess.run(
            [*command, *options, f"--verdicts={directory}", *(f"--claim={claim}" for claim in claims)],
            cwd=_ROOT,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        judged = claims_in(Path(directory))
    if not judged:
        raise TargetUnavailableError(f"the suite judged nothing of {recording.runtime}: {_last_words(run)}")
    return judged


def differences(recorded: Mapping[str, Judged], judged: Mapping[str, Judged]) -> dict[str, tuple[str, ...]]:
    """Where verdicts or evidence differ, by claim, both sides named; claims that are alike have an empty tuple.

    A claim that is unsupported where it is judged is left out: this machine cannot tell.
    """
    found = {}
    for claim, expected in recorded.items():
        seen = judged.get(claim, Judged("not judged", ""))
        if seen.verdict == "unsupported":
            continue
        told = []
        if seen.verdict != expected.verdict:
            told.append(
                f"verdict: recorded {expected.verdict} ({expected.evidence}), saw {seen.verdict} ({seen.evidence})"
            )
        elif _gist(seen.evidence) != _gist(expected.evidence):
            told.append(f"evidence: recorded {_gist(expected.evidence)!r}, saw {_gist(seen.evidence)!r}")
        found[claim] = tuple(told)
    return found


def _gist(evidence: str) -> str:
    return _REQUESTS.sub("<n> requests", _WARNINGS.sub("", evidence))


def _last_words(run: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in (run.stdout + run.stderr).splitlines() if line.strip()]
    return lines[-1] if lines else f"it ended with status {run.returncode}"
