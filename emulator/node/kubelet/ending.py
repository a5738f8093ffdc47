"""Ending a container: the preStop hook, the stop signal, the grace period, the kill.

Source: Kubernetes pkg/kubelet/kuberuntime/kuberuntime_container.go, killContainer.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any

from emulator.node.kubelet.context import NodeContext
from emulator.node.kubelet.records import Attempt
from emulator.node.kubelet.start import field_path

__all__ = ["end"]

Object = dict[str, Any]

_LEAST_GRACE = 2.0  # the kubelet gives every container that much, whatever was asked


async def end(
    node: NodeContext,
    pod: Object,
    container: Object,
    attempt: Attempt,
    message: str,
    grace: Callable[[], float],
    shortened: asyncio.Event,
) -> None:
    """Stop a running container and wait until it has ended.

    `message` is that of its Killing event; `grace` says how many emulated seconds it has from now at most, and
    `shortened` is set when that changes.
    """
    node.recorder.record(pod, "Normal", "Killing", message, field_path(pod, container))
    attempt.stopping = True
    began = node.clock.now()

    def left() -> float:
        return began + max(grace(), _LEAST_GRACE) - node.clock.now()

    assert attempt.process is not None
    hook = (container.get("lifecycle") or {}).get("preStop")
    if hook:
        await _wait(node, attempt, left, shortened, node.clock.sleep(hook["sleep"]["seconds"]))
    attempt.process.signal(attempt.stop_signal)
    await _wait(node, attempt, left, shortened)
    if attempt.running:
        attempt.process.signal(signal.SIGKILL)
        await attempt.over.wait()


async def _wait(
    node: NodeContext,
    attempt: Attempt,
    left: Callable[[], float],
    shortened: asyncio.Event,
    hook: Coroutine[Any, Any, None] | None = None,
) -> None:
    """Until the container has ended, nothing is left of its grace, or (with one) its hook has returned."""
    returned = asyncio.ensure_future(hook) if hook is not None else None
    try:
        while attempt.running and (seconds := left()) > 0 and not (returned and returned.done()):
            shortened.clear()
            waits = [
                asyncio.ensure_future(each)
                for each in (_event(attempt.over), _event(shortened), node.clock.sleep(seconds))
            ]
            try:
                await asyncio.wait([*waits, *([returned] if returned else [])], return_when=asyncio.FIRST_COMPLETED)
            finally:
                for each in waits:
                    each.cancel()
    finally:
        if returned is not None:
            returned.cancel()


async def _event(event: asyncio.Event) -> None:
    await event.wait()
