"""Ending a container: the preStop hook, the stop signal, the grace period, the kill.

Source: Kubernetes pkg/kubelet/kuberuntime/kuberuntime_container.go, killContainer.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Any

from emulator.node.kubelet.context import NodeContext
from emulator.node.kubelet.prober import try_probe
from emulator.node.kubelet.records import Attempt
from emulator.node.kubelet.start import field_path
from emulator.node.sandbox import PodSandbox

__all__ = ["Ending"]

Object = dict[str, Any]

_LEAST_GRACE = 2.0  # the kubelet gives every container that much, whatever was asked


class Ending:
    """Ends containers of one pod; `shortened` is set when the pod's grace period changes."""

    def __init__(self, node: NodeContext, sandbox: PodSandbox | None, shortened: asyncio.Event) -> None:
        self._node = node
        self._sandbox = sandbox
        self._shortened = shortened

    async def end(
        self, pod: Object, container: Object, attempt: Attempt, message: str, grace: Callable[[], float]
    ) -> None:
        """Stop a running container and wait until it has ended; `grace` says how many seconds it has at most."""
        path = field_path(pod, container)
        self._node.recorder.record(pod, "Normal", "Killing", message, path)
        attempt.stopping = True
        began = self._node.clock.now()
        hook = (container.get("lifecycle") or {}).get("preStop")
        if hook:
            await self._until_ended(attempt, began, grace, self._pre_stop(pod, container, hook))
        assert attempt.process is not None
        attempt.process.signal(attempt.stop_signal)
        await self._until_ended(attempt, began, grace)
        if attempt.running:
            attempt.process.signal(signal.SIGKILL)
            await attempt.over.wait()

    async def _until_ended(self, attempt: Attempt, began: float, grace: Callable[[], float], hook: Any = None) -> None:
        """Wait until the container has ended, its grace is over, or (with one) its hook has returned."""
        clock = self._node.clock
        task = asyncio.ensure_future(hook if hook is not None else attempt.over.wait())
        try:
            while not task.done() and attempt.running:
                left = began + max(grace(), _LEAST_GRACE) - clock.now()
                if left <= 0:
                    return
                self._shortened.clear()
                others = [
                    asyncio.ensure_future(each)
                    for each in (attempt.over.wait(), self._shortened.wait(), clock.sleep(left))
                ]
                await asyncio.wait([task, *others], return_when=asyncio.FIRST_COMPLETED)
                for each in others:
                    each.cancel()
        finally:
            task.cancel()

    async def _pre_stop(self, pod: Object, container: Object, hook: Object) -> None:
        if "sleep" in hook:
            await self._node.clock.sleep(hook["sleep"]["seconds"])
            return
        assert self._sandbox is not None
        address = (pod.get("status") or {}).get("podIP", "")
        outcome = await try_probe(hook, container, dial=self._sandbox.dial, address=address, timeout=30.0)
        if not outcome.success:
            path = field_path(pod, container)
            self._node.recorder.record(pod, "Warning", "FailedPreStopHook", "PreStopHook failed", path)
