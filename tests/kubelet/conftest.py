"""A real node below a real API: registry, controllers, kubelet, and processes in namespaces."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import hashlib
import io
import json
import logging
import os
import subprocess
import tarfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from emulator.clock import Clock
from emulator.cluster import Api
from emulator.cluster.controllers import all_controllers
from emulator.node.containerd import ImageStore, Platform, Profile
from emulator.node.kubelet import KubeletNode
from emulator.node.kubelet.node_object import architecture
from emulator.node.sandbox import Isolation, IsolationError, StateDir, detect
from emulator.registry import Registry
from fixtures import ImageSpec, forge, image_cases, program

Object = dict[str, Any]
CREDENTIALS = ("demo", "hunter2")
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class NodeLab:
    """One node; `registry` and `private` are its registries' addresses."""

    def __init__(self, api: Api, clock: Clock, registry: str, private: str, kubelet: KubeletNode, actor: Path) -> None:
        self.api = api
        self.clock = clock
        self.registry = registry
        self.private = private
        self.kubelet = kubelet
        self.actor = actor
        self.changed = asyncio.Event()
        self._http = aiohttp.ClientSession()

    async def close(self) -> None:
        await self._http.close()

    # Images

    async def push(self, name: str, spec: ImageSpec, *, tag: str = "v1", nonce: str = "") -> str:
        """Push an image to lab/NAME:TAG; returns the reference at the open registry."""
        image = forge(spec, architecture=architecture(), nonce=nonce)
        for digest, blob in image.blobs.items():
            await self._put_blob(f"lab/{name}", digest, blob)
        for manifest in image.manifests:
            last = manifest is image.manifests[-1]
            await self._put(
                f"lab/{name}/manifests/{tag if last else manifest.digest}", manifest.content, manifest.media_type
            )
        return f"{self.registry}/lab/{name}:{tag}"

    async def push_case(self, name: str, *, tag: str = "v1", nonce: str = "") -> str:
        case = next(case for case in image_cases() if case.name == name)
        return await self.push(name, case.images[name], tag=tag, nonce=nonce)

    async def push_program(
        self,
        name: str,
        binary: Path,
        *,
        config: Mapping[str, Any] | None = None,
        files: Mapping[str, str] | None = None,
    ) -> str:
        """Push an image from scratch with one static program, /NAME, as its entrypoint."""
        entries = {name: binary.read_bytes()} | {path: text.encode() for path, text in (files or {}).items()}
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for path, content in entries.items():
                info = tarfile.TarInfo(path)
                info.size, info.mode = len(content), 0o755
                tar.addfile(info, io.BytesIO(content))
        raw = buffer.getvalue()
        layer = gzip.compress(raw, 1)

        def digest(content: bytes) -> str:
            return "sha256:" + hashlib.sha256(content).hexdigest()

        settings = {"Entrypoint": [f"/{name}"], **(config or {})}
        document = json.dumps(
            {
                "architecture": architecture(),
                "os": "linux",
                "config": settings,
                "rootfs": {"type": "layers", "diff_ids": [digest(raw)]},
            }
        ).encode()
        for blob in (layer, document):
            await self._put_blob(f"lab/{name}", digest(blob), blob)
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": digest(document),
                "size": len(document),
            },
            "layers": [
                {
                    "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                    "digest": digest(layer),
                    "size": len(layer),
                }
            ],
        }
        await self._put(f"lab/{name}/manifests/v1", json.dumps(manifest).encode(), MANIFEST)
        return f"{self.registry}/lab/{name}:v1"

    async def _put_blob(self, repository: str, digest: str, blob: bytes) -> None:
        base = f"http://{self.registry}"
        async with self._http.post(f"{base}/v2/{repository}/blobs/uploads/") as started:
            location = started.headers["Location"]
        url = location if location.startswith("http") else base + location
        async with self._http.put(url, params={"digest": digest}, data=io.BytesIO(blob)) as done:
            assert done.status == 201, await done.text()

    async def _put(self, path: str, content: bytes, media_type: str) -> None:
        url = f"http://{self.registry}/v2/{path}"
        async with self._http.put(url, data=content, headers={"Content-Type": media_type}) as done:
            assert done.status == 201, await done.text()

    async def push_probe(self) -> str:
        return await self.push_program("probe", program("probe", architecture()))

    async def push_engine(self) -> str:
        return await self.push_program("engine", program("engine", architecture()))

    async def push_actor(self, **options: Any) -> str:
        return await self.push_program("actor", self.actor, **options)

    # Objects

    def create(self, pod: Object) -> Object:
        return self.api.create("pods", pod, "default")

    def secret(self, name: str, registry: str, user: str = CREDENTIALS[0], password: str = CREDENTIALS[1]) -> Object:
        auth = base64.b64encode(f"{user}:{password}".encode()).decode()
        config = json.dumps({"auths": {registry: {"auth": auth}}}).encode()
        return self.api.create(
            "secrets",
            {
                "metadata": {"name": name},
                "type": "kubernetes.io/dockerconfigjson",
                "data": {".dockerconfigjson": base64.b64encode(config).decode()},
            },
            "default",
        )

    def pod(self, name: str) -> Object:
        return self.api.get("pods", name, "default")

    def events(self, name: str) -> list[tuple[str, str, str, str]]:
        """Type, reason, message and fieldPath of a pod's events, oldest first, without Scheduled."""
        return [
            (each["type"], each["reason"], each["message"], each["involvedObject"].get("fieldPath", ""))
            for each in sorted(self.api.list("events").items, key=lambda each: int(each["metadata"]["resourceVersion"]))
            if each["involvedObject"]["name"] == name and each["reason"] != "Scheduled"
        ]

    def first_events(self, name: str) -> list[tuple[str, str, str]]:
        """Reason, message and fieldPath in the order of each event's first time."""
        found = [
            each
            for each in self.api.list("events").items
            if each["involvedObject"]["name"] == name and each["reason"] != "Scheduled"
        ]
        found.sort(key=lambda each: int(each["metadata"]["name"].rpartition(".")[2], 16))
        return [(each["reason"], each["message"], each["involvedObject"].get("fieldPath", "")) for each in found]

    async def until(self, check: Callable[[], Any], what: str = "what the test waits for") -> Any:
        """Wait until `check` gives something true."""
        try:
            async with asyncio.timeout(20):
                while not (found := check()):
                    self.changed.clear()
                    await self.changed.wait()
                return found
        except TimeoutError:
            pods = json.dumps([pod["status"] for pod in self.api.list("pods").items], indent=1)
            raise AssertionError(f"{what} never came: {pods}") from None

    async def until_phase(self, name: str, *phases: str) -> Object:
        return await self.until(
            lambda: (pod := self.pod(name))["status"]["phase"] in phases and pod, f"phase {phases} of {name}"
        )

    async def until_waiting(self, name: str, reason: str, container: int = 0) -> Object:
        def check() -> Object | None:
            statuses = self.pod(name)["status"].get("containerStatuses") or []
            waiting = statuses[container]["state"].get("waiting") if statuses else None
            return waiting if waiting and waiting["reason"] == reason else None

        found: Object = await self.until(check, f"waiting with {reason}")
        return found

    async def log(self, name: str, container: str = "main", **options: Any) -> str:
        from emulator.cluster import LogOptions

        chunks = [chunk async for chunk in self.kubelet.logs(self.pod(name), container, LogOptions(**options))]
        return b"".join(chunks).decode()

    async def says(self, name: str, text: str) -> None:
        """Wait until a pod's log has a text."""
        from emulator.cluster import LogOptions

        seen = b""
        async for chunk in self.kubelet.logs(self.pod(name), "main", LogOptions(follow=True)):
            seen += chunk
            if text.encode() in seen:
                return

    async def follow(self, resource: str) -> None:
        async for _ in self.api.watch(resource):
            self.changed.set()


@pytest.fixture(scope="session")
def isolation() -> Isolation:
    try:
        return detect()
    except IsolationError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def actor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program that does in a container what a test tells it to."""
    output = tmp_path_factory.mktemp("actor") / "actor"
    subprocess.run(
        ["go", "build", "-trimpath", "-o", str(output), "."],
        cwd=Path(__file__).parent / "actor",
        env={**os.environ, "CGO_ENABLED": "0"},
        check=True,
    )
    return output


@contextlib.asynccontextmanager
async def _lab(isolation: Isolation, actor: Path, speed: float, runtime: str) -> AsyncIterator[NodeLab]:
    clock = Clock(speed)
    with StateDir() as state:
        root: Path = state.path
        registry = Registry(root / "registry", clock=clock)
        api = Api()
        profile = Profile.load(runtime)
        images = ImageStore(root / "images", profile, Platform(architecture()), privileged=isolation.mode == "root")
        kubelet = KubeletNode(api, clock, images, isolation, profile, root / "node", version="test")
        address, private = await registry.listen(), await registry.listen(basic_auth=CREDENTIALS)
        lab = NodeLab(api, clock, address, private, kubelet, actor)
        try:
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(each.run()) for each in all_controllers(api, clock)]
                running.append(tasks.create_task(kubelet.run()))
                running += [tasks.create_task(lab.follow(each)) for each in ("pods", "events", "nodes", "leases")]
                await kubelet.ready.wait()
                try:
                    yield lab
                finally:
                    for task in running:
                        task.cancel()
        finally:
            await lab.close()
            await images.close()
            await registry.close()


@pytest.fixture
def on_node(isolation: Isolation, actor: Path, caplog: pytest.LogCaptureFixture) -> Callable[..., None]:
    """Run a test on a node; anything logged as a warning or worse fails it."""

    def run(
        test: Callable[[NodeLab], Awaitable[None]], *, speed: float = 20.0, runtime: str = "containerd-2.3"
    ) -> None:
        async def body() -> None:
            async with _lab(isolation, actor, speed, runtime) as lab:
                await test(lab)

        with caplog.at_level(logging.WARNING):
            asyncio.run(body())
        assert [record.getMessage() for record in caplog.records] == []

    return run


def pod_of(
    name: str, image: str, volumes: Mapping[str, str] | None = None, *, policy: str = "IfNotPresent", **spec: Any
) -> Object:
    """A pod with one container `main` that mounts each image volume at /NAME."""
    container = {
        "name": "main",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "volumeMounts": [{"name": each, "mountPath": f"/{each}"} for each in volumes or {}],
        **spec.pop("container", {}),
    }
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 30,
            "securityContext": {"runAsUser": 65532, "runAsNonRoot": True, "fsGroup": 65532},
            "containers": [container],
            "volumes": [
                {"name": each, "image": {"reference": reference, "pullPolicy": policy}}
                for each, reference in (volumes or {}).items()
            ],
            **spec,
        },
    }


@pytest.fixture
def make_pod() -> Callable[..., Object]:
    return pod_of
