"""The directory that holds all an emulator writes, and goes with it.

The directory is locked (flock) as long as its owner lives; the kernel frees the lock however the owner ends. So
whoever finds one unlocked may remove it, and the next emulator does. The lock also keeps systemd-tmpfiles away.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from emulator.node.sandbox import cgroups

__all__ = ["StateDir", "enclosing", "remove_tree"]

_PREFIX = "imgvol-state-"
_CGROUPS = "cgroups"  # lists the control groups made, one a line, to be removed with the directory


class StateDir:
    """A new private directory under `base` (by default that of temporary files), removed by `close`.

    Before making it, those that killed emulators of the same user have left are removed.
    """

    def __init__(self, base: Path | None = None) -> None:
        base = base or Path(tempfile.gettempdir())
        sweep(base)
        while (made := _make(base)) is None:
            continue  # another emulator swept it before it was locked
        self.path, self._lock = made
        # Containers of any user start from here, so all may pass, but not look around.
        self.path.chmod(0o711)
        (self.path / _CGROUPS).touch()

    def close(self) -> None:
        """Remove the directory and everything in it."""
        _remove(self.path)
        os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _make(base: Path) -> tuple[Path, int] | None:
    """A new directory and the descriptor that locks it; None if another emulator took it for one left behind."""
    path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
    try:
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return None
    fcntl.flock(lock, fcntl.LOCK_EX)
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_ino == os.fstat(lock).st_ino:
            return path, lock
    os.close(lock)
    return None


def enclosing(directory: Path) -> Path | None:
    """The state directory that a directory lies in, if it does."""
    for parent in (directory, *directory.parents):
        if parent.name.startswith(_PREFIX):
            return parent
    return None


def record_cgroup(state: Path, group: Path) -> None:
    """Note a control group, so that it is removed even if the emulator is killed."""
    with (state / _CGROUPS).open("a") as record:
        record.write(f"{group}\n")


def sweep(base: Path) -> None:
    """Remove the state directories under `base` whose emulators are gone."""
    for path in base.glob(_PREFIX + "*"):
        with contextlib.suppress(FileNotFoundError, BlockingIOError, NotADirectoryError, PermissionError):
            if path.lstat().st_uid != os.geteuid():
                continue
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(path)
            finally:
                os.close(lock)


def _remove(state: Path) -> None:
    with contextlib.suppress(OSError):
        for line in (state / _CGROUPS).read_text().splitlines():
            with contextlib.suppress(OSError):
                cgroups.destroy(Path(line))
    remove_tree(state)


def remove_tree(path: Path) -> None:
    """Remove a file or directory tree whatever the modes of its directories. Missing is fine."""
    try:
        if not stat.S_ISDIR(path.lstat().st_mode):
            path.unlink()
            return
        if os.geteuid() != 0:
            path.chmod(0o700)
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    remove_tree(Path(entry.path))
                else:
                    os.unlink(entry.path)  # noqa: PTH108 - a Path for each file of a large tree costs
        path.rmdir()
    except FileNotFoundError:
        pass
