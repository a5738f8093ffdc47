"""Trees of unusual size and shape, trees that do not hold still, and registries that lie."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from packager_faulty import Fault, FaultyRegistry

import packager
from packager.compression import Compression, Compressor

FAST = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


@pytest.fixture
def roomy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory for very many files, gone at the end."""
    with tempfile.TemporaryDirectory(dir=FAST) as place:
        yield Path(place)


def plain_layer(layout: Path, packed: packager.Packed) -> Path:
    """The tar of an image that was packed without compression."""
    return layout / "blobs/sha256" / packed.variants[0].layer_digests[0].removeprefix("sha256:")


def members(layout: Path, packed: packager.Packed) -> list[tarfile.TarInfo]:
    with tarfile.open(plain_layer(layout, packed)) as archive:
        return archive.getmembers()


PLAIN = Compression("none")


def test_holes_are_packed_as_the_zeros_they_read_as(make_tree, tmp_path: Path) -> None:
    """A sparse entry is what no node unpacks (image-spec layer.md); the same content is the same image."""
    sparse, dense = make_tree({"a": b""}, "sparse"), make_tree({"a": bytes(3 << 20) + b"end"}, "dense")
    with (sparse / "a").open("r+b") as file:
        file.seek(3 << 20)
        file.write(b"end")
    first = packager.pack(sparse, tmp_path / "1", compression=PLAIN)
    second = packager.pack(dense, tmp_path / "2", compression=PLAIN)
    assert first.digest == second.digest
    assert [(member.type, member.size) for member in members(tmp_path / "1", first)] == [
        (tarfile.REGTYPE, (3 << 20) + 3)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_more_links_than_sixteen_bits_count(roomy: Path, link: Callable[[str, str], None]) -> None:
    root, count = roomy / "content", (1 << 16) + 10
    root.mkdir()
    (root / "file").write_bytes(b"x")
    target = str(root / "file") if link is os.link else "file"
    try:
        for number in range(count):
            link(target, str(root / f"link-{number:05}"))
    except OSError as error:
        pytest.skip(f"the file system of {roomy} has no room for {count} links: {error.strerror}")
    packed = packager.pack(root, roomy / "out", compression=Compression("zstd"))
    assert packed.entries == count + 1
    assert packager.verify(roomy / "out") == []
    assert packed.unpacked_size > 512 * (count if link is os.symlink else 2 * count)


@pytest.mark.slow
def test_a_hundred_thousand_entries_in_a_directory(roomy: Path) -> None:
    root, count = roomy / "content" / "d", 100_000
    root.mkdir(parents=True)
    for number in range(count):
        os.close(os.open(root / f"{number}", os.O_CREAT | os.O_WRONLY, 0o644))
    packed = packager.pack(root.parent, roomy / "out", compression=PLAIN)
    assert packed.entries == count + 1
    with plain_layer(roomy / "out", packed).open("rb") as tar:
        names = [tar.read(512)[:100].rstrip(b"\0") for _ in range(count + 1)]
    assert names == [b"d/", *sorted(b"d/%d" % number for number in range(count))]
    assert packager.verify(roomy / "out") == []


def test_collisions_in_many_directories_are_all_warned_about(make_tree, tmp_path: Path) -> None:
    """Whole directories too; and all of it is packed, since a node's file system tells them apart."""
    root = make_tree({"A/x": b"1", "a/x": b"2", "b/\u1e9e": b"3", "b/ss": b"4", "c/\u212b": b"5", "c/\u00c5": b"6"})
    packed = packager.pack(root, tmp_path / "out", compression=PLAIN)
    assert len(packed.warnings) == 3
    assert packed.warnings[0] == "A and a differ only in upper and lower case"
    assert len(members(tmp_path / "out", packed)) == packed.entries == 10


@pytest.mark.parametrize("name", [".wh.", ".wh.x", ".wh..wh..opq", ".wh..wh.plnk"])
@pytest.mark.parametrize("what", ["file", "directory", "link"])
def test_what_a_whiteout_would_eat_is_refused_wherever_it_is(make_tree, tmp_path: Path, name: str, what: str) -> None:
    """containerd would delete, or drop, what such a name stands for, and say nothing."""
    root = make_tree({"deep/er/file": b"x"})
    place = root / "deep/er" / name
    {"file": place.touch, "directory": place.mkdir, "link": lambda: place.symlink_to("file")}[what]()
    with pytest.raises(packager.PackagerError, match=r"cannot pack deep/er/\.wh\."):
        packager.pack(root, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["content"]


def test_names_that_only_look_like_whiteouts_are_kept(make_tree, tmp_path: Path) -> None:
    root = make_tree({"wh.x": b"", "x.wh.": b"", ".wh": b"", ".WH.x": b"", ".whx": b""})
    packed = packager.pack(root, tmp_path / "out", compression=PLAIN)
    assert {member.name for member in members(tmp_path / "out", packed)} == {"wh.x", "x.wh.", ".wh", ".WH.x", ".whx"}


@dataclass(frozen=True)
class Meddling(Compression):
    """Lets the test step in when the first bytes are compressed: in the middle of a large file."""

    name: str = "none"
    meddle: Callable[[], object] = lambda: None

    def compressor(self, write: Callable[[bytes], object], *, jobs: int | None = None) -> Compressor:
        waiting = [self.meddle]

        def step_in(data: bytes) -> None:
            if waiting:
                waiting.pop()()
            write(data)

        return super().compressor(step_in, jobs=jobs)


def grow(root: Path) -> None:
    with (root / "d/large").open("ab") as file:
        file.write(b"more")


def rewrite(root: Path) -> None:
    with (root / "d/large").open("r+b") as file:
        file.write(b"new")


MIDWAY: dict[str, tuple[Callable[[Path], None], str]] = {
    "the file grows": (grow, "d/large changed while"),
    "the file shrinks": (lambda root: os.truncate(root / "d/large", 5), "d/large changed while"),
    "the file is rewritten": (rewrite, "d/large changed while"),
    "the file is replaced": (lambda root: (root / "other").replace(root / "d/large"), "changed while"),
    "its directory vanishes": (lambda root: shutil.rmtree(root / "d"), "changed while"),
    "its directory is moved": (lambda root: (root / "d").rename(root / "e"), "changed while"),
    "a later directory vanishes": (lambda root: shutil.rmtree(root / "z"), "changed while"),
    "everything vanishes": (shutil.rmtree, "changed while"),
}


@pytest.mark.parametrize("case", MIDWAY)
def test_a_tree_that_changes_in_the_middle_of_a_file_is_refused(make_tree, tmp_path: Path, case: str) -> None:
    change, sentence = MIDWAY[case]
    root = make_tree({"d/large": os.urandom(3 << 20), "d/next": b"x", "other": b"y", "z/y/x": b"z"})
    time.sleep(0.03)  # so that the tree is older than a file system's clock is coarse
    with pytest.raises(packager.PackagerError, match=sentence) as refused:
        packager.pack(root, tmp_path / "out", compression=Meddling(meddle=lambda: change(root)))
    assert "\n" not in str(refused.value)
    assert {path.name for path in tmp_path.iterdir()} <= {"content"}


def peak_memory(root: Path, output: Path) -> int:
    """Bytes resident at most in a process that packs it."""
    program = (
        "import packager, re, sys\n"
        "packager.pack(sys.argv[1], sys.argv[2], jobs=2, compression=packager.Compression('none'))\n"
        # Not ru_maxrss: across exec it keeps what the parent had.
        "print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])"
    )
    done = subprocess.run([sys.executable, "-c", program, root, output], capture_output=True, text=True, check=True)
    return int(done.stdout) << 10


def many_files(root: Path, count: int) -> None:
    for number in range(count):
        if number % 1000 == 0:
            folder = root / f"{number // 1000:04}"
            folder.mkdir(parents=True)
        os.close(os.open(folder / f"{number % 1000:03}", os.O_CREAT | os.O_WRONLY, 0o644))


def much_content(root: Path, count: int) -> None:
    root.mkdir()
    with (root / "sparse").open("wb") as file:
        file.truncate(count << 10)


@pytest.mark.slow
@pytest.mark.parametrize(("make", "count"), [(many_files, 20_000), (much_content, 128 << 10)])
def test_four_times_as_much_takes_no_more_memory(roomy: Path, make: Callable[[Path, int], None], count: int) -> None:
    """Held to 10 GB and to 1,000,000 files by hand: docs/packaging.md."""
    make(roomy / "one", count)
    make(roomy / "four", 4 * count)
    one, four = (peak_memory(roomy / each, roomy / f"out-{each}") for each in ("one", "four"))
    assert four < one + (8 << 20)
    assert four < 100 << 20


@dataclass(frozen=True)
class Measuring(Compression):
    """Keeps the sizes of the pieces that are compressed at once."""

    name: str = "none"
    sizes: list[int] = field(default_factory=list)

    def compressor(self, write: Callable[[bytes], object], *, jobs: int | None = None) -> Compressor:
        def note(data: bytes) -> None:
            self.sizes.append(len(data))
            write(data)

        return super().compressor(note, jobs=jobs)


@pytest.mark.parametrize("size", [0, 1, 3000])
def test_files_are_handed_on_in_small_pieces_whatever_their_size(tmp_path: Path, size: int) -> None:
    root = tmp_path / "content"
    root.mkdir()
    for number in range(2000):
        (root / f"{number}").write_bytes(bytes(size))
    measuring = Measuring()
    packager.pack(root, tmp_path / "out", compression=measuring)
    assert max(measuring.sizes) < 512 << 10


LIES: dict[str, tuple[Fault, str]] = {
    "another digest for a blob": (
        Fault("PUT", "/uploads/", 201, {"Docker-Content-Digest": "sha256:" + "0" * 64}, times=99),
        "stored the blob sha256:",
    ),
    "another digest for a manifest": (
        Fault("PUT", "/manifests/sha256", 201, {"Docker-Content-Digest": "sha256:" + "0" * 64}, times=99),
        "stored the manifest sha256:",
    ),
    "another digest for the tag": (
        Fault("PUT", "/manifests/v1", 201, {"Docker-Content-Digest": "sha256:" + "0" * 64}, times=99),
        "stored the manifest v1 as sha256:0000",
    ),
}


@pytest.mark.parametrize("case", LIES)
def test_a_registry_that_lies_about_a_digest_is_found_out(content: Path, faulty: FaultyRegistry, case: str) -> None:
    fault, sentence = LIES[case]
    faulty.faults.append(Fault(**vars(fault)))
    with pytest.raises(packager.PackagerError, match=sentence):
        packager.push(content, f"{faulty.address}/c:v1")
    assert "v1" not in faulty.manifests


def test_a_blob_of_the_wrong_length_does_not_count_as_there(content: Path, faulty: FaultyRegistry) -> None:
    """What an aborted upload or a full disk leaves in some registries: the digest is there, the bytes are not."""
    pushed = packager.push(content, f"{faulty.address}/c:v1")
    layer = pushed.variants[0].layer_digests[0]
    faulty.blobs[layer] = faulty.blobs[layer][:-1]
    packager.push(content, f"{faulty.address}/c:v2")
    assert "sha256:" + hashlib.sha256(faulty.blobs[layer]).hexdigest() == layer
    assert packager.verify(f"{faulty.address}/c:v2") == []


def test_a_download_of_another_length_is_found_out(content: Path, faulty: FaultyRegistry) -> None:
    pushed = packager.push(content, f"{faulty.address}/c:v1")
    for change in (lambda body: body + b"\0", lambda body: body[:-1], lambda body: b""):
        faulty.faults.append(Fault("GET", pushed.variants[0].layer_digests[0], change=change))
        found = {violation.what for violation in packager.verify(pushed.reference)}
        assert found & {"size", "digest"}, found
    assert packager.verify(pushed.reference) == []


def test_special_files_that_appear_after_the_survey_are_refused(make_tree, tmp_path: Path) -> None:
    """Between the first look and the last, a file may become what would never end to read."""
    root = make_tree({"a": os.urandom(2 << 20), "b": b"x"})

    def swap() -> None:
        (root / "b").unlink()
        os.mkfifo(root / "b")

    with pytest.raises(packager.PackagerError, match="b changed while"):
        packager.pack(root, tmp_path / "out", compression=Meddling(meddle=swap))
    assert stat.S_ISFIFO((root / "b").lstat().st_mode)
