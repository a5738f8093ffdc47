"""Removes what a run made in Docker, whatever became of the run.

A process of its own waits for its standard input to end, which happens when the run is over or has died, even by
SIGKILL, and then removes everything that carries the run's label. So there is one way out, and a second Ctrl-C cannot
cut it short. (Testcontainers' own reaper, Ryuk, is a container whose image would have to be had first.)

python -m conformance.targets.reaper            list the runs that Docker has something of
python -m conformance.targets.reaper RUN        remove what the run left, e.g. because it was told to keep it
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conformance.targets.choice import TargetUnavailableError
from conformance.targets.daemon import RUN, connect, innermost, untidy

if TYPE_CHECKING:
    from docker import DockerClient

__all__ = ["LeftBehindError", "Reaper", "directory_of", "remove", "runs"]

# As which it is run, where `__name__` is `__main__`.
_MODULE = "conformance.targets.reaper"
_WAIT = "--when-stdin-ends"
_KEEP, _SETTLED = b"keep", b"settled"
# What the daemon was asked for by a run that died, it makes all the same, within so many seconds.
_UNDER_WAY = 10.0
# How long what cannot be removed at once is tried again: a removal may be in progress, a daemon busy.
_PATIENCE = 120.0
_MOMENT = 0.25


class LeftBehindError(Exception):
    """Something could not be removed; the message says what, why, and how to try again."""


@dataclass(frozen=True)
class _Thing:
    """A container, network or volume of a run."""

    kind: str
    name: str
    run: str
    remove: Callable[[], None]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class Reaper:
    """The process that will remove what a run makes.

    `under_way`: for how many seconds after the run's death the daemon may still be making what it was asked for.
    """

    def __init__(self, run: str, *, keep: bool = False, under_way: float = _UNDER_WAY) -> None:
        self.run = run
        self._keep = keep
        self._process = subprocess.Popen(
            [sys.executable, "-m", _MODULE, run, _WAIT, str(under_way)],
            stdin=subprocess.PIPE,
            # Out of reach of a terminal's Ctrl-C, and of who ends the run's process group.
            start_new_session=True,
        )

    @property
    def command(self) -> str:
        """The command that removes the run by hand."""
        return _by_hand(self.run)

    def close(self, *, settled: bool = False) -> None:
        """Have everything removed, and wait for that; `settled`: the daemon has answered all that it was asked.

        Raises LeftBehindError.
        """
        self._process.communicate(_KEEP if self._keep else _SETTLED if settled else b"")
        if self._process.returncode and not self._keep:
            remove(self.run)


def _by_hand(run: str) -> str:
    return f"{sys.executable} -m {_MODULE} {run}"


def directory_of(run: str) -> Path:
    """Where a run keeps its files."""
    return Path(tempfile.gettempdir()) / f"imgvol-{run}"


def remove(run: str, *, under_way: float = 0.0, patience: float = _PATIENCE) -> None:
    """Remove the run's containers with their volumes, its networks and named volumes, and its files.

    What fails is tried again for `patience` seconds and keeps nothing else from being removed; what the daemon still
    makes within `under_way` seconds of quiet goes too. Raises LeftBehindError.
    """
    shutil.rmtree(directory_of(run), ignore_errors=True)
    began = quiet_since = time.monotonic()
    while True:
        looked = time.monotonic()  # a look tells of the moment in which it began, however long it takes
        found, failed = _sweep(run)
        if found:
            quiet_since = time.monotonic()
        elif looked - quiet_since >= under_way:
            return
        if found and quiet_since - began >= patience:
            still = "; ".join(failed) or "what it said it had removed"
            raise LeftBehindError(f"Docker still has {still}: try again by `{_by_hand(run)}`")
        time.sleep(_MOMENT)


def runs() -> dict[str, list[str]]:
    """What Docker has of every run, finished or not, by run. Raises TargetUnavailableError."""
    found: dict[str, list[str]] = {}
    with connect() as docker, untidy(docker):
        for thing in _things(docker, RUN):
            found.setdefault(thing.run, []).append(str(thing))
    return found


def _sweep(run: str) -> tuple[int, list[str]]:
    """Try to remove everything once: how much there was, and what failed with the reason."""
    from docker.errors import DockerException, NotFound

    found, failed = 0, []
    try:
        with connect() as docker, untidy(docker):
            for thing in _things(docker, f"{RUN}={run}"):
                found += 1
                try:
                    thing.remove()
                except NotFound:
                    pass
                # A daemon that takes longer than docker-py waits is an error of its transport, an OSError.
                except (DockerException, OSError) as error:
                    failed.append(f"{thing} ({innermost(error)})")
    except (TargetUnavailableError, DockerException, OSError) as error:
        # It may be back in a moment; until then we do not know that nothing is left.
        return found + 1, [*failed, f"what it does not tell ({innermost(error)})"]
    return found, failed


def _things(docker: DockerClient, label: str) -> Iterator[_Thing]:
    """What carries a label, in the order in which it can be removed."""
    api, asked = docker.api, {"label": label}
    for one in api.containers(all=True, filters=asked):
        name = (one.get("Names") or [one["Id"]])[0].lstrip("/")
        yield _Thing("container", name, _run_of(one), partial(api.remove_container, one["Id"], v=True, force=True))
    for one in api.networks(filters=asked):
        yield _Thing("network", one["Name"], _run_of(one), partial(api.remove_network, one["Id"]))
    for one in api.volumes(filters=asked).get("Volumes") or ():
        yield _Thing("volume", one["Name"], _run_of(one), partial(api.remove_volume, one["Name"], force=True))


def _run_of(told: dict[str, Any]) -> str:
    return str((told.get("Labels") or {}).get(RUN, ""))


def _main(arguments: list[str]) -> int:
    under_way = 0.0
    match arguments:
        case []:
            return _list()
        case [run]:
            pass
        case [run, word, seconds] if word == _WAIT:
            told = sys.stdin.buffer.read()
            if told == _KEEP:
                return 0
            under_way = 0.0 if told == _SETTLED else float(seconds)
        case _:
            print("usage: python -m conformance.targets.reaper [RUN]", file=sys.stderr)
            return 2
    if run.startswith("-"):
        print("usage: python -m conformance.targets.reaper [RUN]", file=sys.stderr)
        return 2
    try:
        remove(run, under_way=under_way)
    except LeftBehindError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _list() -> int:
    try:
        found = runs()
    except TargetUnavailableError as error:
        print(error, file=sys.stderr)
        return 1
    for run, things in sorted(found.items()):
        print(f"{run}  {', '.join(things)}")
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
