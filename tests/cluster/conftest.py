"""An API server over HTTPS in a thread of its own, as a client process would meet it."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

import pytest

from emulator.cluster import Api, ApiError, ApiServer, LogOptions
from emulator.cluster.errors import bad_request

T = TypeVar("T")
Object = dict[str, Any]


class TestKubelet:
    """Stands for a node: keeps logs as lists of lines, and reaches a pod's port on loopback."""

    __test__ = False

    def __init__(self) -> None:
        self.lines: dict[str, list[str]] = {}
        self.more: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.ports: dict[tuple[str, int], int] = {}
        self.asked: list[LogOptions] = []

    async def logs(self, pod: Object, container: str, options: LogOptions) -> AsyncIterator[bytes]:
        self.asked.append(options)
        if container not in self.lines:
            name = pod["metadata"]["name"]
            raise bad_request(f'container "{container}" in pod "{name}" is waiting to start: ContainerCreating')
        for line in self.lines[container]:
            yield f"{line}\n".encode()
        if options.follow:
            await self.more[container].wait()
            yield b"the end\n"

    async def dial(self, pod: Object, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        local = self.ports.get((pod["metadata"]["name"], port))
        if local is None:
            raise ConnectionRefusedError(111, "Connection refused")
        return await asyncio.open_connection("127.0.0.1", local)


class Server:
    """A running API server; `call` runs something on its event loop, where the Api lives."""

    def __init__(self) -> None:
        self.kubelet = TestKubelet()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.api: Api = self.call(Api)
        self.api.kubelets["node"] = self.kubelet
        self.https = ApiServer(self.api)
        self.wait(self.https.start())

    def call(self, function: Callable[[], T]) -> T:
        result: Future[T] = Future()

        def run() -> None:
            try:
                result.set_result(function())
            except BaseException as error:
                result.set_exception(error)

        self._loop.call_soon_threadsafe(run)
        return result.result(10)

    def wait(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    def namespace(self, name: str, **labels: str) -> str:
        self.call(lambda: self.api.create("namespaces", {"metadata": {"name": name, "labels": labels}}))
        return name

    def close(self) -> None:
        self.wait(self.https.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def api() -> Api:
    return Api()


def make_pod(name: str = "p", **spec: Any) -> Object:
    """A pod as the recordings' cases make it: one container with the image volume `content`."""
    container = {
        "name": "probe",
        "image": "registry/lab/probe:v1",
        "volumeMounts": [{"name": "content", "mountPath": "/content"}],
    }
    volume = {"name": "content", "image": {"reference": "registry/lab/ok:v1"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": [container], "volumes": [volume]} | spec,
    }


def refusal(function: Callable[..., Any], *arguments: Any, **named: Any) -> ApiError:
    """The ApiError a call ends in."""
    with pytest.raises(ApiError) as caught:
        function(*arguments, **named)
    return caught.value


@pytest.fixture(name="make_pod")
def _make_pod() -> Callable[..., Object]:
    return make_pod


@pytest.fixture(name="refusal")
def _refusal() -> Callable[..., ApiError]:
    return refusal
