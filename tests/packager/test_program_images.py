"""Program images: one static binary for each platform, built from scratch without Docker."""

from __future__ import annotations

import gzip
import io
import json
import struct
import sys
import tarfile
from pathlib import Path

import pytest

import packager
from packager.sources import open_source

MACHINES = {"386": 3, "amd64": 62, "arm64": 183, "s390x": 22}


def program(architecture: str, *, interpreter: bool = False) -> bytes:
    """The head of an ELF file with one program header, which is all that is looked at."""
    wide, order = architecture != "386", ">" if architecture == "s390x" else "<"
    head = bytearray(64)
    head[:6] = b"\x7fELF" + bytes([2 if wide else 1, 2 if order == ">" else 1])
    struct.pack_into(order + "HH", head, 16, 2, MACHINES[architecture])
    struct.pack_into(order + ("Q" if wide else "I"), head, 32 if wide else 28, 64)
    struct.pack_into(order + "HH", head, 54 if wide else 42, 56 if wide else 32, 1)
    kind = struct.pack(order + "I", 3 if interpreter else 1)
    return bytes(head) + kind.ljust(56 if wide else 32, b"\0") + architecture.encode() * 1000


@pytest.fixture
def programs(tmp_path: Path) -> dict[str, Path]:
    found = {}
    for architecture in ("amd64", "arm64"):
        found[f"linux/{architecture}"] = tmp_path / f"engine-linux-{architecture}"
        found[f"linux/{architecture}"].write_bytes(program(architecture))
    return found


def blob(layout: Path, digest: str) -> bytes:
    return (layout / "blobs/sha256" / digest.removeprefix("sha256:")).read_bytes()


def test_a_program_image_says_how_to_run_it(programs: dict[str, Path], tmp_path: Path) -> None:
    packed = packager.pack_program(
        programs,
        tmp_path / "out",
        entrypoint="/usr/bin/engine",
        user="65532:65532",
        env={"B": "2=2", "A": "1"},
        ports=[8080, 80],
    )
    for variant in packed.variants:
        config = json.loads(blob(tmp_path / "out", variant.config_digest))
        assert config["config"] == {
            "Entrypoint": ["/usr/bin/engine"],
            "User": "65532:65532",
            "WorkingDir": "/",
            "Env": ["A=1", "B=2=2"],
            "ExposedPorts": {"80/tcp": {}, "8080/tcp": {}},
        }
        assert f"{config['os']}/{config['architecture']}" == variant.platform
        layer = gzip.decompress(blob(tmp_path / "out", variant.layer_digests[0]))
        with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
            assert [(member.name, oct(member.mode)) for member in archive] == [
                ("usr", "0o755"),
                ("usr/bin", "0o755"),
                ("usr/bin/engine", "0o755"),
            ]
            content = archive.extractfile("usr/bin/engine")
            assert content is not None
            assert content.read() == programs[variant.platform].read_bytes()
    assert packed.diff_id == ""
    assert packager.verify(tmp_path / "out") == []


def test_a_program_image_is_reproducible(programs: dict[str, Path], tmp_path: Path) -> None:
    first = packager.pack_program(programs, tmp_path / "1", env={"A": "1", "B": "2"}, ports=[1, 2])
    other = dict(reversed(programs.items()))
    second = packager.pack_program(other, tmp_path / "2", env={"B": "2", "A": "1"}, ports=[2, 1, 2])
    assert first.digest == second.digest


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (program("arm64"), "is a program for arm64, not for linux/amd64; build it with GOARCH=amd64"),
        (program("s390x"), "is a program for s390x, not for linux/amd64"),
        (program("386"), "is a program for 386, not for linux/amd64"),
        (program("amd64", interpreter=True), "needs a loader that the image will not have"),
        (b"#!/bin/sh\n" * 10, "is not a Linux program; build one with GOOS=linux CGO_ENABLED=0"),
        (b"", "is not a Linux program"),
    ],
)
def test_a_program_that_cannot_run_is_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "engine").write_bytes(content)
    with pytest.raises(packager.UsageError) as refused:
        packager.pack_program({"linux/amd64": tmp_path / "engine"}, tmp_path / "out")
    assert sentence in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_this_python_is_a_dynamic_program(tmp_path: Path) -> None:
    """The check holds on a program nobody made for the test."""
    with pytest.raises(packager.UsageError, match=r"needs a loader|is a program for"):
        packager.pack_program({"linux/amd64": sys.executable}, tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"entrypoint": "engine"}, "the entrypoint 'engine' is not an absolute path"),
        ({"entrypoint": "/../engine"}, "is not an absolute path"),
        ({"entrypoint": "/"}, "is not an absolute path"),
        ({"user": "nonroot"}, "the user 'nonroot' is not a UID or UID:GID in numbers"),
        ({"ports": [0]}, "0 is not a port"),
        ({"ports": [65536]}, "65536 is not a port"),
        ({"env": {"": "x"}}, "'' is not the name of an environment variable"),
    ],
)
def test_senseless_settings_are_refused(
    programs: dict[str, Path], tmp_path: Path, options: dict[str, object], sentence: str
) -> None:
    with pytest.raises(packager.UsageError) as refused:
        packager.pack_program(programs, tmp_path / "out", **options)  # type: ignore[arg-type]
    assert sentence in str(refused.value)


def test_no_program_is_refused(tmp_path: Path) -> None:
    with pytest.raises(packager.UsageError, match="no program was given"):
        packager.pack_program({}, tmp_path / "out")


def test_a_missing_program_is_refused(tmp_path: Path) -> None:
    with pytest.raises(packager.PackagerError, match=r"cannot read the program .*absent: no such file"):
        packager.pack_program({"linux/amd64": tmp_path / "absent"}, tmp_path / "out")


def test_a_program_is_pushed(programs: dict[str, Path], registry) -> None:
    pushed = packager.push_program(programs, f"{registry.address}/engine:latest", ports=[8080])
    assert packager.verify(pushed.reference) == []
    assert pushed.reference == f"{registry.address}/engine@{pushed.digest}"


def test_options_of_push_are_options_of_push_program(programs: dict[str, Path], registry, imgvol) -> None:
    """Annotations on the index and every manifest, blobs linked, and chunks where they were asked for."""
    chosen = [f"--program={platform}={path}" for platform, path in programs.items()]
    first = imgvol("push-program", f"{registry.address}/team/engine:v1", *chosen, "--upload-mode", "chunked", "--json")
    assert first.returncode == 0, first.stderr
    assert [one for one in registry.seen if one.method == "PATCH"]
    said = ("--annotation", "a=b", "--annotation", "c.d=e=f")
    reference = f"{registry.address}/other/engine:v1"
    done = imgvol("push-program", reference, *chosen, *said, "--mount-from", "team/engine", "--json")
    assert done.returncode == 0, done.stderr
    pushed = json.loads(done.stdout)
    assert (pushed["uploaded"], pushed["mounted"] > 0) == (0, True)
    for version in ("v1", *(variant["digest"] for variant in pushed["variants"])):
        place = f"{reference.rpartition(':')[0]}{'@' if ':' in version else ':'}{version}"
        with open_source(place, None) as source:
            document = source.root().document
        assert document is not None
        assert json.loads(document.body)["annotations"] == {"a": "b", "c.d": "e=f"}
    assert packager.verify(reference) == []
    for wrong in (("--annotation", "nothing"), ("--mount-from", "Not/A/Repository"), ("--upload-mode", "fast")):
        done = imgvol("push-program", reference, *chosen, *wrong)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr


def test_annotations_of_a_packed_program(programs: dict[str, Path], tmp_path: Path) -> None:
    plain = packager.pack_program(programs, tmp_path / "plain")
    packed = packager.pack_program(programs, tmp_path / "annotated", annotations={"a": "b"})
    assert packed.digest != plain.digest
    assert packed.diff_id == plain.diff_id
    assert json.loads(blob(tmp_path / "annotated", packed.digest))["annotations"] == {"a": "b"}
