"""A registry's bad days as data: scenarios of faults, read from YAML and checked.

What a fault does to an answer is the registry's business (`emulator.registry.faulting`); this part says which requests
it strikes, and what is asked of it. The scenarios that come with the emulator are the YAML files beside this one.
"""

from emulator.faults.active import ActiveFaults, Strike
from emulator.faults.scenario import OPERATIONS, Amount, Asked, Fault, Match, Scenario, ScenarioError, Times
from emulator.faults.schema import load, parse, scenario_names

__all__ = [
    "OPERATIONS",
    "ActiveFaults",
    "Amount",
    "Asked",
    "Fault",
    "Match",
    "Scenario",
    "ScenarioError",
    "Strike",
    "Times",
    "load",
    "parse",
    "scenario_names",
]
