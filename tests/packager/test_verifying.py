"""Every rule an image breaks is reported, naming what, where, expected and found."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import packager
from packager import tarwriter
from packager.gzipping import header

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
HEADER = header(9)
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"

Json = dict[str, Any]


class Forge:
    """A layout built by hand, each part of which a test may make wrong; digests and sizes follow, unless changed."""

    def __init__(self, place: Path) -> None:
        self.place = place
        (place / "blobs/sha256").mkdir(parents=True)
        self.archive = tar(entry("a", b"x"))
        self.stored: bytes | None = None
        self.change_config: Callable[[Json], None] = lambda config: None
        self.change_manifest: Callable[[Json], None] = lambda manifest: None
        self.change_index: Callable[[Json], None] = lambda index: None

    def store(self, body: bytes) -> Json:
        digest = hashlib.sha256(body).hexdigest()
        (self.place / "blobs/sha256" / digest).write_bytes(body)
        return {"digest": f"sha256:{digest}", "size": len(body)}

    def build(self) -> Path:
        stored = compressed(self.archive) if self.stored is None else self.stored
        diff_id = "sha256:" + hashlib.sha256(self.archive).hexdigest()
        manifests = []
        for architecture in ("amd64", "arm64"):
            platform = {"os": "linux", "architecture": architecture}
            config: Json = {
                **platform,
                "created": "1970-01-01T00:00:00Z",
                "rootfs": {"type": "layers", "diff_ids": [diff_id]},
            }
            self.change_config(config)
            manifest: Json = {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": {"mediaType": CONFIG, **self.store(json.dumps(config).encode())},
                "layers": [{"mediaType": LAYER, **self.store(stored)}],
            }
            self.change_manifest(manifest)
            pointer = self.store(json.dumps(manifest).encode())
            manifests.append({"mediaType": MANIFEST, **pointer, "platform": platform})
        index: Json = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}
        self.change_index(index)
        root = {"mediaType": INDEX, **self.store(json.dumps(index).encode())}
        (self.place / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        (self.place / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [root]}))
        return self.place


def compressed(plain: bytes) -> bytes:
    raw = zlib.compressobj(9, zlib.DEFLATED, -15)
    tail = zlib.crc32(plain).to_bytes(4, "little") + (len(plain) & 0xFFFFFFFF).to_bytes(4, "little")
    return HEADER + raw.compress(plain) + raw.flush() + tail


def entry(name: str, content: bytes = b"", **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    member.mode = 0o755 if fields.get("type") == tarfile.DIRTYPE else 0o644
    for key, value in fields.items():
        setattr(member, key, value)
    return member, content


def directory(name: str, **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    return entry(name, type=tarfile.DIRTYPE, **fields)


def link(name: str, target: str, **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    return entry(name, **{"type": tarfile.SYMTYPE, "linkname": target, "mode": 0o777} | fields)


def tar(*entries: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form, encoding="utf-8") as archive:
        for member, content in entries:
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def forge(tmp_path: Path) -> Forge:
    return Forge(tmp_path / "forged")


def test_the_forge_builds_a_good_image(forge: Forge) -> None:
    forge.archive = tar(directory("d"), link("d/w", "ünï"), entry("d/ünï", b"x"), entry("n" * 120, b"y"))
    assert packager.verify(forge.build()) == []


ARCHIVES: dict[str, tuple[list[tuple[tarfile.TarInfo, bytes]], list[tuple[str, str, str, str]]]] = {
    "order": ([entry("b"), entry("a")], [("order", "entry a", "before b", "it after that")]),
    "duplicate": ([entry("a"), entry("a")], [("duplicate", "entry a", "each path once", "it again")]),
    "parent after child": ([entry("a/b")], [("parent", "entry a/b", "a directory entry a before it", "none")]),
    "parent is a file": ([entry("a"), entry("a/b")], [("parent", "entry a/b", "a directory entry a", "none")]),
    "root entry": ([directory("./")], [("path", "entry ", ". or .. components", "./")]),
    "absolute": ([entry("/etc")], [("path", "entry /etc", "relative", "/etc")]),
    "dots": ([entry("../x")], [("path", "entry ../x", "components", "../x"), ("parent", "", "", "")]),
    "whiteout": ([entry(".wh.x")], [("path", "entry .wh.x", "no name that begins with .wh.", ".wh.x")]),
    "hard link": (
        [entry("a"), entry("b", type=tarfile.LNKTYPE, linkname="a")],
        [("entry type", "entry b", "a file, a directory or a symbolic link", "a hard link")],
    ),
    "pipe": ([entry("p", type=tarfile.FIFOTYPE)], [("entry type", "entry p", "", "a named pipe")]),
    "device": ([entry("n", type=tarfile.CHRTYPE)], [("entry type", "entry n", "", "a character device")]),
    "owner": ([entry("a", uid=1000, gid=100)], [("owner", "entry a", "0:0", "1000:100")]),
    "owner names": ([entry("a", uname="me", gname="us")], [("owner names", "entry a", "none", "me:us")]),
    "mode": ([entry("a", mode=0o600)], [("mode", "entry a", "0644 or 0755", "0600")]),
    "setuid": ([entry("a", mode=0o4755)], [("mode", "entry a", "0644 or 0755", "4755")]),
    "directory mode": ([directory("d", mode=0o700)], [("mode", "entry d", "0755", "0700")]),
    "link mode": ([link("l", "x", mode=0o644)], [("mode", "entry l", "0777", "0644")]),
    "times differ": (
        [entry("a"), entry("b", mtime=9)],
        [("mtime", "entry b", "0 as in the first entry", "9")],
    ),
    "created differs": (
        [entry("a", mtime=9)],
        [("created", "config", "1970-01-01T00:00:09Z, the time in the layer", '"1970-01-01T00:00:00Z"')] * 2,
    ),
    "absolute link": ([link("l", "/etc")], [("link target", "entry l", "inside the root", "/etc")]),
    "escaping link": ([link("l", "../x")], [("link target", "entry l", "inside the root", "../x")]),
    "escape through a link": (
        [directory("a"), link("a/o", "u/../x"), link("a/u", "..")],
        [("link target", "entry a/o", "inside the root", "u/../x")],
    ),
    "extended attribute": (
        [entry("a", pax_headers={"SCHILY.xattr.user.x": "1"})],
        [("pax record", "entry a", "only path, linkpath and size", "SCHILY.xattr.user.x")],
    ),
    "needless record": ([entry("a", pax_headers={"path": "a"})], [("header", "entry a", "ustar", "another form")]),
    "line break": ([entry("a\nb")], [("path", "entry 'a\\nb'", "no line break", "'a\\nb'")]),
    "empty": ([], [("archive", "layer", "at least one entry", "an empty archive")]),
    "several at once": (
        [entry("b", uid=1, mode=0o600), entry("a", gid=2)],
        [
            ("mode", "entry b", "", "0600"),
            ("owner", "entry b", "", "1:0"),
            ("order", "entry a", "", ""),
            ("owner", "entry a", "", "0:2"),
        ],
    ),
}


def check(violations: list[packager.Violation], expected: list[tuple[str, str, str, str]]) -> None:
    found = [(one.what, one.where, one.expected, one.found) for one in violations]
    assert [one[0] for one in found] == [one[0] for one in expected], found
    for one, parts in zip(found, expected, strict=True):
        assert all(part in text for text, part in zip(one, parts, strict=True)), one
    assert all("\n" not in str(violation) for violation in violations)


@pytest.mark.parametrize("case", ARCHIVES)
def test_archives(forge: Forge, case: str) -> None:
    entries, expected = ARCHIVES[case]
    forge.archive = tar(*entries)
    check(packager.verify(forge.build()), expected)


def test_other_formats(forge: Forge) -> None:
    forge.archive = tar(entry("n" * 120), form=tarfile.GNU_FORMAT)
    assert {"entry type"} < {violation.what for violation in packager.verify(forge.build())}


GOOD = tar(entry("a", b"x" * 600))
BROKEN: dict[str, tuple[bytes, list[str]]] = {
    "cut off in a header": (GOOD[:300], ["it is cut off at byte 300", "an empty archive"]),
    "cut off in content": (GOOD[:700], ["cut off in the content of the entry at byte 0"]),
    "cut off before the end": (GOOD[:1536], ["it is cut off at byte 1536"]),
    "one zero block": (GOOD[:2048] + GOOD[:512] + bytes(8192), ["one zero block at byte 1536"]),
    "short record": (GOOD[: 2560 + 512], ["3072 bytes"]),
    "bytes after content": (GOOD[:1200] + b"!" + GOOD[1201:], ["other bytes at byte 1112"]),
    "cut off at a block's edge": (GOOD[:1024], ["cut off in the content"]),
    "bytes after the end": (GOOD[:-1] + b"!", ["other bytes"]),
    "checksum": (b"b" + GOOD[1:], ["the header at byte 0 has a wrong checksum", "an empty archive"]),
    "not a number": (GOOD[:100] + b"xxxxxxx\0" + GOOD[108:], ["wrong checksum", "an empty archive"]),
    "not a tar": (b"hello\n" * 2000, ["holds", "an empty archive"]),
    "nothing": (b"", ["it is cut off at byte 0", "an empty archive"]),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_archives(forge: Forge, case: str) -> None:
    forge.archive, found = BROKEN[case]
    violations = packager.verify(forge.build())
    assert {violation.what for violation in violations} == {"archive"}
    assert len(violations) == len(found), violations
    for violation, text in zip(violations, found, strict=True):
        assert text in violation.found


def test_broken_pax_records(forge: Forge) -> None:
    for records in (b"zz path=x\n", b"9999 path=x\n", b"6 ab\n\n", b"9 path=x\n" * 0 + b"20 size=-5\n" + b" " * 9):
        good = bytearray(tarwriter.header(b"n" * 101, tarwriter.FILE, mode=0o644, mtime=0))
        good[512:1024] = records.ljust(512, b"\0")
        forge.archive = bytes(good) + bytes(1024)
        (violation, *_) = packager.verify(forge.build())
        assert violation.what == "archive"
        assert "the extended header at byte" in violation.found


STORED: dict[str, tuple[Callable[[bytes], bytes], list[tuple[str, str, str, str]]]] = {
    "a name in the header": (
        lambda plain: (
            gzip.compress(plain, mtime=0)[:3]
            + b"\x08"
            + gzip.compress(plain, mtime=0)[4:10]
            + b"n\0"
            + compressed(plain)[10:]
        ),
        [("gzip header", "layer", "1f8b08000000", "1f8b0808")],
    ),
    "a time in the header": (
        lambda plain: HEADER[:4] + b"\1\2\3\4" + compressed(plain)[8:],
        [("gzip header", "layer", "", "1f8b080001020304")],
    ),
    "two members": (
        lambda plain: compressed(plain) + compressed(plain),
        [("compression", "layer", "one gzip member", "another one")],
    ),
    "bytes after the member": (
        lambda plain: compressed(plain) + b"abc",
        [("compression", "layer", "nothing after the gzip member", "3 more bytes")],
    ),
    "a member cut off": (
        lambda plain: compressed(plain)[:-3],
        [("compression", "layer", "one whole gzip member", "cut off")],
    ),
    "a wrong checksum": (
        lambda plain: compressed(plain)[:-8] + bytes(8),
        [("compression", "layer", "gzip that can be uncompressed", "incorrect")],
    ),
    "not compressed": (lambda plain: plain, [("compression", "layer", "gzip", "610000")]),
    "zstd": (lambda plain: b"\x28\xb5\x2f\xfd" + plain, [("compression", "layer", "gzip", "28b52f")]),
    "empty": (lambda plain: b"", [("compression", "layer", "gzip", "nothing")]),
}


@pytest.mark.parametrize("case", STORED)
def test_stored_layers(forge: Forge, case: str) -> None:
    store, expected = STORED[case]
    forge.stored = store(forge.archive)
    violations = [violation for violation in packager.verify(forge.build()) if violation.what != "archive"]
    check(violations, expected)


def test_data_after_a_large_member_is_counted(forge: Forge) -> None:
    forge.archive = tar(entry("a", os.urandom(3 << 20)))
    forge.stored = compressed(forge.archive) + bytes(5 << 20)
    (violation,) = packager.verify(forge.build())
    assert violation.found == f"{5 << 20} more bytes"


def _set(*path: str | int, to: Any) -> Callable[[Json], None]:
    def change(document: Any) -> None:
        for key in path[:-1]:
            document = document[key]
        if to is None:
            del document[path[-1]]
        else:
            document[path[-1]] = to

    return change


NOWHERE = "sha256:" + "0" * 64
DOCUMENTS: dict[str, tuple[str, Callable[[Json], None], list[tuple[str, str, str, str]]]] = {
    "config without platform": (
        "config",
        _set("architecture", to=None),
        [("platform", f"manifest linux/{arch}, config", "os and architecture", "null") for arch in ("amd64", "arm64")],
    ),
    "config of another platform": (
        "config",
        _set("architecture", to="amd64"),
        [("platform", "manifest linux/arm64, config", "linux/arm64 as in the index", "linux/amd64")],
    ),
    "config variant": (
        "config",
        _set("variant", to="v8"),
        [("platform", "config", f"linux/{arch} as", f"linux/{arch}/v8") for arch in ("amd64", "arm64")],
    ),
    "rootfs type": (
        "config",
        _set("rootfs", "type", to="squashed"),
        [("rootfs.type", "config", "layers", '"squashed"')] * 2,
    ),
    "no rootfs": (
        "config",
        _set("rootfs", to=None),
        [("rootfs.type", "", "", "nothing"), ("diff_ids", "", "as many as layers, 1", "nothing")] * 2,
    ),
    "diff_id": ("config", _set("rootfs", "diff_ids", to=[NOWHERE]), [("diff_id", "config", "sha256:", NOWHERE)] * 2),
    "no diff_id": ("config", _set("rootfs", "diff_ids", to=[]), [("diff_ids", "", "layers, 1", "0")] * 2),
    "two diff_ids": (
        "config",
        lambda config: config["rootfs"]["diff_ids"].append(NOWHERE),
        [("diff_ids", "config", "as many as layers, 1", "2")] * 2,
    ),
    "created": ("config", _set("created", to=None), [("created", "config", "1970-01-01T00:00:00Z", "nothing")] * 2),
    "config media type": (
        "manifest",
        _set("config", "mediaType", to="application/vnd.oci.empty.v1+json"),
        [("media type", "config", CONFIG, "application/vnd.oci.empty.v1+json")] * 2,
    ),
    "layer media type": (
        "manifest",
        _set("layers", 0, "mediaType", to="application/vnd.oci.image.layer.v1.tar+zstd"),
        [("compression", "layer", "zstd, which begins 28b52ffd", "1f8b0800")],
    ),
    "unknown layer media type": (
        "manifest",
        _set("layers", 0, "mediaType", to="application/vnd.oci.image.layer.v1.tar+lz4"),
        [("media type", "layer 0", LAYER, "tar+lz4")] * 2,
    ),
    "manifest media type": (
        "manifest",
        _set("mediaType", to=None),
        [("media type", "manifest linux/", MANIFEST, "nothing")] * 2,
    ),
    "schema version": ("manifest", _set("schemaVersion", to=1), [("schemaVersion", "manifest", "2", "1")] * 2),
    "layer size": (
        "manifest",
        _set("layers", 0, "size", to=5),
        [("size", "layer sha256:", "5 bytes", "bytes")] * 2,
    ),
    "layer missing": (
        "manifest",
        _set("layers", 0, "digest", to=NOWHERE),
        [("presence", f"layer {NOWHERE}", NOWHERE, "nothing")] * 2,
    ),
    "layer digest malformed": (
        "manifest",
        _set("layers", 0, "digest", to="sha256:../../../etc/passwd"),
        [
            ("digest", "layer 0", "64 hexadecimal digits", "etc/passwd"),
            ("diff_ids", "config", "as many as layers, 0", "1"),
        ]
        * 2,
    ),
    "config missing": (
        "manifest",
        _set("config", "digest", to=NOWHERE),
        [("presence", "config", NOWHERE, "nothing")] * 2,
    ),
    "config size": ("manifest", _set("config", "size", to=7), [("size", "config", "7 bytes", "bytes")] * 2),
    "no config": ("manifest", _set("config", to=None), [("descriptor", "config", "an object", "nothing")] * 2),
    "no layers": (
        "manifest",
        _set("layers", to=[]),
        [("layers", "manifest", "exactly 1", "0"), ("diff_ids", "config", "as many as layers, 0", "1")] * 2,
    ),
    "two layers": (
        "manifest",
        lambda manifest: manifest["layers"].append(manifest["layers"][0]),
        [("layers", "manifest", "exactly 1", "2"), ("diff_ids", "config", "as many as layers, 2", "1")] * 2,
    ),
    "index media type": ("index", _set("mediaType", to=MANIFEST), [("media type", "index", INDEX, MANIFEST)]),
    "no manifests": ("index", _set("manifests", to=[]), [("manifests", "index", "for each platform", "[]")]),
    "no platform": (
        "index",
        _set("manifests", 0, "platform", to=None),
        [("platform", "manifest 0", "os and architecture in the index", "nothing")],
    ),
    "one platform twice": (
        "index",
        lambda index: index["manifests"].append(index["manifests"][1]),
        [("platform", "manifest linux/arm64", "one manifest for each", "another one for linux/arm64")],
    ),
    "manifest missing": (
        "index",
        _set("manifests", 0, "digest", to=NOWHERE),
        [("presence", "manifest linux/amd64", NOWHERE, "nothing")],
    ),
    "manifest size": (
        "index",
        _set("manifests", 1, "size", to=1),
        [("size", "manifest linux/arm64", "1 bytes", "bytes")],
    ),
    "manifest type in the index": (
        "index",
        _set("manifests", 0, "mediaType", to=INDEX),
        [("media type", "manifest linux/amd64", MANIFEST, INDEX)] * 2,
    ),
    "a number for a descriptor": (
        "index",
        _set("manifests", 0, to=5),
        [("platform", "manifest 0", "", "nothing"), ("descriptor", "manifest 0", "an object", "5")],
    ),
}


@pytest.mark.parametrize("case", DOCUMENTS)
def test_documents(forge: Forge, case: str) -> None:
    document, change, expected = DOCUMENTS[case]
    setattr(forge, f"change_{document}", change)
    check(packager.verify(forge.build()), expected)


def test_platforms_that_do_not_share_the_layer(forge: Forge) -> None:
    other = forge.store(compressed(tar(entry("other"))))
    seen: list[Json] = []

    def change(manifest: Json) -> None:
        seen.append(manifest)
        if len(seen) == 2:
            manifest["layers"][0] |= other

    forge.change_manifest = change
    violations = packager.verify(forge.build())
    assert [violation.what for violation in violations] == ["diff_id", "shared layer"]
    assert violations[1].where == "manifest linux/arm64"
    assert violations[1].found == other["digest"]


def test_documents_that_are_not_json(forge: Forge) -> None:
    layout = forge.build()
    (root,) = json.loads((layout / "index.json").read_text())["manifests"]
    root |= forge.store(b"[" * 100_000)
    (layout / "index.json").write_text(json.dumps({"manifests": [root]}))
    violations = packager.verify(layout)
    assert violations[0].what == "JSON"
    with pytest.raises(packager.PackagerError, match="is not a JSON object"):
        packager.inspect(layout)


@pytest.mark.parametrize(
    ("file", "text", "sentence"),
    [
        ("oci-layout", "{", "is a broken layout: a file in it is not JSON"),
        ("oci-layout", '{"imageLayoutVersion": "2.0.0"}', "is a layout of version '2.0.0'"),
        ("index.json", "{", "is a broken layout"),
        ("index.json", "[]", "is not an image index"),
        ("index.json", '{"manifests": []}', "holds 0 images"),
        ("index.json", '{"manifests": [{}, {}]}', "holds 2 images"),
        ("index.json", '{"manifests": [{"digest": "sha256:../x"}]}', "points to 'sha256:../x', which is not a digest"),
    ],
)
def test_layouts_in_which_there_is_no_image(forge: Forge, file: str, text: str, sentence: str) -> None:
    layout = forge.build()
    (layout / file).write_text(text)
    with pytest.raises(packager.PackagerError) as failed:
        packager.verify(layout)
    assert sentence in str(failed.value)


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("empty", "is a directory but not a layout; make one with `imgvol pack`"),
        ("/nowhere", "there is no directory /nowhere; name a layout"),
        ("content:v1", "or an image reference, for example myregistry"),
    ],
)
def test_targets_that_are_no_image(tmp_path: Path, target: str, sentence: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(packager.UsageError, match=sentence):
        packager.verify(tmp_path / "empty" if target == "empty" else target)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_one_changed_byte_of_any_blob_is_found(content: Path, tmp_path: Path, data: st.DataObject) -> None:
    layout = tmp_path / "out"
    if not layout.exists():
        packager.pack(content, layout)
    blobs = sorted((layout / "blobs/sha256").iterdir())
    blob = data.draw(st.sampled_from(blobs))
    before = blob.read_bytes()
    at = data.draw(st.integers(0, len(before) - 1))
    flip = data.draw(st.integers(1, 255))
    blob.write_bytes(before[:at] + bytes([before[at] ^ flip]) + before[at + 1 :])
    try:
        assert "digest" in {violation.what for violation in packager.verify(layout)}
    finally:
        blob.write_bytes(before)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 10239), value=st.integers(0, 255), cut=st.just(0) | st.integers(0, 10240))
def test_any_archive_is_judged_without_failing(tmp_path: Path, at: int, value: int, cut: int) -> None:
    """Whatever the bytes, verifying ends in a list: digests fit here, so only the archive's own rules can speak."""
    good = tar(directory("d"), entry("d/" + "n" * 120, b"x" * 700), link("l", "d"))
    content = range(good.index(b"x" * 700), good.index(b"x" * 700) + 700)
    # The header holds a long name's first hundred bytes once more; the rest stands in its pax record alone.
    name = good.index(b"path=d/") + len("path=")
    once = range(name + 100, name + 122)
    assert len(good) == 10240
    forge = Forge(tmp_path / os.urandom(8).hex())
    forge.archive = (good[:at] + bytes([value]) + good[at + 1 :])[: cut or None]
    found = packager.verify(forge.build())
    if forge.archive == good:
        assert found == []
    elif len(forge.archive) < len(good) or not (
        at in content or (at in once and value < 128 and value not in b"\0\n/")
    ):
        assert found  # a file's content may be anything, and so may a name; every other byte is pinned by a rule


def test_a_damaged_image_in_a_registry_is_found(content: Path, registry) -> None:
    pushed = packager.push(content, f"{registry.address}/c:v1")
    layer = pushed.variants[0].layer_digests[0]
    registry.registry.corrupt("c", layer)
    violations = packager.verify(f"{registry.address}/c:v1")
    assert "digest" in {violation.what for violation in violations}
    assert any(layer in violation.where for violation in violations)


def test_an_incomplete_image_in_a_registry_is_found(content: Path, faulty) -> None:
    pushed = packager.push(content, f"{faulty.address}/c:v1")
    del faulty.blobs[pushed.variants[0].config_digest]
    del faulty.blobs[pushed.variants[0].layer_digests[0]]
    del faulty.manifests[pushed.variants[1].digest]
    violations = packager.verify(f"{faulty.address}/c:v1")
    assert [violation.what for violation in violations] == ["presence"] * 3
