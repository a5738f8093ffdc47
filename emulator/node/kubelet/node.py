"""A node's kubelet: registers the node, follows the pods bound to it, and answers the API server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from emulator.clock import Clock
from emulator.cluster import Api, ApiError, EventRecorder, LogOptions
from emulator.cluster.errors import bad_request
from emulator.node.containerd import ImageStore, Profile
from emulator.node.kubelet.context import Addresses, NodeContext
from emulator.node.kubelet.logs import find_log, stream_log
from emulator.node.kubelet.node_object import LEASE_SECONDS, node_lease, node_object
from emulator.node.kubelet.providers import CredentialProviders
from emulator.node.kubelet.worker import PodWorker
from emulator.node.sandbox import Isolation

__all__ = ["KubeletNode"]

Object = dict[str, Any]

_POD_NETWORK = "10.244.0.0/16"
_LACKS = {"seccomp": "no seccomp profile confines a container, whatever its pod asks for"}


class KubeletNode:
    """One emulated node; implements `emulator.cluster.Kubelet`.

    `run` lives until it is cancelled and then ends every pod at once, as a machine that loses its power. What
    it keeps on disk is below `workdir`.
    """

    def __init__(
        self,
        api: Api,
        clock: Clock,
        images: ImageStore,
        isolation: Isolation,
        profile: Profile,
        workdir: Path,
        name: str = "imgvol-node",
        *,
        version: str = "",
        labels: Mapping[str, str] | None = None,
        taints: Sequence[Mapping[str, str]] = (),
        address: str = "127.0.0.1",
        network: str = _POD_NETWORK,
        providers: CredentialProviders | None = None,
    ) -> None:
        self.name = name
        self.ready = asyncio.Event()
        """Set once the node is registered."""
        self.isolation = isolation
        self.lacks = {**images.lacks, **isolation.lacks, **_LACKS}
        """What of a real node is missing, by capability, with the reason."""
        self._api = api
        self._context = NodeContext(
            api=api,
            clock=clock,
            images=images,
            isolation=isolation,
            workdir=workdir,
            name=name,
            recorder=EventRecorder(api, "kubelet", name),
            host_ip=address,
            addresses=Addresses(network),
            credentials=providers.lookup if providers else None,
        )
        self._node = node_object(
            name,
            runtime=f"containerd://{profile.version}",
            kubernetes=f"v{profile.kubernetes}",
            address=address,
            pod_cidr=network,
            lacks=self.lacks,
            version=version,
            labels=labels or {},
            taints=taints,
        )
        self._workers: dict[str, PodWorker] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def pods(self) -> tuple[Object, ...]:
        """The pods of which something is left on the node."""
        return tuple(worker.pod for worker in self._workers.values())

    async def run(self) -> None:
        """Register, then keep the node's pods as the API server says until cancelled."""
        self._api.kubelets[self.name] = self
        node = self._api.create("nodes", self._node)
        self._api.create("leases", node_lease(node), "kube-node-lease")
        heartbeat = asyncio.create_task(self._renew())
        watch = self._api.watch("pods", field_selector=f"spec.nodeName={self.name}")
        self.ready.set()
        try:
            async for event in watch:
                self._pod_changed(event.type, event.object)
        finally:
            watch.close()
            heartbeat.cancel()
            workers = tuple(self._workers.values())
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(heartbeat, *self._tasks.values(), return_exceptions=True)
            # A worker that was cleaning up already has been cut short.
            await asyncio.gather(*(worker.clean_up() for worker in workers))
            self._api.kubelets.pop(self.name, None)

    def _pod_changed(self, kind: str, pod: Object) -> None:
        uid = pod["metadata"]["uid"]
        worker = self._workers.get(uid)
        if kind == "DELETED":
            if worker is not None:
                worker.remove()
        elif worker is not None:
            worker.update(pod)
        else:
            worker = self._workers[uid] = PodWorker(self._context, pod)
            task = self._tasks[uid] = asyncio.create_task(worker.run(), name=f"pod {pod['metadata']['name']}")
            task.add_done_callback(lambda done: self._pod_over(uid, done))

    def _pod_over(self, uid: str, task: asyncio.Task[None]) -> None:
        self._workers.pop(uid, None)
        self._tasks.pop(uid, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            # A worker that breaks is a fault of this program: it must not look like a pod that hangs.
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"the worker of {task.get_name()} failed", "exception": error, "task": task}
            )

    async def _renew(self) -> None:
        while True:
            await self._context.clock.sleep(LEASE_SECONDS / 4)
            renewal = {"spec": {"renewTime": Clock.micro_timestamp()}}
            with contextlib.suppress(ApiError):  # deleted by somebody: there is nothing to renew
                self._api.patch("leases", self.name, renewal, "kube-node-lease", kind="merge")

    # What the API server asks

    def logs(self, pod: Object, container: str, options: LogOptions) -> AsyncIterator[bytes]:
        """The log of a container; ApiError (400) with the kubelet's text where there is none."""
        worker = self._worker(pod)
        attempt = find_log(pod, worker.record, container, previous=options.previous)
        return stream_log(attempt, options)

    async def dial(self, pod: Object, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to a port of the pod."""
        sandbox = self._worker(pod).record.sandbox
        if sandbox is None:
            raise ConnectionRefusedError(f"pod {pod['metadata']['name']} has no network")
        return await sandbox.dial(port)

    def _worker(self, pod: Object) -> PodWorker:
        worker = self._workers.get(pod["metadata"]["uid"])
        if worker is None:
            raise bad_request(f'pod "{pod["metadata"]["name"]}" cannot be found - no logs available')
        return worker
