"""What runs of one pod: its sandbox, its containers, their probes."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from emulator.node.containerd import ImageStatus
from emulator.node.kubelet.context import NodeContext
from emulator.node.kubelet.failures import StartFailure
from emulator.node.kubelet.last_words import read_last_words
from emulator.node.kubelet.records import Attempt, PodRecord
from emulator.node.kubelet.start import PodParts, start_container
from emulator.node.kubelet.volumes import PodVolumes
from emulator.node.kubelet.watchdog import Watchdog
from emulator.node.sandbox import MissingProgramError, PodSandbox, SandboxError, remove_tree

__all__ = ["PodRuntime"]

Object = dict[str, Any]


class PodRuntime:
    """The processes of a pod, and what is remembered of those that have ended.

    `ready_changed` is called when a container's readiness changes, `happened` when something did that a sync
    has to act on: a container ended or failed a probe.
    """

    def __init__(
        self, node: NodeContext, uid: str, *, ready_changed: Callable[[], None], happened: Callable[[], None]
    ) -> None:
        self.record = PodRecord()
        self.unhealthy: dict[str, str] = {}
        """Container → the probe (`liveness`, `startup`) for which it has to be killed."""
        self._node = node
        self._directory = node.workdir / "pods" / uid
        self._volumes = PodVolumes(self._directory / "volumes", node.privileged)
        self._ready_changed = ready_changed
        self._happened = happened
        self._watchdogs: dict[str, Watchdog] = {}
        self._watchers: set[asyncio.Task[None]] = set()
        self._stopping: asyncio.Future[None] | None = None

    async def create_sandbox(self, pod: Object) -> None:
        """Make the pod's sandbox, and with the first one its volumes.

        Raises:
            SandboxError: it cannot be made.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        self._volumes.set_up(pod)
        hostname = pod["spec"].get("hostname") or pod["metadata"]["name"]
        try:
            self.record.ip = self.record.ip or self._node.addresses.take()
            self.record.sandbox = await PodSandbox.create(
                self._node.isolation, hostname, self._directory / "sandbox", address=self.record.ip
            )
        except (MissingProgramError, OSError, RuntimeError) as error:
            raise SandboxError(str(error)) from None
        self.record.sandbox_id = secrets.token_hex(32)

    async def start(
        self, pod: Object, container: Object, image: ImageStatus, volumes: Mapping[str, ImageStatus]
    ) -> StartFailure | None:
        """Start a container in the sandbox; what comes back says why its program did not run, if it did not.

        Raises:
            StartFailure: it could not even be created.
            SandboxError: the sandbox is gone.
        """
        record, name = self.record, container["name"]
        assert record.sandbox is not None
        parts = PodParts(pod, record.sandbox, record.sandbox_id, self._volumes, self._directory, volumes)
        number = len(record.attempts.get(name, ()))
        attempt, failure = await start_container(self._node, parts, container, image, number)
        record.attempts.setdefault(name, []).append(attempt)
        if failure is None:
            self._watch(pod, container, attempt)
        return failure

    def last_ended(self) -> dict[str, Attempt]:
        """By container, the last of its attempts that has ended."""
        return {
            name: ended[-1]
            for name, attempts in self.record.attempts.items()
            if (ended := [attempt for attempt in attempts if not attempt.running])
        }

    async def stop_sandbox(self) -> None:
        """End what is left of the pod's processes; to be cancelled on the way leaves none behind."""
        sandbox, self.record.sandbox = self.record.sandbox, None
        if sandbox is not None:
            self._stopping = asyncio.ensure_future(sandbox.stop())
        if self._stopping is not None:
            await asyncio.shield(self._stopping)

    async def clean_up(self) -> None:
        """End what still runs, without grace, and remove the pod's files."""
        for watchdog in self._watchdogs.values():
            watchdog.stop()
        await self.stop_sandbox()
        for watcher in self._watchers:
            watcher.cancel()
        if self.record.ip:
            self._node.addresses.give_back(self.record.ip)
        await asyncio.to_thread(remove_tree, self._directory)

    def _watch(self, pod: Object, container: Object, attempt: Attempt) -> None:
        """Probe a container that was started, and learn when it ends."""
        sandbox, name = self.record.sandbox, attempt.name
        assert sandbox is not None

        def failed(kind: str) -> None:
            self.unhealthy[name] = kind
            self._happened()

        watchdog = Watchdog(self._node, pod, container, attempt, sandbox, changed=self._ready_changed, failed=failed)
        self._watchdogs[name] = watchdog

        async def wait() -> None:
            assert attempt.process is not None
            how = await attempt.process.wait()
            watchdog.stop()
            self.unhealthy.pop(name, None)
            message = await read_last_words(container, attempt.log, failed=how.code != 0)
            attempt.end(how, self._node.clock, message)
            self._happened()

        watcher = asyncio.create_task(wait())
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)
