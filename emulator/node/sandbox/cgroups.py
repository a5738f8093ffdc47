"""Resource limits: a control group (cgroup v1 or v2) for each container that has any.

Groups are made below the emulator's own group, so that limits of the host on the emulator hold for its pods too.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Cgroup", "Hierarchies", "destroy", "find", "remove"]

_PERIOD = 100_000  # microseconds; the kubelet's default CPU quota period


@dataclass(frozen=True)
class Hierarchies:
    """The directories below which groups can be made, one for each controller; in v2 they are the same."""

    memory: Path
    cpu: Path
    unified: bool

    def create(self, name: str, *, cpu_millis: int | None, memory_bytes: int | None) -> Cgroup:
        """Make a group with these limits. Raises OSError."""
        made = Cgroup({"memory": self.memory / name, "cpu": self.cpu / name}, self.unified)
        try:
            for directory in made.directories:
                directory.mkdir()
            made.limit(cpu_millis, memory_bytes)
        except OSError:
            made.remove()
            raise
        return made


@dataclass(frozen=True)
class Cgroup:
    """One container's control group."""

    paths: dict[str, Path]
    unified: bool

    @property
    def directories(self) -> list[Path]:
        """The group's directory in each hierarchy."""
        return list(dict.fromkeys(self.paths.values()))

    def limit(self, cpu_millis: int | None, memory_bytes: int | None) -> None:
        """Set the limits; swap is no way around the one on memory."""
        memory, cpu = self.paths["memory"], self.paths["cpu"]
        if memory_bytes is not None:
            limit, swap = ("memory.max", "memory.swap.max")
            if not self.unified:
                limit, swap = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
            (memory / limit).write_text(str(memory_bytes))
            if (memory / swap).exists():
                (memory / swap).write_text("0" if self.unified else str(memory_bytes))
        if cpu_millis is not None:
            quota = max(1000, cpu_millis * _PERIOD // 1000)  # the kernel's least quota is a millisecond
            if self.unified:
                (cpu / "cpu.max").write_text(f"{quota} {_PERIOD}")
            else:
                (cpu / "cpu.cfs_period_us").write_text(str(_PERIOD))
                (cpu / "cpu.cfs_quota_us").write_text(str(quota))

    def oom_killed(self) -> bool:
        """Whether the kernel has killed a process of the group for want of memory."""
        counts = self.paths["memory"] / ("memory.events" if self.unified else "memory.oom_control")
        entries = dict(line.split() for line in counts.read_text().splitlines())
        return int(entries["oom_kill"]) > 0

    def remove(self) -> None:
        """Remove the group, which must have no process left."""
        for directory in self.directories:
            remove(directory)


def remove(directory: Path) -> None:
    """Remove a group's directory if it is there."""
    with contextlib.suppress(FileNotFoundError):
        directory.rmdir()


def destroy(directory: Path, *, patience: float = 5) -> None:
    """Remove a group that may still have processes: kill them and wait, so many seconds at the most, for their end.

    Raises OSError if it cannot be removed.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            remove(directory)
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise
        else:
            return
        with contextlib.suppress(OSError):
            for pid in (directory / "cgroup.procs").read_text().split():
                os.kill(int(pid), signal.SIGKILL)
        time.sleep(0.005)  # the kernel tells nobody of the end of a process that is not a child


@functools.cache
def find() -> Hierarchies | str:
    """Where groups can be made, or why they cannot."""
    own = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            own[controller] = path
    mounts = list(_mounts())
    found = {}
    for controller in ("memory", "cpu"):
        for mount in mounts:
            if controller in mount.controllers and controller in own:
                directory = mount.path / os.path.relpath(own[controller], mount.root)
                if _writable(directory):
                    found[controller] = directory
    if len(found) == 2:
        return Hierarchies(found["memory"], found["cpu"], unified=False)
    for mount in mounts:
        if mount.unified and "" in own and not found:
            directory = mount.path / os.path.relpath(own[""], mount.root)
            for candidate in (directory, *directory.parents):
                if not candidate.is_relative_to(mount.path):
                    break
                if _delegates(candidate) and _writable(candidate):
                    return Hierarchies(candidate, candidate, unified=True)
    return "no control group with memory and cpu can be made here: no cgroup hierarchy is writable"


@dataclass(frozen=True)
class _Mount:
    path: Path
    root: str
    controllers: list[str]
    unified: bool


def _mounts() -> Iterator[_Mount]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        if kind in ("cgroup", "cgroup2"):
            root, path = before.split(" ")[3:5]
            yield _Mount(Path(path), root, options.split(","), kind == "cgroup2")


def _writable(directory: Path) -> bool:
    return os.access(directory, os.W_OK) and os.access(directory / "cgroup.procs", os.W_OK)


def _delegates(directory: Path) -> bool:
    """Whether groups below this one of cgroup v2 have the memory and cpu controllers, if need be from now on."""
    wanted = {"memory", "cpu"}
    try:
        control = directory / "cgroup.subtree_control"
        if wanted <= set(control.read_text().split()):
            return True
        if wanted <= set((directory / "cgroup.controllers").read_text().split()):
            control.write_text("+memory +cpu")  # refused where processes live in the group itself
            return True
    except OSError:
        pass
    return False
