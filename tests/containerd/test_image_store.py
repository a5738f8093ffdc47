"""What a node knows of the images it pulled, over real HTTP from the emulator's registry."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import os
import resource
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from backports import zstd

from emulator.node.containerd import CriError, Identity, ImageStore, Platform, Profile
from emulator.registry import Registry
from fixtures import Entry, tar_bytes

NOBODY = Identity(65532, 0, (0, 65532))
PRIVILEGED = os.geteuid() == 0
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
EMPTY = "application/vnd.oci.empty.v1+json"


def digest_of(raw: bytes) -> str:
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


def descriptor(raw: bytes, media_type: str, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(raw), "size": len(raw), **more}


def compress(tar: bytes, how: str) -> bytes:
    if how == "gzip":
        return gzip.compress(tar, mtime=0)
    return zstd.compress(tar) if how == "zstd" else tar


@dataclass
class Lab:
    """A registry and a node."""

    registry: Registry
    address: str
    store: ImageStore
    client: aiohttp.ClientSession

    async def blob(self, name: str, raw: bytes) -> None:
        url = f"http://{self.address}/v2/{name}/blobs/uploads/?digest={digest_of(raw)}"
        async with self.client.post(url, data=raw) as response:
            assert response.status == 201

    async def document(self, name: str, tag: str, fields: dict[str, Any]) -> dict[str, Any]:
        raw = json.dumps(fields).encode()
        url = f"http://{self.address}/v2/{name}/manifests/{tag or digest_of(raw)}"
        headers = {"Content-Type": fields["mediaType"]}
        async with self.client.put(url, data=raw, headers=headers) as response:
            assert response.status == 201, await response.text()
        return descriptor(raw, fields["mediaType"])

    async def image(
        self,
        name: str,
        tag: str,
        layers: list[tuple[bytes, str]],
        *,
        config: dict[str, Any] | bytes | None = None,
        config_type: str = CONFIG,
        diff_ids: list[str] | None = None,
    ) -> dict[str, Any]:
        """Push an image of tars, each with how it is compressed; returns its descriptor."""
        packed = []
        for tar, how in layers:
            blob = compress(tar, how)
            await self.blob(name, blob)
            packed.append(descriptor(blob, LAYER + {"gzip": "+gzip", "zstd": "+zstd"}.get(how, "")))
        if not isinstance(config, bytes):
            rootfs = {"type": "layers", "diff_ids": diff_ids or [digest_of(tar) for tar, _ in layers]}
            fields = {"architecture": "amd64", "os": "linux", "rootfs": rootfs} | (config or {})
            config = json.dumps(fields).encode()
        await self.blob(name, config)
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(config, config_type)}
        return await self.document(name, tag, manifest | {"layers": packed})

    async def requests(self) -> list[str]:
        async with self.client.get(f"http://{self.address}/_emulator/requests") as response:
            return [f"{one['method']} {one['path']}" for one in (await response.json())]


@asynccontextmanager
async def lab(folder: Path, *, privileged: bool = PRIVILEGED, profile: str = "containerd-2.3") -> AsyncIterator[Lab]:
    registry = Registry(folder / "registry")
    address = await registry.listen()
    store = ImageStore(folder / "node", Profile.load(profile), Platform("amd64"), privileged=privileged)
    async with aiohttp.ClientSession() as client:
        try:
            yield Lab(registry, address, store, client)
        finally:
            await store.close()
            await registry.close()


Story = Callable[[Lab], Awaitable[None]]


@pytest.fixture
def tell(tmp_path: Path) -> Callable[..., None]:
    """Run a story in a lab of its own."""

    def run(story: Story, **options: Any) -> None:
        async def within() -> None:
            async with lab(tmp_path, **options) as it:
                await story(it)
            assert not (tmp_path / "node").exists()

        asyncio.run(within())

    return run


def tar(text: str, *more: Entry) -> bytes:
    return tar_bytes([Entry("file", content=text.encode()), *more])


def test_an_image_is_known_by_tag_digest_and_id(tell: Callable[..., None]) -> None:
    async def story(it: Lab) -> None:
        target = await it.image("lab/app", "v1", [(tar("one"), "gzip")])
        reference = f"{it.address}/lab/app"
        assert it.store.status(f"{reference}:v1") is None

        image = await it.store.pull(f"{reference}:v1")

        assert image.target == target["digest"]
        assert image.repo_tags == (f"{reference}:v1",)
        assert image.repo_digests == (f"{reference}@{target['digest']}",)
        assert image.config["architecture"] == "amd64"
        for name in ("reference:v1", "@", ":v1@", ":other@", "id"):
            known = {"reference:v1": f"{reference}:v1", "id": image.id}.get(name)
            assert it.store.status(known or f"{reference}{name}{target['digest']}") == image
        assert it.store.status(f"{reference}:v2") is None
        assert it.store.status(f"{reference}@sha256:{'0' * 64}") is None
        assert it.store.status("Not A Reference") is None

    tell(story)


def test_the_size_is_that_of_documents_and_compressed_layers(tell: Callable[..., None]) -> None:
    async def story(it: Lab) -> None:
        layer = tar("one")
        manifest = await it.image("lab/app", "", [(layer, "gzip")])
        index = await it.document(
            "lab/app",
            "v1",
            {
                "schemaVersion": 2,
                "mediaType": INDEX,
                "manifests": [manifest | {"platform": {"architecture": "amd64", "os": "linux"}}],
            },
        )
        image = await it.store.pull(f"{it.address}/lab/app:v1")
        config = len(json.dumps(image.config))
        assert image.size == index["size"] + manifest["size"] + config + len(gzip.compress(layer, mtime=0))
        assert image.target == index["digest"]

    tell(story)


def test_a_moved_tag_leaves_the_old_image_to_its_digest(tell: Callable[..., None]) -> None:
    async def story(it: Lab) -> None:
        reference = f"{it.address}/lab/app:v1"
        await it.image("lab/app", "v1", [(tar("one"), "gzip")])
        old = await it.store.pull(reference)
        await it.image("lab/app", "v1", [(tar("two"), "gzip")])
        assert it.store.status(reference) == old
        new = await it.store.pull(reference)
        assert new.id != old.id
        assert it.store.status(reference) == new
        left = it.store.status(old.id)
        assert left is not None
        assert (left.repo_tags, left.repo_digests) == ((), old.repo_digests)
        for image, text in ((old, "one"), (new, "two")):
            mount = await it.store.mount(image.id, "", NOBODY)
            assert (mount.source / "file").read_text() == text

    tell(story)


@pytest.mark.parametrize("how", ["gzip", "zstd", "none"])
def test_layers_however_compressed(tell: Callable[..., None], how: str) -> None:
    async def story(it: Lab) -> None:
        lower = tar("lower", Entry("gone"))
        upper = tar_bytes([Entry(".wh.gone"), Entry("new", content=b"x" * 300_000)])
        await it.image("lab/app", "v1", [(lower, how), (upper, how)])
        image = await it.store.pull(f"{it.address}/lab/app:v1")
        mount = await it.store.mount(image.id, "", NOBODY)
        assert {path.name: path.stat().st_size for path in mount.source.iterdir()} == {"file": 5, "new": 300_000}
        assert not mount.empty
        assert mount.source == mount.snapshot

    tell(story)


@pytest.mark.parametrize(
    ("written", "declared"), [("zstd", "+gzip"), ("gzip", "+zstd"), ("none", "+gzip")], ids=lambda value: value
)
def test_the_first_bytes_tell_the_compression_not_the_media_type(
    tell: Callable[..., None], written: str, declared: str
) -> None:
    async def story(it: Lab) -> None:
        layer = tar("one")
        blob = {"zstd": zstd.compress, "gzip": gzip.compress, "none": bytes}[written](layer)
        await it.blob("lab/app", blob)
        config = json.dumps(
            {"architecture": "amd64", "os": "linux", "rootfs": {"diff_ids": [digest_of(layer)]}}
        ).encode()
        await it.blob("lab/app", config)
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(config, CONFIG)}
        await it.document("lab/app", "v1", manifest | {"layers": [descriptor(blob, LAYER + declared)]})
        image = await it.store.pull(f"{it.address}/lab/app:v1")
        assert ((await it.store.mount(image.id, "", NOBODY)).source / "file").read_text() == "one"

    tell(story)


@pytest.mark.parametrize("how", ["gzip", "zstd"])
def test_a_compressed_layer_that_says_it_is_not_is_no_tar(tell: Callable[..., None], how: str) -> None:
    async def story(it: Lab) -> None:
        blob = compress(tar_bytes([Entry("file", content=os.urandom(2000))]), how)
        await it.image("lab/app", "v1", [(blob, "none")], diff_ids=[digest_of(tar("one"))])
        with pytest.raises(CriError, match=r"containerd-mount[0-9]+: archive/tar: invalid tar header$"):
            await it.store.pull(f"{it.address}/lab/app:v1")

    tell(story)


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (lambda blob: blob[:-4], r"_?: unexpected EOF$"),  # the archive is whole, what follows it is not
        (lambda blob: blob[:-8] + b"\0" * 8, "gzip: invalid checksum$"),
        (lambda blob: blob + b"trailing bytes", "gzip: invalid header$"),
        (lambda blob: blob[: len(blob) // 2], r"containerd-mount[0-9]+: unexpected EOF$"),
        (
            lambda blob: blob[:10] + b"\x07" + blob[11:],
            r"containerd-mount[0-9]+: flate: corrupt input before offset [0-9]+$",
        ),
    ],
    ids=["tail", "checksum", "trailing", "half", "corrupt"],
)
def test_damaged_gzip(tell: Callable[..., None], damage: Callable[[bytes], bytes], text: str) -> None:
    async def story(it: Lab) -> None:
        layer = tar_bytes([Entry("file", content=" ".join(map(str, range(3000))).encode())])
        blob = damage(gzip.compress(layer, mtime=0))
        await it.blob("lab/app", blob)
        config = json.dumps(
            {"architecture": "amd64", "os": "linux", "rootfs": {"diff_ids": [digest_of(layer)]}}
        ).encode()
        await it.blob("lab/app", config)
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(config, CONFIG)}
        await it.document("lab/app", "v1", manifest | {"layers": [descriptor(blob, f"{LAYER}+gzip")]})
        with pytest.raises(CriError, match=text) as raised:
            await it.store.pull(f"{it.address}/lab/app:v1")
        assert raised.value.message.startswith(
            f'failed to pull and unpack image "{it.address}/lab/app:v1": failed to extract'
        )
        assert it.store.status(f"{it.address}/lab/app:v1") is None

    tell(story)


def test_several_gzip_members_are_one_stream(tell: Callable[..., None]) -> None:
    async def story(it: Lab) -> None:
        layer = tar("one")
        blob = gzip.compress(layer[:700]) + gzip.compress(layer[700:])
        await it.blob("lab/app", blob)
        config = json.dumps(
            {"architecture": "amd64", "os": "linux", "rootfs": {"diff_ids": [digest_of(layer)]}}
        ).encode()
        await it.blob("lab/app", config)
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(config, CONFIG)}
        await it.document("lab/app", "v1", manifest | {"layers": [descriptor(blob, f"{LAYER}+gzip")]})
        image = await it.store.pull(f"{it.address}/lab/app:v1")
        assert ((await it.store.mount(image.id, "", NOBODY)).source / "file").read_text() == "one"

    tell(story)


def test_what_is_there_is_not_fetched_again(tell: Callable[..., None]) -> None:
    async def story(it: Lab) -> None:
        shared = (tar("shared"), "gzip")
        await it.image("lab/a", "v1", [shared])
        await it.image("lab/b", "v1", [shared, (tar("own"), "gzip")])
        await it.store.pull(f"{it.address}/lab/a:v1")
        await it.store.pull(f"{it.address}/lab/b:v1")
        await it.store.pull(f"{it.address}/lab/b:v1")
        pulled = [one for one in await it.requests() if one.startswith(("GET /v2/", "HEAD /v2/"))]
        assert [one.split(" ")[0] for one in pulled if "/manifests/v1" in one] == ["HEAD"] * 3
        assert len([one for one in pulled if "/blobs/" in one]) == 4  # two configs, the shared layer, b's own

    tell(story)


def test_pulls_at_once_share_their_downloads(tell: Callable[..., None], tmp_path: Path) -> None:
    async def story(it: Lab) -> None:
        await it.image("lab/a", "v1", [(tar("shared"), "gzip")])
        await it.image("lab/b", "v1", [(tar("shared"), "gzip")])
        references = [f"{it.address}/lab/{name}:v1" for name in "aabbab"]
        images = await asyncio.gather(*(it.store.pull(reference) for reference in references))
        assert len({image.id for image in images}) == 1
        fetched = [one for one in await it.requests() if one.startswith("GET") and "/blobs/" in one]
        assert len(fetched) == 2
        assert len(list((tmp_path / "node" / "layers").iterdir())) == 1
        mounts = await asyncio.gather(*(it.store.mount(image.id, "", NOBODY) for image in images))
        assert len({mount.source for mount in mounts}) == 1

    tell(story)


def test_artifacts_with_an_empty_config_are_one_image_the_last_pulled(tell: Callable[..., None]) -> None:
    async def story(it: Lab) -> None:
        for name in ("a", "b"):
            await it.image(f"lab/{name}", "v1", [], config=b"{}", config_type=EMPTY)
            raw = name.encode()
            await it.blob(f"lab/{name}", raw)
            manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/vnd.example"}
            layers = [descriptor(raw, "application/octet-stream")]
            document = manifest | {"config": descriptor(b"{}", EMPTY), "layers": layers}
            await it.document(f"lab/{name}", "v1", document)
        first = await it.store.pull(f"{it.address}/lab/a:v1")
        second = await it.store.pull(f"{it.address}/lab/b:v1")
        assert first.id == second.id == "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
        assert set(second.repo_tags) == {f"{it.address}/lab/a:v1", f"{it.address}/lab/b:v1"}
        mount = await it.store.mount(second.id, "", NOBODY)
        assert list(mount.source.iterdir()) == []
        assert mount.empty

    tell(story)


def test_an_image_of_another_architecture_is_unpacked_when_it_is_mounted(tell: Callable[..., None]) -> None:
    async def story(it: Lab) -> None:
        await it.image("lab/good", "v1", [(tar("one"), "gzip")], config={"architecture": "arm64"})
        await it.image(
            "lab/bad", "v1", [(tar("two"), "gzip")], config={"architecture": "arm64"}, diff_ids=["sha256:" + "5" * 64]
        )
        good = await it.store.pull(f"{it.address}/lab/good:v1")
        assert ((await it.store.mount(good.id, "", NOBODY)).source / "file").read_text() == "one"
        bad = await it.store.pull(f"{it.address}/lab/bad:v1")
        with pytest.raises(CriError) as raised:
            await it.store.mount(bad.id, "", NOBODY)
        assert raised.value.message == (
            "failed to mount image volume: ImageVolumeMountFailed: failed to unpack image volume: "
            f'apply layer error for "{bad.id}": wrong diff id calculated on extraction "{digest_of(tar("two"))}"'
        )

    tell(story)


def test_a_nested_index_is_searched_and_its_best_platform_taken(tell: Callable[..., None]) -> None:
    async def story(it: Lab) -> None:
        def of(manifest: dict[str, Any], architecture: str, system: str = "linux") -> dict[str, Any]:
            return manifest | {"platform": {"architecture": architecture, "os": system}}

        arm = await it.image("lab/app", "", [(tar("arm"), "gzip")], config={"architecture": "arm64"})
        amd = await it.image("lab/app", "", [(tar("amd"), "gzip")])
        windows = await it.image("lab/app", "", [(tar("win"), "gzip")], config={"os": "windows"})
        index = {"schemaVersion": 2, "mediaType": INDEX}
        inner = await it.document(
            "lab/app", "", index | {"manifests": [of(arm, "arm64"), of(windows, "amd64", "windows"), of(amd, "amd64")]}
        )
        await it.document("lab/app", "v1", index | {"manifests": [inner]})
        image = await it.store.pull(f"{it.address}/lab/app:v1")
        assert ((await it.store.mount(image.id, "", NOBODY)).source / "file").read_text() == "amd"

    tell(story)


def test_root_file_systems_and_their_errors(tell: Callable[..., None]) -> None:
    async def story(it: Lab) -> None:
        await it.image("lab/app", "v1", [(tar("one"), "gzip")])
        await it.image("lab/bare", "v1", [(tar("bare"), "gzip")], config=b"{}", config_type=EMPTY)
        image = await it.store.pull(f"{it.address}/lab/app:v1")
        assert ((await it.store.rootfs(image.id, NOBODY)) / "file").read_text() == "one"
        bare = await it.store.pull(f"{it.address}/lab/bare:v1")
        with pytest.raises(CriError, match=r"error unpacking image: mismatched image rootfs and manifest layers$"):
            await it.store.rootfs(bare.id, NOBODY)
        with pytest.raises(CriError, match="code = NotFound"):
            await it.store.rootfs("sha256:" + "0" * 64, NOBODY)

    tell(story)


def test_a_reference_that_is_none(tell: Callable[..., None]) -> None:
    async def story(it: Lab) -> None:
        with pytest.raises(CriError) as raised:
            await it.store.pull("127.0.0.1:1/lab/OK")
        assert str(raised.value) == (
            'failed to parse image reference "127.0.0.1:1/lab/OK": '
            "invalid reference format: repository name (lab/OK) must be lowercase"
        )

    tell(story)


def test_mounting_what_is_not_there(tell: Callable[..., None]) -> None:
    async def story(it: Lab) -> None:
        with pytest.raises(CriError) as raised:
            await it.store.mount("127.0.0.1:1/lab/none:v1", "", NOBODY)
        assert raised.value.code == "NotFound"
        assert raised.value.message == (
            "failed to mount image volume: ImageVolumeMountFailed: "
            'failed to resolve image "127.0.0.1:1/lab/none:v1": not found'
        )

    tell(story)


SUBPATHS = {
    "d": None,
    "d/.": None,
    "./d//": None,
    "d/up": None,
    "in/e": None,
    "d/../d/e": None,
    "..": "openat ..: path escapes from parent",
    "d/../../x": "openat d/../../x: path escapes from parent",
    "/d": "openat /d: path escapes from parent",
    "abs": "openat abs: path escapes from parent",
    "out": "openat out: path escapes from parent",
    "file/x": "openat file/x: not a directory",
    "loop": "openat loop: too many levels of symbolic links",
    "dangling": "openat dangling: no such file or directory",
    "d/none": "openat d/none: no such file or directory",
    "file/": "openat file/: not a directory",
}


def test_subpaths_stay_inside(tell: Callable[..., None]) -> None:
    async def story(it: Lab) -> None:
        links = {"in": "d", "d/up": "..", "abs": "/d", "out": "../etc", "loop": "loop", "dangling": "nothing"}
        layer = tar("x", Entry("d/e/f"), *(Entry(path, type="symlink", link=link) for path, link in links.items()))
        await it.image("lab/app", "v1", [(layer, "gzip")])
        image = await it.store.pull(f"{it.address}/lab/app:v1")
        found = {}
        for subpath in SUBPATHS:
            try:
                mount = await it.store.mount(image.id, subpath, NOBODY, sandbox_id="5" * 64)
            except CriError as error:
                found[subpath] = error.message.rpartition("/" + image.target[7:] + '": ')[2]
            else:
                assert mount.source.resolve().is_relative_to(mount.snapshot)
                found[subpath] = None
        assert found == SUBPATHS

    tell(story)


def test_a_subpath_behind_what_the_identity_may_not_enter_is_mounted_all_the_same(tell: Callable[..., None]) -> None:
    async def story(it: Lab) -> None:
        layer = tar_bytes(
            [Entry("priv/", type="dir", mode=0o700), Entry("priv/open/", type="dir"), Entry("priv/open/f")]
        )
        await it.image("lab/app", "v1", [(layer, "gzip")])
        image = await it.store.pull(f"{it.address}/lab/app:v1")
        mount = await it.store.mount(image.id, "priv/open", NOBODY)
        assert [path.name for path in mount.source.iterdir()] == ["f"]
        assert mount.subpath == "priv/open"

    tell(story, privileged=False)


def test_every_identity_of_an_ordinary_user_has_its_view(tell: Callable[..., None]) -> None:
    async def story(it: Lab) -> None:
        layer = tar_bytes([Entry("secret", mode=0o600), Entry("open")])
        await it.image("lab/app", "v1", [(layer, "gzip")])
        image = await it.store.pull(f"{it.address}/lab/app:v1")
        modes = []
        for identity in (NOBODY, Identity(0, 0, (0,)), NOBODY):
            mount = await it.store.mount(image.id, "", identity)
            modes.append([oct((mount.source / name).stat().st_mode & 0o777) for name in ("secret", "open")])
        assert modes == [["0o0", "0o444"], ["0o600", "0o644"], ["0o0", "0o444"]]
        assert set(it.store.lacks) == {"owners", "devices"}

    tell(story, privileged=False)


def test_a_failed_pull_leaves_nothing_half_written(tell: Callable[..., None], tmp_path: Path) -> None:
    async def story(it: Lab) -> None:
        await it.image("lab/app", "v1", [(b"no tar at all, but long enough to be a block" * 20, "gzip")])
        with pytest.raises(CriError):
            await it.store.pull(f"{it.address}/lab/app:v1")
        left = {path.parent.name for path in (tmp_path / "node").rglob("*") if path.is_file()}
        assert left == {"blobs"}

    tell(story)


def test_removing_everything_and_pulling_again(tell: Callable[..., None]) -> None:
    async def story(it: Lab) -> None:
        await it.image("lab/app", "v1", [(tar("one", Entry("d/", type="dir", mode=0)), "gzip")])
        reference = f"{it.address}/lab/app:v1"
        image = await it.store.pull(reference)
        await it.store.mount(image.id, "", NOBODY)
        await it.store.remove_all()
        assert it.store.status(reference) is None
        again = await it.store.pull(reference)
        assert ((await it.store.mount(again.id, "", NOBODY)).source / "file").read_text() == "one"

    tell(story)


def test_five_thousand_files_in_well_under_a_second(tell: Callable[..., None], tmp_path: Path) -> None:
    # Beside what the file system itself takes to make that many files: from 0.05 to 0.7 s on one and the same machine.
    start = time.process_time()
    for n in range(5000):
        if not n % 58:
            (tmp_path / "bare" / str(n // 58)).mkdir(parents=True)
        os.close(os.open(f"{tmp_path}/bare/{n // 58}/{n}", os.O_WRONLY | os.O_CREAT))
    bare = time.process_time() - start

    async def story(it: Lab) -> None:
        layer = tar_bytes([Entry(f"d{n // 58:03}/f{n:05}.txt", content=b"%d" % n) for n in range(5000)])
        await it.image("lab/app", "v1", [(layer, "gzip")])
        seconds = []
        for _ in range(3):
            await it.store.remove_all()
            start = time.process_time()
            image = await it.store.pull(f"{it.address}/lab/app:v1")
            mount = await it.store.mount(image.id, "", NOBODY)
            seconds.append(time.process_time() - start)
        assert (mount.source / "d086" / "f04999.txt").read_text() == "4999"
        assert min(seconds) - bare < 0.8, (seconds, bare)

    tell(story)


def test_a_corrupt_blob_is_not_kept(tell: Callable[..., None], tmp_path: Path) -> None:
    async def story(it: Lab) -> None:
        layer = tar("one")
        await it.image("lab/app", "v1", [(layer, "none")])
        it.registry.corrupt("lab/app", digest_of(layer))
        for _ in range(2):
            with pytest.raises(CriError) as raised:
                await it.store.pull(f"{it.address}/lab/app:v1")
            assert raised.value.code == "FailedPrecondition"
            assert f'failed commit on ref "layer-{digest_of(layer)}": unexpected commit digest' in raised.value.message
        assert list((tmp_path / "node" / "ingest").iterdir()) == []

    tell(story)


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (b"hello", "unmarshal image config: invalid character 'h' looking for beginning of value"),
        (b"", "which reports content size of zero: invalid argument"),
        (b"[]", "unmarshal image config: json: cannot unmarshal array into Go value of type"),
    ],
    ids=["text", "nothing", "list"],
)
def test_configs_that_are_none(tell: Callable[..., None], config: bytes, text: str) -> None:
    async def story(it: Lab) -> None:
        await it.image("lab/app", "v1", [(tar("one"), "gzip")], config=config)
        with pytest.raises(CriError) as raised:
            await it.store.pull(f"{it.address}/lab/app:v1")
        assert text in str(raised.value)

    tell(story)


def test_stopping_in_the_middle_leaves_nothing_behind(tell: Callable[..., None]) -> None:
    async def story(it: Lab) -> None:
        layer = tar_bytes([Entry(f"d{n % 40}/f{n}", content=b"x" * 2000) for n in range(3000)])
        await it.image("lab/app", "v1", [(layer, "gzip")])
        reference = f"{it.address}/lab/app:v1"
        for delay in (0.0, 0.01, 0.05, 0.1, 0.2):
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    image = await it.store.pull(reference)
                    await it.store.mount(image.id, "", NOBODY)

    tell(story)  # which ends with closing the store and looking for what is left


def test_a_digest_is_never_taken_for_a_path(tell: Callable[..., None], tmp_path: Path) -> None:
    async def story(it: Lab) -> None:
        secret = tmp_path / "secret.tar"
        secret.write_bytes(tar("secret"))
        rootfs = {"rootfs": {"type": "layers", "diff_ids": [digest_of(secret.read_bytes())]}}
        config = json.dumps(rootfs).encode()
        await it.blob("lab/app", config)
        layer = {"mediaType": LAYER, "digest": str(secret), "size": 1}
        fields = {"config": descriptor(config, "application/vnd.example.config"), "layers": [layer]}
        manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST} | fields).encode()

        async def answer(request: web.Request) -> web.Response:
            raw = manifest if "/manifests/" in request.path else config
            return web.Response(body=raw, headers={"Content-Type": MANIFEST, "Docker-Content-Digest": digest_of(raw)})

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            image = await it.store.pull(f"127.0.0.1:{runner.addresses[0][1]}/lab/app:v1")
            with pytest.raises(CriError, match="invalid checksum digest format"):
                await it.store.mount(image.id, "", NOBODY)
        finally:
            await runner.cleanup()

    tell(story)


def test_a_full_disk_is_told_and_leaves_nothing_half_written(tell: Callable[..., None], tmp_path: Path) -> None:
    async def story(it: Lab) -> None:
        await it.image("lab/app", "v1", [(tar_bytes([Entry("big", content=bytes(8 << 20))]), "gzip")])
        image = None
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
        previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            with pytest.raises(CriError, match=r": failed to extract layer .*: write .*: file too large$"):
                image = await it.store.pull(f"{it.address}/lab/app:v1")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, previous)
        assert image is None
        assert list((tmp_path / "node" / "layers").iterdir()) == []
        image = await it.store.pull(f"{it.address}/lab/app:v1")
        assert (await it.store.mount(image.id, "", NOBODY)).source.joinpath("big").stat().st_size == 8 << 20

    tell(story)
