"""The scenarios in force, and which fault strikes a request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from emulator.faults.scenario import Asked, Fault, Scenario

__all__ = ["ActiveFaults", "Strike"]


@dataclass(frozen=True)
class Strike:
    """A fault that struck a request: of which scenario, and which of its faults, counted from 0."""

    scenario: str
    number: int
    fault: Fault

    def __str__(self) -> str:
        return f"{self.scenario}[{self.number}]"


@dataclass
class _Counts:
    asked: Counter[str] = field(default_factory=Counter)
    struck: int = 0


class ActiveFaults:
    """Scenarios by name."""

    def __init__(self) -> None:
        self._scenarios: dict[str, Scenario] = {}
        self._counts: dict[str, list[_Counts]] = {}

    def put(self, name: str, scenario: Scenario) -> None:
        """Bring a scenario into force, in place of the one of that name if there is one; its counts begin anew."""
        self._scenarios[name] = scenario
        self._counts[name] = [_Counts() for _ in scenario.faults]

    def remove(self, name: str) -> bool:
        """End a scenario; False if there was none of that name."""
        found = self._scenarios.pop(name, None)
        self._counts.pop(name, None)
        return found is not None

    def clear(self) -> None:
        """End all of them."""
        self._scenarios.clear()
        self._counts.clear()

    @property
    def scenarios(self) -> Mapping[str, Scenario]:
        """Those in force, the oldest first."""
        return dict(self._scenarios)

    def counts(self, name: str) -> list[tuple[int, int]]:
        """For each fault of a scenario: how many requests it was asked about, and how many it struck."""
        return [(counts.asked.total(), counts.struck) for counts in self._counts[name]]

    @property
    def refuse(self) -> bool:
        """Whether nobody is to listen."""
        return any(fault.refuse for scenario in self._scenarios.values() for fault in scenario.faults)

    @property
    def access_token(self) -> float | None:
        """How long access tokens last; None for as long as usual."""
        return self._shortest([scenario.access_token for scenario in self._scenarios.values()])

    @property
    def refresh_token(self) -> float | None:
        """How long refresh tokens last; None for as long as usual."""
        return self._shortest([scenario.refresh_token for scenario in self._scenarios.values()])

    def strike(self, asked: Asked) -> Strike | None:
        """The fault that strikes a request, if one does: faults are asked in order, and count what they are asked."""
        for name, scenario in self._scenarios.items():
            for number, (fault, counts) in enumerate(zip(scenario.faults, self._counts[name], strict=True)):
                if fault.refuse or not fault.match(asked):
                    continue
                key = _key(fault, asked)
                counts.asked[key] += 1
                if fault.times.strikes(counts.asked[key]):
                    counts.struck += 1
                    return Strike(name, number, fault)
        return None

    @staticmethod
    def _shortest(lifetimes: list[float | None]) -> float | None:
        return min((lifetime for lifetime in lifetimes if lifetime is not None), default=None)


def _key(fault: Fault, asked: Asked) -> str:
    match fault.times.each:
        case "registry":
            return ""
        case "repository":
            return asked.repository
        case _:
            return f"{asked.repository} {asked.reference}"
