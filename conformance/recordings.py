"""Recordings of real clusters (fixtures/observations), read back as observations."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from conformance.observation import Observation, normalised

__all__ = ["Judged", "Recording", "claims_in", "recordings"]

# The Kubernetes version that profiles named after a runtime alone are of.
_USUAL = "1.36"
_OBSERVATIONS = Path(__file__).parents[1] / "fixtures" / "observations"


@dataclass(frozen=True)
class Judged:
    """What became of a claim on a real cluster: its verdict, and the evidence normalised."""

    verdict: str
    evidence: str


@dataclass(frozen=True)
class Recording:
    """What one real cluster did with every case.

    fingerprint: `kubernetes-<version>_containerd-<version>`; cases: the normalised observations by case name;
    claims: what became of the claims, by their ids.
    """

    fingerprint: str
    cases: Mapping[str, Observation]
    claims: Mapping[str, Judged] = field(default_factory=dict)

    @property
    def containerd(self) -> str:
        """The version of containerd."""
        return self.fingerprint.rpartition("containerd-")[2]

    @property
    def runtime(self) -> str:
        """The runtime's minor version as profiles name it, e.g. `containerd-2.3`."""
        runtime = "containerd-" + self.containerd.rpartition(".")[0]
        version = self.fingerprint.removeprefix("kubernetes-").partition("_")[0]
        kubernetes = version.rpartition(".")[0]
        return runtime if kubernetes == _USUAL else f"kubernetes-{kubernetes}-{runtime}"


@cache
def recordings() -> tuple[Recording, ...]:
    """Every recording there is, by fingerprint."""
    found: dict[str, Recording] = {}
    for path in sorted(_OBSERVATIONS.glob("kubernetes-*_containerd-*.json")):
        data = json.loads(path.read_text())
        cases = {name: _observation(case) for name, case in {**data["images"], **data["pods"]}.items()}
        found[path.stem] = Recording(path.stem, cases)
    for folder in sorted(path for path in _OBSERVATIONS.iterdir() if path.is_dir()):
        # What was recorded case by case is newer than what was recorded all at once.
        cases = dict(found[folder.name].cases) if folder.name in found else {}
        for path in sorted(folder.glob("*.json")):
            cases[path.stem] = _observation(json.loads(path.read_text())["normalised"])
        found[folder.name] = Recording(folder.name, cases, claims_in(folder))
    return tuple(found[name] for name in sorted(found))


def claims_in(folder: Path) -> dict[str, Judged]:
    """What became of the claims, as written into a folder of recordings, by their ids."""
    told = (json.loads(path.read_text()) for path in sorted(folder.glob("claims/*/*.json")))
    return {one["claim"]: Judged(**one["normalised"]) for one in told}


def _observation(case: Mapping[str, Any]) -> Observation:
    fields = {one.name for one in dataclasses.fields(Observation)}
    if unknown := set(case) - fields:
        raise ValueError(f"a recording has what an observation has not: {', '.join(sorted(unknown))}")
    events = tuple((event[0], event[1], event[2], event[3]) for event in case.get("events", []))
    return normalised(Observation(**{**case, "events": events}), {})
