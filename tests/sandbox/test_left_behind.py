"""Nothing stays behind an emulator, however it ends."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emulator.node.sandbox import Isolation, StateDir, cgroups, remove_tree
from emulator.node.sandbox.statedir import record_cgroup, sweep

REPOSITORY = Path(__file__).parents[2]
EMULATOR = """
import asyncio, shutil, sys
from dataclasses import dataclass
from pathlib import Path
from emulator.cluster.kubelets import LogOptions
from emulator.node.sandbox import *

@dataclass(frozen=True)
class Who:
    uid: int = 65532
    gid: int = 0
    groups: tuple[int, ...] = ()

async def main(base, tool, mode):
    isolation = detect(mode)
    with StateDir(Path(base)) as state:
        rootfs = state.path / "rootfs"
        rootfs.mkdir()
        shutil.copy(tool, rootfs / "tool")
        (rootfs / "tool").chmod(0o755)
        for name in ("one", "two"):
            pod = await PodSandbox.create(isolation, name, state.path / name)
            for number in range(2):
                await Container.start(pod, ContainerSpec(
                    rootfs=rootfs, args=("/tool", "orphan:", "out:up", "block:"), identity=Who(),
                    log=(log := state.path / f"{name}{number}"), limits=Limits(memory_bytes=64 << 20),
                ))
                await anext(read_log(log, LogOptions(follow=True)))
        print(state.path, flush=True)
        await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


def gone(pidfds: list[int], seconds: float) -> bool:
    """Whether all processes end in time."""
    deadline = time.monotonic() + seconds
    return all(select.select([pidfd], [], [], max(0, deadline - time.monotonic()))[0] for pidfd in pidfds)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_every_process_ends_with_the_emulator(
    isolation: Isolation, tool: Path, tmp_path: Path, how: signal.Signals, descendants: Callable[[int], set[int]]
) -> None:
    emulator = subprocess.Popen(
        [sys.executable, "-c", EMULATOR, str(tmp_path), str(tool), isolation.mode],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert emulator.stdout is not None
    pidfds: list[int] = []
    try:
        state = Path(emulator.stdout.readline().strip())
        assert state.is_dir()
        assert str(state) not in Path("/proc/mounts").read_text()
        processes = descendants(emulator.pid)
        # A pod is bubblewrap and pause; a container is bubblewrap, its program and the orphan.
        assert len(processes) == 2 * 2 + 4 * 3
        pidfds = [os.pidfd_open(pid) for pid in processes]
        emulator.send_signal(how)
        emulator.wait()
        assert gone(pidfds, 10)
    finally:
        emulator.kill()
        emulator.wait()
        emulator.stdout.close()
        for pidfd in pidfds:
            os.close(pidfd)

    left = [Path(line) for line in (state / "cgroups").read_text().splitlines()] if state.exists() else []
    assert "limits" in isolation.lacks or all(path.is_dir() for path in left)
    with StateDir(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []
    assert not any(path.exists() for path in left)


def test_a_state_directory_goes_with_its_owner(tmp_path: Path) -> None:
    with StateDir(tmp_path) as state:
        (state.path / "deep/er").mkdir(parents=True)
        (state.path / "deep/er/file").touch(0o000)
        (state.path / "deep").chmod(0o000)
    assert list(tmp_path.iterdir()) == []


def test_only_what_nobody_holds_is_swept(tmp_path: Path) -> None:
    with StateDir(tmp_path) as mine:
        stale = tmp_path / "imgvol-state-stale"
        stale.mkdir()
        (stale / "file").touch()
        (tmp_path / "imgvol-state-file").touch()
        (tmp_path / "other").mkdir()
        (tmp_path / "imgvol-state-link").symlink_to(tmp_path / "other")
        sweep(tmp_path)
        names = {path.name for path in tmp_path.iterdir()}
        assert names == {mine.path.name, "other", "imgvol-state-file", "imgvol-state-link"}


def test_a_directory_swept_before_it_is_locked_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    make = tempfile.mkdtemp

    def made_and_swept(**where: Any) -> str:
        made.append(make(**where))
        if len(made) < 3:
            sweep(tmp_path)  # as another emulator does that starts at this moment
        return made[-1]

    monkeypatch.setattr(tempfile, "mkdtemp", made_and_swept)
    with StateDir(tmp_path) as state:
        assert [str(state.path)] == made[2:]
        assert list(tmp_path.iterdir()) == [state.path]


def test_a_tree_is_removed_whatever_its_modes(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "a/b").mkdir(parents=True)
    (tree / "a/b/file").touch()
    (tree / "a/link").symlink_to(tmp_path)
    os.mkfifo(tree / "a/fifo")
    for path in (tree / "a/b", tree / "a", tree):
        path.chmod(0o000)
    remove_tree(tree)
    remove_tree(tree)
    assert list(tmp_path.iterdir()) == []


def test_a_control_group_goes_with_its_processes(tmp_path: Path) -> None:
    found = cgroups.find()
    if isinstance(found, str):
        pytest.skip(found)
    group = found.create(f"imgvol-{os.getpid()}-test", cpu_millis=None, memory_bytes=64 << 20)
    with subprocess.Popen(["sleep", "60"]) as process:
        with StateDir(tmp_path) as state:
            for directory in group.directories:
                (directory / "cgroup.procs").write_text(str(process.pid))
                record_cgroup(state.path, directory)
        assert process.wait() == -signal.SIGKILL
    assert not any(directory.exists() for directory in group.directories)


def test_a_control_group_that_is_gone() -> None:
    cgroups.destroy(Path("/sys/fs/cgroup/imgvol-was-never-there"))
