"""Every image case against what real nodes of each runtime version said, without a cluster around it.

The texts are those of the recordings: what the kubelet shows of a pull, and of the mount that follows it.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import socket
from pathlib import Path

import aiohttp
import pytest

from emulator.node.containerd import Credential, CriError, Identity, ImageStore, Platform, Profile
from emulator.registry import Registry
from fixtures import Forged, forge, image_cases

OBSERVATIONS = Path(__file__).parents[2] / "fixtures" / "observations"
VERSIONS = {"containerd-2.0": "2.0.14", "containerd-2.1": "2.1.9", "containerd-2.2": "2.2.9"} | {
    "containerd-2.3": "2.3.7",
    "containerd-2.4": "2.4.2",
}
NOBODY = Identity(65532, 0, (0, 65532))
PRIVILEGED = os.geteuid() == 0
IMAGES = {case.name: case for case in image_cases()}


def recorded(profile: str) -> dict[str, dict[str, object]]:
    path = OBSERVATIONS / f"kubernetes-1.36.3_containerd-{VERSIONS[profile]}.json"
    return json.loads(path.read_text())


def normalised(text: str, *registries: str) -> str:
    for name, registry in zip(("<registry>", "<private-registry>", "<no-registry>"), registries, strict=False):
        text = text.replace(registry, name)
    text = re.sub(r"sha256:[0-9a-f]{64}", "<digest>", text)
    text = re.sub(r"extract-[0-9]+-[A-Za-z0-9_=-]{4} ", "extract-<n> ", text)
    text = re.sub(r"/run/containerd/io\.containerd\.grpc\.v1\.cri/image-volumes/[^\" ]+", "<volume-mount>", text)
    text = re.sub(r'failed to generate container "[0-9a-f]{64}"', 'failed to generate container "<id>"', text)
    return re.sub(r"/var/lib/containerd/[^ ]+", "<path>", text)


async def push(client: aiohttp.ClientSession, registry: Registry, address: str, name: str, image: Forged) -> None:
    base = f"http://{address}/v2/{name}"
    for digest, blob in image.blobs.items():
        async with client.post(f"{base}/blobs/uploads/?digest={digest}", data=io.BytesIO(blob)) as response:
            assert response.status == 201, await response.text()
    for manifest in image.manifests:
        headers = {"Content-Type": manifest.media_type}
        for tag in (manifest.digest, *(["v1"] if manifest is image.manifests[-1] else [])):
            url = f"{base}/manifests/{tag}"
            async with client.put(url, data=manifest.content, headers=headers) as response:
                assert response.status == 201, await response.text()
    for tampering in image.tampering:
        if tampering.action == "delete":
            async with client.delete(f"{base}/blobs/{tampering.digest}") as response:
                assert response.status == 202
        else:
            registry.corrupt(name, tampering.digest)


async def outcome(store: ImageStore, reference: str, subpath: str = "") -> tuple[str, str]:
    try:
        image = await store.pull(reference)
    except CriError as error:
        return "ErrImagePull", str(error)
    try:
        await store.mount(image.id, subpath, NOBODY, sandbox_id="f" * 64)
    except CriError as error:
        return "CreateContainerError", error.message
    return "mounted", ""


@pytest.mark.parametrize("profile", VERSIONS)
def test_every_image_case_ends_as_on_the_real_node(profile: str, tmp_path: Path) -> None:
    async def run() -> dict[str, tuple[str, str]]:
        registry = Registry(tmp_path / "registry")
        address = await registry.listen()
        store = ImageStore(tmp_path / "node", Profile.load(profile), Platform("amd64"), privileged=PRIVILEGED)
        found = {}
        try:
            async with aiohttp.ClientSession() as client:
                for name in recorded(profile)["images"]:
                    await push(client, registry, address, f"lab/{name}", forge(IMAGES[name].images[name], nonce=name))
                    reason, text = await outcome(store, f"{address}/lab/{name}:v1")
                    found[name] = reason, normalised(text, address)
        finally:
            await store.close()
            await registry.close()
        return found

    found = asyncio.run(run())

    expected = {}
    for name, observation in recorded(profile)["images"].items():
        waiting = observation.get("waiting") or {"reason": "mounted", "message": ""}
        expected[name] = (waiting["reason"], waiting["message"])
    assert found == expected


@pytest.mark.parametrize("profile", VERSIONS)
def test_every_pull_of_a_pod_case_ends_as_on_the_real_node(profile: str, tmp_path: Path) -> None:
    pods = recorded(profile)["pods"]
    absent = "sha256:" + "0" * 64
    closed = socket.create_server(("127.0.0.1", 0))
    nowhere = f"127.0.0.1:{closed.getsockname()[1]}"
    closed.close()

    async def run() -> dict[str, str]:
        registry = Registry(tmp_path / "registry")
        address = await registry.listen()
        private = await registry.listen(basic_auth=("someone", "secret"))
        store = ImageStore(tmp_path / "node", Profile.load(profile), Platform("amd64"), privileged=PRIVILEGED)

        async def pull(reference: str, credential: Credential | None = None) -> str:
            try:
                await store.pull(reference, credential)
            except CriError as error:
                return normalised(str(error).replace(absent, "<absent-digest>"), address, private, nowhere)
            return ""

        try:
            async with aiohttp.ClientSession() as client:
                await push(client, registry, address, "lab/ok", forge(IMAGES["ok"].images["ok"]))
            return {
                "auth-none": await pull(f"{private}/lab/ok:v1"),
                "auth-badsecret": await pull(f"{private}/lab/ok:v1", Credential("someone", "wrong")),
                "auth-podsecret": await pull(f"{private}/lab/ok:v1", Credential("someone", "secret")),
                "digest-missing": await pull(f"{address}/lab/ok@{absent}"),
                "reg-down": await pull(f"{nowhere}/lab/ok:v1"),
            }
        finally:
            await store.close()
            await registry.close()

    found = asyncio.run(run())
    expected = {name: (pods[name].get("waiting") or {"message": ""})["message"] for name in found}
    if profile == "containerd-2.0":
        expected["auth-podsecret"] = ""  # pulled; there the container fails
    assert found == expected


@pytest.mark.parametrize("profile", [name for name in VERSIONS if name != "containerd-2.0"])
def test_every_subpath_ends_as_on_the_real_node(profile: str, tmp_path: Path) -> None:
    pods = recorded(profile)["pods"]
    subpaths = {"sub-dir": "config", "sub-file": "config/app.yaml", "sub-missing": "nope", "readOnly-true": ""}

    async def run() -> dict[str, tuple[str, list[str]]]:
        registry = Registry(tmp_path / "registry")
        address = await registry.listen()
        store = ImageStore(tmp_path / "node", Profile.load(profile), Platform("amd64"), privileged=PRIVILEGED)
        found = {}
        try:
            async with aiohttp.ClientSession() as client:
                await push(client, registry, address, "lab/ok", forge(IMAGES["ok"].images["ok"]))
            image = await store.pull(f"{address}/lab/ok:v1")
            for name, subpath in subpaths.items():
                try:
                    mount = await store.mount(image.id, subpath, NOBODY, sandbox_id="f" * 64)
                except CriError as error:
                    found[name] = normalised(error.message), []
                else:
                    found[name] = "", sorted(str(path.relative_to(mount.source)) for path in mount.source.rglob("*"))
        finally:
            await store.close()
            await registry.close()
        return found

    expected = {}
    for name in subpaths:
        files = (pods[name].get("probe") or {"files": {}})["files"]
        message = (pods[name].get("waiting") or {"message": ""})["message"]
        expected[name] = message, sorted(path for path in files if path != ".")
    assert asyncio.run(run()) == expected
