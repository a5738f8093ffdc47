"""Reading tar as Go does: what is whole is read whole, what is damaged is told in Go's words."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.node.containerd.tar import TarEntry, TarError, read_entries
from fixtures import Entry, tar_bytes

names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=120).filter(
    lambda name: not name.endswith("/")  # tarfile takes a slash off at the end
)


def names_in(archive: bytes) -> object:
    try:
        return [entry.name for entry in read_entries(archive)]
    except TarError as error:
        return str(error)


def data_of(archive: bytes, entry: TarEntry) -> bytes:
    data = bytearray(entry.size)
    for offset, start, length in entry.segments:
        data[offset : offset + length] = archive[start : start + length]
    return bytes(data)


@given(
    files=st.lists(
        st.tuples(
            names,
            st.binary(max_size=1500),
            st.integers(0, 0o7777),
            st.integers(0, 2**40),
            st.integers(0, 2 * 10**12).map(lambda ms: ms / 1000),
        ),
        max_size=6,
    ),
    flavour=st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
)
def test_what_python_writes_is_read_back(files: list[tuple[str, bytes, int, int, float]], flavour: int) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=flavour) as archive:
        for name, content, mode, uid, mtime in files:
            header = tarfile.TarInfo(name)
            header.size, header.mode, header.uid, header.mtime = len(content), mode, uid, mtime
            archive.addfile(header, io.BytesIO(content))
    raw = out.getvalue()

    entries = list(read_entries(raw))

    assert [(e.name, data_of(raw, e), e.mode, e.uid) for e in entries] == [file[:4] for file in files]
    for entry, file in zip(entries, files, strict=True):
        precision = 1e3 if flavour == tarfile.PAX_FORMAT else 1e9
        assert abs(entry.mtime - file[4] * 1e9) <= precision


@given(cut=st.integers(0, 5 * 512), seed=st.binary(min_size=700, max_size=700))
def test_an_archive_cut_short_ends_or_says_so(cut: int, seed: bytes) -> None:
    raw = tar_bytes([Entry("a", content=seed), Entry("b")])[:cut]
    # a: a header, 700 bytes and padding that may be missing, up to 1536; b: a header; then two blocks of zeros.
    if not cut:
        expected: object = []
    elif 512 + 700 <= cut <= 1536:
        expected = ["a"]
    else:
        expected = ["a", "b"] if cut >= 2048 and cut % 512 == 0 else "unexpected EOF"
    assert names_in(raw) == expected


def test_what_cut_the_stream_short_is_told_instead() -> None:
    raw = tar_bytes([Entry("a", content=b"x" * 700)])
    with pytest.raises(TarError, match=r"^gzip: invalid checksum$"):
        list(read_entries(raw[:600], "gzip: invalid checksum"))
    assert len(list(read_entries(raw, "gzip: invalid checksum"))) == 1


@given(position=st.integers(0, 511), bit=st.integers(0, 7))
def test_no_damaged_header_passes_for_another(position: int, bit: int) -> None:
    raw = bytearray(tar_bytes([Entry("some/name", content=b"content", mode=0o640)]))
    whole = list(read_entries(bytes(raw)))
    raw[position] ^= 1 << bit
    told = names_in(bytes(raw))
    # What surrounds the digits of the checksum field may change without harm.
    assert told == "archive/tar: invalid tar header" or list(read_entries(bytes(raw))) == whole


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"this is text, not a tar archive\n" * 20, "archive/tar: invalid tar header"),
        (b"too short", "unexpected EOF"),
        (bytes(512) + b"x" * 512, "archive/tar: invalid tar header"),
        (bytes(512) + b"x", "unexpected EOF"),
    ],
)
def test_what_is_no_archive(raw: bytes, message: str) -> None:
    with pytest.raises(TarError) as raised:
        list(read_entries(raw))
    assert str(raised.value) == message


@pytest.mark.parametrize("raw", [b"", bytes(512), bytes(1024), bytes(1024) + b"trailing"])
def test_what_is_an_empty_archive(raw: bytes) -> None:
    assert list(read_entries(raw)) == []


@pytest.mark.parametrize(
    "record",
    [b"garbage", b"5 a=\n\n", b"999 a=b\n", b"6 ab\n\n", b"11 path=a\0\n", b"6 =b\n\n", b"-3 a=b\n"],
)
def test_bad_pax_records(record: bytes) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        header = tarfile.TarInfo("pax")
        header.type, header.size = b"x", len(record)
        archive.addfile(header, io.BytesIO(record))
    with pytest.raises(TarError, match="invalid tar header"):
        list(read_entries(out.getvalue()))


def test_a_global_header_ends_what_an_extended_one_began() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for kind, record in ((b"x", b"14 path=other\n"), (b"g", b"13 comment=x\n"), (b"0", b"data")):
            header = tarfile.TarInfo("name")
            header.type, header.size = kind, len(record)
            archive.addfile(header, io.BytesIO(record))
    assert [(entry.name, entry.type) for entry in read_entries(out.getvalue())] == [("name", "g"), ("name", "0")]


SPARSE = [("gnu", "S"), ("posix", "0")]


@pytest.mark.skipif(shutil.which("tar") is None, reason="no GNU tar")
@pytest.mark.parametrize(("flavour", "kind"), SPARSE)
def test_sparse_files_of_gnu_tar(flavour: str, kind: str, tmp_path: Path) -> None:
    with (tmp_path / "holes").open("wb") as file:
        for n in range(40):
            file.seek(n << 16)
            file.write(bytes([n + 1]) * 4096)
        file.truncate(41 << 16)
    command = ["tar", "--sparse", f"--format={flavour}", "-cf", "out.tar", "holes"]
    if subprocess.run(command, cwd=tmp_path, check=False).returncode:
        pytest.skip("this tar makes no sparse archives")
    raw = (tmp_path / "out.tar").read_bytes()
    (entry,) = read_entries(raw)
    assert (entry.name, entry.type) == ("holes", kind)
    assert data_of(raw, entry) == (tmp_path / "holes").read_bytes()
    assert len(raw) < 1 << 20
