"""Writing to a disk that may be full, as a fault scenario can have it."""

from __future__ import annotations

import errno
import os
from contextvars import ContextVar
from typing import BinaryIO

__all__ = ["full_disk", "write"]

full_disk: ContextVar[bool] = ContextVar("full_disk", default=False)
"""Whether the disk is full for the request at hand; threads that it starts by `asyncio.to_thread` inherit it."""


def write(file: BinaryIO, content: bytes) -> None:
    """Write all of it; on a full disk half of it, and then OSError (ENOSPC), as a kernel does."""
    if full_disk.get():
        file.write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    file.write(content)
