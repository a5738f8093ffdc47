"""Why a container is not running yet: the reasons and messages of `state.waiting`."""

from __future__ import annotations

from typing import Any

__all__ = ["StartFailure", "describe", "go_duration"]


class StartFailure(Exception):  # noqa: N818 - an outcome the status reports, not an error of this program
    """A container cannot be started in this sync.

    `reason` and `message` are those of the container's waiting state.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message


def describe(pod: dict[str, Any]) -> str:
    """`name_namespace(uid)`, as the kubelet names a pod in messages (pkg/kubelet/util/format)."""
    metadata = pod["metadata"]
    return f"{metadata['name']}_{metadata['namespace']}({metadata['uid']})"


def go_duration(seconds: float) -> str:
    """A duration to the millisecond as Go's `time.Duration` prints it: `35ms`, `1.5s`, `1m2.003s`, `0s`."""
    milliseconds = int(seconds * 1000)
    if milliseconds < 1000:
        return f"{milliseconds}ms" if milliseconds else "0s"
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{rest / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text
