"""Recorded trees on the emulator, as the runtime that was recorded."""

from __future__ import annotations

from conformance.differential.compare import Difference, compare
from conformance.differential.recorded import RecordedTrees
from conformance.differential.survey import Surveyor
from conformance.targets import Options, Target, start

__all__ = ["replay"]

_SPEED = 20.0


def replay(recorded: RecordedTrees) -> list[Difference]:
    """Where the emulator makes something else of recorded trees than the cluster did.

    Raises TargetUnavailableError.
    """
    refused = [number for number, one in enumerate(recorded.seen) if one.outcome != "mounted"]
    with start(Options(runtime=recorded.runtime, speed=_SPEED)) as description:
        target = Target(description)
        with Surveyor(target) as surveyor:
            seen = surveyor.survey(recorded.trees, refused=refused)
        return list(compare(recorded.trees, recorded.seen, seen, target.lacks.keys()))
