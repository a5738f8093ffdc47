"""The life of one pod on its node: synced until it is done or deleted, then terminated.

Source: Kubernetes pkg/kubelet/pod_workers.go, kubelet.go (SyncPod, SyncTerminatingPod) and
kuberuntime_manager.go (SyncPod).
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable
from typing import Any, TypeVar

from emulator.cluster import ApiError
from emulator.node.containerd import ImageStatus
from emulator.node.kubelet.actions import compute, is_done
from emulator.node.kubelet.context import NodeContext
from emulator.node.kubelet.ending import end
from emulator.node.kubelet.failures import StartFailure, describe, go_duration
from emulator.node.kubelet.last_words import read_last_words
from emulator.node.kubelet.records import Attempt, PodRecord
from emulator.node.kubelet.start import PodParts, field_path, start_container
from emulator.node.kubelet.status import pod_status
from emulator.node.kubelet.volumes import PodVolumes
from emulator.node.kubelet.watchdog import Watchdog
from emulator.node.sandbox import MissingProgramError, PodSandbox, SandboxError, remove_tree

__all__ = ["PodWorker"]

Object = dict[str, Any]
T = TypeVar("T")

# A kubelet syncs again 10 to 15 s after an error and 60 to 90 s after a success; the means of both, so that two
# runs do the same.
_RETRY = 12.5
_RESYNC = 75.0


class _Interrupted(Exception):  # noqa: N818 - the pod is to be terminated: no error
    """The sync under way has lost its purpose."""


class PodWorker:
    """Makes one pod run, and ends it.

    Statuses lag as a kubelet's do: each sync first publishes what the one before it came to. Where a sync
    started something, the next one follows at once, as the runtime's lifecycle events cause it.
    """

    def __init__(self, node: NodeContext, pod: Object) -> None:
        self._node = node
        self.pod = pod
        self.uid: str = pod["metadata"]["uid"]
        self.record = PodRecord()
        self._directory = node.workdir / "pods" / self.uid
        self._volumes = PodVolumes(self._directory / "volumes", node.privileged)
        self._failures: dict[str, StartFailure] = {}
        self._shown: dict[str, StartFailure] = {}
        self._unhealthy: dict[str, str] = {}
        self._secrets: list[Object] = []
        self._watchdogs: dict[str, Watchdog] = {}
        self._watchers: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._terminating = asyncio.Event()
        self._grace_changed = asyncio.Event()
        self._stopping: asyncio.Future[None] | None = None
        self._gone = False
        self._done = False

    # What the node tells its workers

    def update(self, pod: Object) -> None:
        """The API server has a new version of the pod."""
        old, self.pod = self.pod, pod
        metadata = pod["metadata"]
        if metadata.get("deletionTimestamp"):
            self._terminating.set()
            self._grace_changed.set()
        if metadata.get("generation") != old["metadata"].get("generation"):
            self._wake.set()

    def remove(self) -> None:
        """The API server has the pod no more."""
        self._gone = True
        self._terminating.set()
        self._grace_changed.set()

    async def run(self) -> None:
        """Live the pod's life; returns when nothing of it is left on the node."""
        if self.pod["metadata"].get("deletionTimestamp"):
            self._terminating.set()
        try:
            while not self._terminating.is_set():
                self._wake.clear()
                await self._wait(await self._sync())
            await self._terminate()
        finally:
            await self.clean_up()

    async def clean_up(self) -> None:
        """End what still runs, without grace, and remove the pod's files."""
        for watchdog in self._watchdogs.values():
            watchdog.stop()
        await self._stop_sandbox()
        for watcher in self._watchers:
            watcher.cancel()
        if self.record.ip:
            self._node.addresses.give_back(self.record.ip)
        self._node.image_manager.forget(self.uid)
        self._node.restarts.forget(self.uid)
        await asyncio.to_thread(remove_tree, self._directory)

    # Syncing

    async def _wait(self, seconds: float | None) -> None:
        """Until something happens to the pod, or so many emulated seconds have passed."""
        waits: list[asyncio.Future[Any]] = [
            asyncio.ensure_future(self._wake.wait()),
            asyncio.ensure_future(self._terminating.wait()),
        ]
        if seconds is not None:
            waits.append(asyncio.ensure_future(self._node.clock.sleep(seconds)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()

    async def _sync(self) -> float | None:
        """Bring the pod closer to what it should be; returns after how many seconds to try again."""
        if self._done:
            return None
        try:
            again = False
            while True:
                self._shown = dict(self._failures)
                self._publish()
                if is_done(self.pod, self.record) and not again:
                    await self._finish()
                    return None
                again = await self._sync_once()
                if not again:
                    break
        except _Interrupted:
            return None
        for name, failure in self._failures.items():
            if failure.reason == "CrashLoopBackOff":
                self._shown[name] = failure
        self._publish()
        return _RETRY if self._failures or self.record.sandbox is None else _RESYNC

    async def _sync_once(self) -> bool:
        """One SyncPod; says whether the runtime started something, which causes another."""
        pod, record = self.pod, self.record
        actions = compute(pod, record, self._unhealthy)
        ended = {name: self._last_ended(name) for name in record.attempts}
        for name, message in actions.kill.items():
            await self._kill(name, message)
        self._secrets = self._node.pull_secrets(pod)
        started = False
        if record.sandbox is None:
            if not await self._create_sandbox():
                return False
            started = True
            pod = self.pod
        images = await self._image_volumes(pod)
        if actions.init is not None:
            return await self._start(actions.init, images, ended) or started
        for container in actions.start:
            started |= await self._start(container, images, ended)
        return started

    async def _create_sandbox(self) -> bool:
        node, pod = self._node, self.pod
        self._directory.mkdir(parents=True, exist_ok=True)
        self._volumes.set_up(pod)
        hostname = pod["spec"].get("hostname") or pod["metadata"]["name"]
        try:
            self.record.ip = self.record.ip or node.addresses.take()
            self.record.sandbox = await PodSandbox.create(
                node.isolation, hostname, self._directory / "sandbox", address=self.record.ip
            )
            self.record.sandbox_id = secrets.token_hex(32)
        except (SandboxError, MissingProgramError, OSError, RuntimeError) as error:
            message = f"Failed to create pod sandbox: {error}"
            node.recorder.record(pod, "Warning", "FailedCreatePodSandBox", message)
            return False
        self._publish()
        return True

    async def _image_volumes(self, pod: Object) -> dict[str, ImageStatus | StartFailure]:
        """Pull the image of each image volume, mounted or not, one after the other."""
        results: dict[str, ImageStatus | StartFailure] = {}
        for volume in pod["spec"].get("volumes") or ():
            if image := volume.get("image"):
                try:
                    results[volume["name"]] = await self._ensure(image["reference"], image["pullPolicy"], "")
                except StartFailure as failure:
                    results[volume["name"]] = failure
        return results

    async def _ensure(self, reference: str, policy: str, path: str) -> ImageStatus:
        def report(type_: str, reason: str, message: str) -> None:
            self._node.recorder.record(self.pod, type_, reason, message, path)

        return await self._interruptible(
            self._node.image_manager.ensure(
                reference,
                policy,
                pod_uid=self.uid,
                secrets=self._secrets,
                report=report,
            )
        )

    async def _start(
        self,
        container: Object,
        images: dict[str, ImageStatus | StartFailure],
        ended: dict[str, Attempt | None],
    ) -> bool:
        """Start a container, or remember why not; says whether the runtime has a new container."""
        name = container["name"]
        try:
            self._back_off(container, ended.get(name))
            volumes = self._volumes_of(container, images)
            path = field_path(self.pod, container)
            try:
                image = await self._ensure(container["image"], container["imagePullPolicy"], path)
            except StartFailure as failure:
                self._node.recorder.record(self.pod, "Warning", "Failed", f"Error: {failure.reason}", path)
                raise
            assert self.record.sandbox is not None
            parts = PodParts(
                self.pod,
                self.record.sandbox,
                self.record.sandbox_id,
                self._volumes,
                self._directory,
                volumes,
            )
            number = len(self.record.attempts.get(name, ()))
            attempt, problem = await start_container(self._node, parts, container, image, number)
        except StartFailure as failure:
            self._failures[name] = failure
            return False
        except SandboxError:
            # Something on the host has ended the pod's processes. The next sync makes a new sandbox.
            message = "Pod sandbox changed, it will be killed and re-created."
            self._node.recorder.record(self.pod, "Normal", "SandboxChanged", message)
            await self._stop_sandbox()
            return True
        self.record.attempts.setdefault(name, []).append(attempt)
        if problem is not None:
            self._failures[name] = problem
            return True
        self._failures.pop(name, None)
        self._shown.pop(name, None)
        self._watch(container, attempt)
        self._publish()
        return True

    def _back_off(self, container: Object, ended: Attempt | None) -> None:
        """Refuse to restart a container before its back-off, counted from its last end, has passed."""
        if ended is None or ended.ended is None:
            return
        node, name = self._node, container["name"]
        key = f"{self.uid}_{name}_{container['image']}"
        if node.restarts.waiting_since(key, ended.ended.at):
            where = describe(self.pod)
            message = f"Back-off restarting failed container {name} in pod {where}"
            node.recorder.record(self.pod, "Warning", "BackOff", message, field_path(self.pod, container))
            delay = go_duration(node.restarts.delay(key))
            raise StartFailure("CrashLoopBackOff", f"back-off {delay} restarting failed container={name} pod={where}")
        node.restarts.next(key, ended.ended.at)

    def _volumes_of(self, container: Object, images: dict[str, ImageStatus | StartFailure]) -> dict[str, ImageStatus]:
        """The images a container mounts; one that could not be had keeps only its own containers waiting."""
        found: dict[str, ImageStatus] = {}
        last: StartFailure | None = None
        for mount in container.get("volumeMounts") or ():
            image = images.get(mount["name"])
            if isinstance(image, StartFailure):
                path = field_path(self.pod, container)
                self._node.recorder.record(self.pod, "Warning", "Failed", f"Error: {image.reason}", path)
                last = image
            elif image is not None:
                found[mount["name"]] = image
        if last is not None:
            raise last
        return found

    def _watch(self, container: Object, attempt: Attempt) -> None:
        """Probe a container that was started, and learn when it ends."""
        sandbox, name = self.record.sandbox, attempt.name
        assert sandbox is not None

        def changed() -> None:
            self._publish()
            self._wake.set()  # a kubelet syncs a pod whose readiness has changed

        def failed(kind: str) -> None:
            self._unhealthy[name] = kind
            self._wake.set()

        watchdog = Watchdog(self._node, self.pod, container, attempt, sandbox, changed=changed, failed=failed)
        self._watchdogs[name] = watchdog

        async def wait() -> None:
            assert attempt.process is not None
            exit_ = await attempt.process.wait()
            watchdog.stop()
            self._unhealthy.pop(name, None)
            message = await read_last_words(container, attempt.log, failed=exit_.code != 0)
            attempt.end(exit_, self._node.clock, message)
            self._wake.set()

        watcher = asyncio.create_task(wait())
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)

    # Ending

    async def _kill(self, name: str, message: str) -> None:
        attempt = self.record.latest(name)
        container = self._container(name)
        assert attempt is not None
        await self._end(container, attempt, message)

    async def _end(self, container: Object, attempt: Attempt, message: str) -> None:
        await end(self._node, self.pod, container, attempt, message, self._grace, self._grace_changed)

    def _grace(self) -> float:
        """The seconds a container has between the stop signal and the kill."""
        metadata, spec = self.pod["metadata"], self.pod["spec"]
        if metadata.get("deletionGracePeriodSeconds") is not None:
            return float(metadata["deletionGracePeriodSeconds"])
        return float(spec["terminationGracePeriodSeconds"])

    async def _finish(self) -> None:
        """Every container has ended for good: the sandbox goes, the status stays."""
        self._done = True
        await self._stop_sandbox()
        self._publish()

    async def _stop_sandbox(self) -> None:
        """End what is left of the pod's processes; to be cancelled on the way leaves none behind."""
        sandbox, self.record.sandbox = self.record.sandbox, None
        if sandbox is not None:
            self._stopping = asyncio.ensure_future(sandbox.stop())
        if self._stopping is not None:
            await asyncio.shield(self._stopping)

    async def _terminate(self) -> None:
        """End the pod with its grace period, report how it ended, and have the API server drop it."""
        await asyncio.gather(
            *(
                self._end(self._container(attempt.name), attempt, f"Stopping container {attempt.name}")
                for attempt in list(self.record.running())
            )
        )
        await self._stop_sandbox()
        if self._gone:
            return
        self._publish(terminal=True)
        metadata = self.pod["metadata"]
        with contextlib.suppress(ApiError):  # somebody else was faster
            self._node.api.delete("pods", metadata["name"], metadata["namespace"], grace_period=0, uid=self.uid)

    # Small things

    def _publish(self, *, terminal: bool = False) -> None:
        """Write the pod's status, where it has changed."""
        metadata = self.pod["metadata"]
        try:
            fresh = self._node.api.get("pods", metadata["name"], metadata["namespace"])
            if fresh["metadata"]["uid"] != self.uid:
                return
            status = pod_status(
                fresh,
                self.record,
                self._shown,
                host_ip=self._node.host_ip,
                now=self._node.clock.timestamp(),
                terminal=terminal,
            )
            if status != fresh.get("status"):
                fresh = self._node.api.update("pods", fresh | {"status": status}, subresource="status")
        except ApiError as error:
            if error.code != 404:
                raise
            return
        self.update(fresh)

    async def _interruptible(self, work: Awaitable[T]) -> T:
        """Await something that loses its purpose when the pod is to be terminated."""
        task = asyncio.ensure_future(work)
        stop = asyncio.ensure_future(self._terminating.wait())
        try:
            await asyncio.wait([task, stop], return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise _Interrupted
        finally:
            stop.cancel()
            if not task.done():
                task.cancel()
                await asyncio.wait([task])
            if not task.cancelled():
                task.exception()  # what came too late to matter is not to be reported as lost

    def _last_ended(self, name: str) -> Attempt | None:
        ended = [attempt for attempt in self.record.attempts[name] if not attempt.running]
        return ended[-1] if ended else None

    def _container(self, name: str) -> Object:
        spec = self.pod["spec"]
        return next(each for each in [*spec["containers"], *(spec.get("initContainers") or ())] if each["name"] == name)
