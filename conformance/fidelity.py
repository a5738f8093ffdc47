"""A target against the recording of a real cluster, case by case: how truthful the emulator is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from conformance.cluster import NotSeenError
from conformance.lab import Lab
from conformance.observation import Observation, normalised
from conformance.record import LAB, lab_for, names_of, stages
from conformance.recordings import Recording
from conformance.targets import Target
from fixtures import Case

__all__ = ["Comparison", "differences", "replay"]

_NONCE = "~nonce"
# What a process sees of itself and its mount, and the capability that a target may declare missing.
_SELF = {"uid": "owners", "gid": "groups", "groups": "groups", "mount_options": "owners", "root_in_fs": "owners"}


@dataclass(frozen=True)
class Comparison:
    """One case: what the real cluster did, what the target did, and where they differ (empty if they do not)."""

    case: str
    expected: Observation
    seen: Observation
    differences: tuple[str, ...]


def replay(target: Target, recording: Recording, *, workers: int = 8) -> Iterator[Comparison]:
    """Run every recorded case on a target: images first, then pods, each in a namespace of its own.

    The target must be fresh, since what a node has pulled before changes what it says: the recordings began with
    the case `ok`, which pulled the probe too.
    """
    Lab.prepare(target, LAB)
    with ThreadPoolExecutor(workers) as pool:
        for stage in stages():
            recorded = [case for case in stage if case.name in recording.cases]
            yield from pool.map(lambda case: _replay(target, case, recording.cases[case.name]), recorded)


def differences(case: Case, expected: Observation, seen: Observation, lacks: Mapping[str, str]) -> tuple[str, ...]:
    """Where two normalised observations of a case differ; what the target declares that it cannot keep is left out."""
    wanted, got = _things(case, expected, lacks), _things(case, seen, lacks)
    return tuple(
        f"{key}: recorded {_shown(wanted.get(key))}, saw {_shown(got.get(key))}"
        for key in sorted(wanted.keys() | got.keys())
        if wanted.get(key) != got.get(key)
    )


def _replay(target: Target, case: Case, expected: Observation) -> Comparison:
    lab = lab_for(target, case)
    names = names_of(target)
    seen = Observation()

    def alike(raw: Observation) -> bool:
        nonlocal seen
        seen = normalised(raw, names)
        return not differences(case, expected, seen, target.lacks)

    try:
        with contextlib.suppress(NotSeenError):
            alike(lab.run_case(case, enough=alike))
    finally:
        lab.cluster.remove()
    return Comparison(case.name, expected, seen, differences(case, expected, seen, target.lacks))


def _things(case: Case, seen: Observation, lacks: Mapping[str, str]) -> dict[str, Any]:
    told = {key: getattr(seen, key) for key in ("phase", "waiting", "terminated", "events", "log", "rejected")}
    return told | _probe(case, seen.probe, lacks)


def _probe(case: Case, probe: Mapping[str, Any], lacks: Mapping[str, str]) -> dict[str, Any]:
    """What the probe saw, one key a thing, without what this run or this target cannot share with the recording."""
    if not set(case.needs).isdisjoint(lacks):
        return {}
    seen: dict[str, Any] = {key: value for key, value in probe.items() if key not in {"files", "writes"}}
    seen = {key: value for key, value in seen.items() if _SELF.get(key) not in lacks}
    seen |= {f"write {attempt}": error for attempt, error in probe.get("writes", {}).items()}
    for path, line in probe.get("files", {}).items():
        if path == _NONCE:
            continue
        words = line.split(" ")
        if path in case.varies:
            words = words[:2]
        if "owners" in lacks and not line.startswith("ERR"):
            words = [words[0][0], *words[2:]]
        seen[f"file {path}"] = " ".join(words)
    return seen


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + "; ".join(" ".join(event) for event in value) + "]"
    return repr(value)
