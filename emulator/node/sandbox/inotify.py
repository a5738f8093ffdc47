"""Waiting for a file to change, with Linux's inotify(7)."""

from __future__ import annotations

import asyncio
import ctypes
import os
from pathlib import Path
from typing import Self

__all__ = ["Changes"]

_IN_MODIFY = 0x2


class Changes:
    """Tells that a file has been written to. Use as a context manager."""

    def __init__(self, path: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd = int(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "cannot watch files: inotify_init1 failed")
        if libc.inotify_add_watch(self._fd, os.fsencode(path), _IN_MODIFY) < 0:
            error = OSError(ctypes.get_errno(), f"cannot watch {path}: inotify_add_watch failed")
            os.close(self._fd)
            raise error
        self._changed = asyncio.Event()

    def __enter__(self) -> Self:
        asyncio.get_running_loop().add_reader(self._fd, self._readable)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)

    async def wait(self) -> None:
        """Return once the file has changed since the last call, or since this was made."""
        await self._changed.wait()
        self._changed.clear()

    def _readable(self) -> None:
        os.read(self._fd, 64 * 1024)
        self._changed.set()
