"""The probes of one container while it runs.

Source: Kubernetes pkg/kubelet/prober/worker.go: readiness and liveness wait for the startup probe.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from emulator.node.kubelet.context import NodeContext
from emulator.node.kubelet.prober import try_probe
from emulator.node.kubelet.probes import ProbeState, probe_message
from emulator.node.kubelet.records import Attempt
from emulator.node.kubelet.start import field_path
from emulator.node.sandbox import PodSandbox

__all__ = ["Watchdog"]

Object = dict[str, Any]


class Watchdog:
    """Probes one attempt of a container until it ends.

    `changed` is called when its readiness changes or its startup probe succeeded, `failed` with `liveness` or
    `startup` when it has to be killed.
    """

    def __init__(
        self,
        node: NodeContext,
        pod: Object,
        container: Object,
        attempt: Attempt,
        sandbox: PodSandbox,
        *,
        changed: Callable[[], None],
        failed: Callable[[str], None],
    ) -> None:
        self._node = node
        self._pod = pod
        self._container = container
        self._attempt = attempt
        self._sandbox = sandbox
        self._changed = changed
        self._failed = failed
        attempt.started_up = "startupProbe" not in container
        attempt.ready = attempt.started_up and "readinessProbe" not in container
        probed = any(f"{kind}Probe" in container for kind in ("startup", "liveness", "readiness"))
        self._task = asyncio.create_task(self._run()) if probed else None

    def stop(self) -> None:
        """Probe no more."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        if "startupProbe" in self._container:
            await self._probe("startup")
            if not self._attempt.started_up:
                return
        kinds = [kind for kind in ("liveness", "readiness") if f"{kind}Probe" in self._container]
        await asyncio.gather(*(self._probe(kind) for kind in kinds))

    async def _probe(self, kind: str) -> None:
        probe = self._container[f"{kind}Probe"]
        state = ProbeState(kind, probe)
        clock, attempt = self._node.clock, self._attempt
        await clock.sleep(attempt.started + state.initial_delay - clock.now())
        while attempt.running and not (attempt.stopping and kind != "readiness"):
            began = clock.now()
            outcome = await try_probe(
                probe,
                self._container,
                dial=self._sandbox.dial,
                address=self._pod["status"]["podIP"],
                timeout=state.timeout,
            )
            if not attempt.running:
                return
            if not outcome.success:
                path = field_path(self._pod, self._container)
                message = probe_message(kind, outcome.output)
                self._node.recorder.record(self._pod, "Warning", "Unhealthy", message, path)
            if state.observe(outcome.success) and self._act(kind, bool(state.result)):
                return
            await clock.sleep(began + state.period - clock.now())

    def _act(self, kind: str, success: bool) -> bool:
        """Carry out a result that has changed; True where this probe is then over."""
        attempt = self._attempt
        if kind == "readiness":
            attempt.ready = success
            self._changed()
            return False
        if not success:
            self._failed(kind)
            return True
        if kind == "startup":
            attempt.started_up = True
            attempt.ready = "readinessProbe" not in self._container
            self._changed()
            return True
        return False
