"""The message a container leaves for its status when it ends.

Source: Kubernetes pkg/kubelet/kuberuntime/kuberuntime_container.go, getTerminationMessage.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from emulator.cluster import LogOptions
from emulator.node.sandbox import read_log

__all__ = ["last_words", "read_last_words"]

Object = dict[str, Any]

_MOST = 4096  # bytes of a message
_MOST_OF_LOG = 2048
_LINES_OF_LOG = 80


def last_words(log: Path) -> Path:
    """The file that is mounted at `terminationMessagePath`, beside the log of the same attempt."""
    return log.with_suffix(".message")


async def read_last_words(container: Object, log: Path, *, failed: bool) -> str:
    """What the container wrote there; the end of its log where it failed and the pod asks for that instead."""
    try:
        message = last_words(log).read_bytes()[:_MOST].decode(errors="replace")
    except OSError:
        message = ""
    if message or not failed or container.get("terminationMessagePolicy") != "FallbackToLogsOnError":
        return message
    chunks = [chunk async for chunk in read_log(log, LogOptions(tail_lines=_LINES_OF_LOG))]
    return b"".join(chunks)[-_MOST_OF_LOG:].decode(errors="replace")
