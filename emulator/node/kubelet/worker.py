"""The life of one pod on its node: synced until it is done or deleted, then terminated.

Source: Kubernetes pkg/kubelet/pod_workers.go, kubelet.go (SyncPod, SyncTerminatingPod) and
kuberuntime_manager.go (SyncPod).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Mapping
from typing import Any, TypeVar

from emulator.cluster import ApiError
from emulator.node.containerd import ImageStatus
from emulator.node.kubelet.actions import compute, is_done
from emulator.node.kubelet.context import NodeContext
from emulator.node.kubelet.ending import end
from emulator.node.kubelet.failures import StartFailure, describe, go_duration
from emulator.node.kubelet.records import Attempt, PodRecord
from emulator.node.kubelet.runtime import PodRuntime
from emulator.node.kubelet.start import field_path
from emulator.node.kubelet.status import pod_status
from emulator.node.sandbox import SandboxError

__all__ = ["PodWorker"]

Object = dict[str, Any]
Pulled = Mapping[str, ImageStatus | StartFailure]
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
        self.pod = pod
        self.uid: str = pod["metadata"]["uid"]
        self._node = node
        self._failures: dict[str, StartFailure] = {}
        self._shown: dict[str, StartFailure] = {}
        self._secrets: list[Object] = []
        self._wake = asyncio.Event()
        self._runtime = PodRuntime(node, self.uid, ready_changed=self._ready_changed, happened=self._wake.set)
        self._terminating = asyncio.Event()
        self._grace_changed = asyncio.Event()
        self._gone = False
        self._done = False

    @property
    def record(self) -> PodRecord:
        """What runs of the pod, and what has ended."""
        return self._runtime.record

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
        """Leave nothing of the pod on the node."""
        await self._runtime.clean_up()
        self._node.image_manager.forget(self.uid)
        self._node.restarts.forget(self.uid)

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
        actions = compute(self.pod, self.record, self._runtime.unhealthy)
        ended = self._runtime.last_ended()
        for name, message in actions.kill.items():
            attempt = self.record.latest(name)
            assert attempt is not None
            await self._end(attempt, message)
        self._secrets = self._node.pull_secrets(self.pod)
        started = False
        if self.record.sandbox is None:
            if not await self._create_sandbox():
                return False
            started = True
        starts = actions.init is not None or bool(actions.start)
        pulled = await self._image_volumes() if starts or self._node.images.profile.volumes_of_ended_pods else {}
        if actions.init is not None:
            return await self._start(actions.init, pulled, ended) or started
        for container in actions.start:
            started |= await self._start(container, pulled, ended)
        return started

    async def _create_sandbox(self) -> bool:
        try:
            await self._runtime.create_sandbox(self.pod)
        except SandboxError as error:
            self._report("Warning", "FailedCreatePodSandBox", f"Failed to create pod sandbox: {error}")
            return False
        self._publish()
        return True

    async def _image_volumes(self) -> Pulled:
        """Pull the image of each image volume, mounted or not, one after the other."""
        results: dict[str, ImageStatus | StartFailure] = {}
        for volume in self.pod["spec"].get("volumes") or ():
            if image := volume.get("image"):
                try:
                    results[volume["name"]] = await self._ensure(image["reference"], image["pullPolicy"])
                except StartFailure as failure:
                    results[volume["name"]] = failure
        return results

    async def _start(self, container: Object, pulled: Pulled, ended: Mapping[str, Attempt]) -> bool:
        """Start a container, or remember why not; says whether the runtime has done anything."""
        name = container["name"]
        try:
            if name in ended:
                self._back_off(container, ended[name])
            volumes = self._volumes_of(container, pulled)
            try:
                image = await self._ensure(container["image"], container["imagePullPolicy"], container)
            except StartFailure as failure:
                self._report("Warning", "Failed", f"Error: {failure.reason}", container)
                raise
            problem = await self._runtime.start(self.pod, container, image, volumes)
        except StartFailure as failure:
            self._failures[name] = failure
            return False
        except SandboxError:
            # Something on the host has ended the pod's processes. The next sync makes a new sandbox.
            self._report("Normal", "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.")
            await self._runtime.stop_sandbox()
            return True
        if problem is not None:
            self._failures[name] = problem
            return True
        self._failures.pop(name, None)
        self._shown.pop(name, None)
        self._publish()
        return True

    def _back_off(self, container: Object, attempt: Attempt) -> None:
        """Refuse to restart a container before its back-off, counted from its last end, has passed."""
        restarts, name, where = self._node.restarts, container["name"], describe(self.pod)
        key = f"{self.uid}_{name}_{container['image']}"
        assert attempt.ended is not None
        if restarts.waiting_since(key, attempt.ended.at):
            message = f"Back-off restarting failed container {name} in pod {where}"
            self._report("Warning", "BackOff", message, container)
            delay = go_duration(restarts.delay(key))
            raise StartFailure("CrashLoopBackOff", f"back-off {delay} restarting failed container={name} pod={where}")
        restarts.next(key, attempt.ended.at)

    def _volumes_of(self, container: Object, pulled: Pulled) -> dict[str, ImageStatus]:
        """The images a container mounts; one that could not be had keeps only its own containers waiting."""
        found: dict[str, ImageStatus] = {}
        last: StartFailure | None = None
        for mount in container.get("volumeMounts") or ():
            image = pulled.get(mount["name"])
            if isinstance(image, StartFailure):
                self._report("Warning", "Failed", f"Error: {image.reason}", container)
                last = image
            elif image is not None:
                found[mount["name"]] = image
        if last is not None:
            raise last
        return found

    # Ending

    async def _end(self, attempt: Attempt, message: str) -> None:
        spec = self.pod["spec"]
        containers = [*spec["containers"], *(spec.get("initContainers") or ())]
        container = next(each for each in containers if each["name"] == attempt.name)
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
        await self._runtime.stop_sandbox()
        self._publish()

    async def _terminate(self) -> None:
        """End the pod with its grace period, report how it ended, and have the API server drop it."""
        running = list(self.record.running())
        await asyncio.gather(*(self._end(each, f"Stopping container {each.name}") for each in running))
        await self._runtime.stop_sandbox()
        if self._gone:
            return
        self._publish(terminal=True)
        metadata = self.pod["metadata"]
        with contextlib.suppress(ApiError):  # somebody else was faster
            self._node.api.delete("pods", metadata["name"], metadata["namespace"], grace_period=0, uid=self.uid)

    # What it says and asks

    def _report(self, type_: str, reason: str, message: str, container: Object | None = None) -> None:
        """An event about the pod, or about one of its containers."""
        path = field_path(self.pod, container) if container else ""
        self._node.recorder.record(self.pod, type_, reason, message, path)

    def _ready_changed(self) -> None:
        self._publish()
        self._wake.set()  # a kubelet syncs a pod whose readiness has changed

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

    async def _ensure(self, reference: str, policy: str, container: Object | None = None) -> ImageStatus:
        """Have an image on the node, for a container or (without one) for a volume of the pod."""
        return await self._interruptible(
            self._node.image_manager.ensure(
                reference,
                policy,
                pod_uid=self.uid,
                secrets=self._secrets,
                report=lambda type_, reason, message: self._report(type_, reason, message, container),
            )
        )

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
