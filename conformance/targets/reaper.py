"""Removes what a run made in Docker, whatever became of the run.

A process of its own waits for its standard input to end, which happens when the run is over or has died, even by
SIGKILL, and then removes everything that carries the run's label. So there is one way out, and a second Ctrl-C cannot
cut it short. (Testcontainers' own reaper, Ryuk, is a container whose image would have to be had first.)

python -m conformance.targets.reaper RUN        remove what the run left, e.g. because it was told to keep it
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from conformance.targets.daemon import RUN, connect, untidy

__all__ = ["Reaper", "directory_of", "remove"]

_WAIT = "--when-stdin-ends"
_KEEP = b"keep"


class Reaper:
    """The process that will remove what a run makes."""

    def __init__(self, run: str, *, keep: bool = False) -> None:
        self.run = run
        self._keep = keep
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, run, _WAIT],
            stdin=subprocess.PIPE,
            # Out of reach of a terminal's Ctrl-C.
            start_new_session=True,
        )

    @property
    def command(self) -> str:
        """The command that removes the run by hand."""
        return f"{sys.executable} -m {__name__} {self.run}"

    def close(self) -> None:
        """Have everything removed, and wait for that."""
        self._process.communicate(_KEEP if self._keep else b"")
        if self._process.returncode and not self._keep:
            remove(self.run)


def directory_of(run: str) -> Path:
    """Where a run keeps its files."""
    return Path(tempfile.gettempdir()) / f"imgvol-{run}"


def remove(run: str) -> None:
    """Remove the run's containers with their volumes, then its networks and named volumes, and its files."""
    with connect() as docker, untidy(docker):
        label: dict[str, str | list[str] | bool] | None = {"label": f"{RUN}={run}"}
        for container in docker.containers.list(all=True, filters=label, ignore_removed=True):
            with _unless_gone():
                container.remove(force=True, v=True)
        for network in docker.networks.list(filters=label):
            with _unless_gone():
                network.remove()
        for volume in docker.volumes.list(filters=label):
            with _unless_gone():
                volume.remove(force=True)
    shutil.rmtree(directory_of(run), ignore_errors=True)


def _unless_gone() -> contextlib.suppress:
    from docker.errors import NotFound

    return contextlib.suppress(NotFound)


def _main(arguments: list[str]) -> int:
    if arguments[1:] == [_WAIT] and sys.stdin.buffer.read() == _KEEP:
        return 0
    if not arguments or arguments[1:] not in ([], [_WAIT]):
        print("usage: python -m conformance.targets.reaper RUN", file=sys.stderr)
        return 2
    remove(arguments[0])
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
