"""Recordings of real clusters (fixtures/observations), read back as observations."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from conformance.observation import Observation, normalised

__all__ = ["Recording", "recordings"]

_OBSERVATIONS = Path(__file__).parents[1] / "fixtures" / "observations"


@dataclass(frozen=True)
class Recording:
    """What one real cluster did with every case: its fingerprint and the normalised observations by case name."""

    fingerprint: Mapping[str, str]
    cases: Mapping[str, Observation]

    @property
    def runtime(self) -> str:
        """The runtime's minor version as profiles name it, e.g. `containerd-2.3`."""
        return "containerd-" + self.fingerprint["containerd"].rpartition(".")[0]


@cache
def recordings() -> tuple[Recording, ...]:
    """Every recording there is."""
    found = []
    for path in sorted(_OBSERVATIONS.glob("kubernetes-*_containerd-*.json")):
        data = json.loads(path.read_text())
        cases = {name: _observation(case) for name, case in {**data["images"], **data["pods"]}.items()}
        found.append(Recording(data["fingerprint"], cases))
    return tuple(found)


def _observation(case: Mapping[str, Any]) -> Observation:
    fields = {field.name for field in dataclasses.fields(Observation)}
    if unknown := set(case) - fields:
        raise ValueError(f"a recording has what an observation has not: {', '.join(sorted(unknown))}")
    events = tuple((event[0], event[1], event[2], event[3]) for event in case.get("events", []))
    return normalised(Observation(**{**case, "events": events}), {})
