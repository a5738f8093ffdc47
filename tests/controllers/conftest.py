"""A cluster without nodes of its own: the real API server and controllers, and a kubelet the test decides for."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from emulator.clock import Clock
from emulator.cluster import Api, ApiError
from emulator.cluster.controllers import all_controllers
from emulator.cluster.resources import RESOURCES

Object = dict[str, Any]


class Lab:
    """An Api with all controllers running, and pods that run once they are bound."""

    def __init__(self, api: Api, clock: Clock) -> None:
        self.api = api
        self.clock = clock
        self.becomes_ready: Callable[[Object], bool] = lambda pod: True
        self.ends_at_once = True
        self._addresses = 0
        self._changed = asyncio.Event()

    def add_node(self, name: str, **spec: Any) -> Object:
        status = {
            "allocatable": {"cpu": "2", "memory": "1Gi", "pods": "110"},
            "conditions": [{"type": "Ready", "status": "True"}],
        }
        labels = {"kubernetes.io/hostname": name}
        return self.api.create("nodes", {"metadata": {"name": name, "labels": labels}, "spec": spec, "status": status})

    def pods(self, namespace: str = "default") -> list[Object]:
        return self.api.list("pods", namespace).items

    def images(self) -> list[str]:
        """The images of pods that are not being deleted."""
        alive = (pod for pod in self.pods() if "deletionTimestamp" not in pod["metadata"])
        return sorted(pod["spec"]["containers"][0]["image"] for pod in alive)

    def events(self, reason: str) -> list[str]:
        return [event["message"] for event in self.api.list("events").items if event["reason"] == reason]

    async def until(self, check: Callable[[], Any], what: str = "what the test waits for") -> Any:
        """Wait until `check` gives something true."""
        try:
            async with asyncio.timeout(20):
                while not (found := check()):
                    self._changed.clear()
                    await self._changed.wait()
                return found
        except TimeoutError:
            raise AssertionError(f"{what} never came") from None

    async def quiet(self) -> None:
        """Until nothing has happened for a while: for what must not happen there is no event to wait for."""
        revision, since = -1, 0
        while since < 20:
            await asyncio.sleep(0)
            since = since + 1 if self.api.store.revision == revision else 0
            revision = self.api.store.revision

    async def listen(self, resource: str) -> None:
        async for _ in self.api.watch(resource):
            self._changed.set()

    async def kubelet(self) -> None:
        watch = self.api.watch("pods")
        async for event in watch:
            pod = event.object
            if event.type == "DELETED" or not pod["spec"].get("nodeName"):
                continue
            if "deletionTimestamp" in pod["metadata"]:
                if self.ends_at_once:
                    self.end(pod)
            elif (pod.get("status") or {}).get("phase") == "Pending":
                with suppress(StopIteration):
                    self.run(pod, ready=self.becomes_ready(pod))

    def run(self, pod: Object, *, ready: bool) -> None:
        pod = next(
            each
            for each in self.pods(pod["metadata"]["namespace"])
            if each["metadata"]["uid"] == pod["metadata"]["uid"]
        )
        status = pod["status"]
        kept = [each for each in status.get("conditions") or () if each["type"] != "Ready"]
        word = "True" if ready else "False"
        kept.append({"type": "Ready", "status": word, "lastTransitionTime": self.clock.timestamp()})
        if "podIP" not in status:
            self._addresses += 1
            address = f"10.0.{self._addresses // 250}.{self._addresses % 250 + 1}"
            status.update(podIP=address, podIPs=[{"ip": address}])
        status.update(phase="Running", conditions=kept)
        self.api.update("pods", pod, subresource="status")

    def end(self, pod: Object) -> None:
        metadata = pod["metadata"]
        with suppress(ApiError):
            self.api.delete("pods", metadata["name"], metadata["namespace"], grace_period=0, uid=metadata["uid"])


@asynccontextmanager
async def _lab(speed: float, nodes: int) -> AsyncIterator[Lab]:
    clock = Clock(speed)
    lab = Lab(Api(), clock)
    for number in range(nodes):
        lab.add_node(f"node-{number + 1}")
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(each.run()) for each in all_controllers(lab.api, clock)]
        running.append(tasks.create_task(lab.kubelet()))
        running += [tasks.create_task(lab.listen(resource)) for resource in RESOURCES]
        try:
            yield lab
        finally:
            for task in running:
                task.cancel()


@pytest.fixture
def in_lab(caplog: pytest.LogCaptureFixture) -> Callable[..., None]:
    """Run a test in a lab. A controller that logs a warning or worse fails it, unless it is one of `warnings`."""

    def run(
        test: Callable[[Lab], Awaitable[None]], *, speed: float = 1.0, nodes: int = 1, warnings: str = "(?!)"
    ) -> None:
        async def body() -> None:
            async with _lab(speed, nodes) as lab:
                await test(lab)

        with caplog.at_level(logging.WARNING):
            asyncio.run(body())
        messages = [record.getMessage() for record in caplog.records]
        assert [each for each in messages if not re.search(warnings, each)] == []

    return run


def deployment(image: str = "app:v1", replicas: int = 3, name: str = "web", **spec: Any) -> Object:
    labels = {"app": name}
    container = {"name": "main", "image": image, "ports": [{"name": "http", "containerPort": 8080}]}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 30},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template, **spec},
    }


@pytest.fixture
def deployment_of() -> Callable[..., Object]:
    return deployment
