"""What an image cannot hold is refused in one sentence that names it, and leaves nothing behind."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import packager
from packager.symlinks import leaves_root

REPOSITORY = Path(__file__).parents[2]


def _socket(root: Path) -> None:
    here = Path.cwd()
    os.chdir(root)  # the path of a socket must be short
    with socket.socket(socket.AF_UNIX) as endpoint:
        endpoint.bind("agent.sock")
    os.chdir(here)


def _name(name: bytes) -> Callable[[Path], None]:
    return lambda root: Path(os.fsdecode(os.fsencode(root) + b"/" + name)).write_text("x")


def _link(target: str, at: str = "link") -> Callable[[Path], None]:
    def make(root: Path) -> None:
        (root / at).parent.mkdir(parents=True, exist_ok=True)
        (root / at).symlink_to(target)

    return make


def _deep(root: Path) -> None:
    here = os.open(root, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=here)
        below = os.open("d" * 250, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)


def _climb_through_a_link(root: Path) -> None:
    (root / "a/b").mkdir(parents=True)
    (root / "a/b/up").symlink_to("..")
    (root / "a/b/out").symlink_to("up/../../secret")


REFUSALS: dict[str, tuple[Callable[[Path], None], str]] = {
    "socket": (_socket, "cannot pack agent.sock: a socket has no place in an image"),
    "named pipe": (lambda root: os.mkfifo(root / "pipe"), "cannot pack pipe: a named pipe has no place"),
    "whiteout": (_name(b".wh.passwd"), "cannot pack .wh.passwd: names that begin with .wh. delete files"),
    "opaque whiteout": (_name(b".wh..wh..opq"), "names that begin with .wh."),
    "not UTF-8": (_name(b"caf\xe9"), r"cannot pack caf\xe9: its name is not UTF-8"),
    "line break": (_name(b"a\nb"), "cannot pack 'a\\nb': its name holds a line break"),
    "absolute link": (_link("/etc/passwd"), "cannot pack link: the link leads to /etc/passwd; only relative"),
    "escaping link": (_link("../secret"), "cannot pack link: the link leads outside the directory, to ../secret"),
    "deep escaping link": (_link("../../../x", "a/b/l"), "cannot pack a/b/l: the link leads outside"),
    "escape through a link": (_climb_through_a_link, "cannot pack a/b/out: the link leads outside"),
    "link to non-UTF-8": (
        lambda root: (root / "l").symlink_to(os.fsdecode(b"\xff")),
        "cannot pack l: the link's target is not UTF-8",
    ),
    "link with a line break": (_link("a\nb"), "the link's target holds a line break"),
    "too deep": (_deep, "and a node takes no more than 3900"),
}
if os.geteuid() == 0:
    REFUSALS["device"] = (
        lambda root: os.mknod(root / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3)),
        "cannot pack null: a character device has no place",
    )


@pytest.mark.parametrize("case", REFUSALS)
def test_refused(make_tree, tmp_path: Path, case: str) -> None:
    make, sentence = REFUSALS[case]
    root = make_tree({"good.txt": b"x"})
    make(root)
    with pytest.raises(packager.PackagerError) as refused:
        packager.pack(root, tmp_path / "out")
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)
    assert [path.name for path in tmp_path.iterdir()] == ["content"]
    subprocess.run(["rm", "-rf", root], check=True)  # deeper than Python's own can go


def test_several_refusals_are_counted(make_tree, tmp_path: Path) -> None:
    root = make_tree({".wh.a": b"", ".wh.b": b"", ".wh.c": b""})
    with pytest.raises(packager.PackagerError, match=r"cannot pack \.wh\.a: .* \(and 2 more like it\)"):
        packager.pack(root, tmp_path / "out")


def test_links_that_dangle_loop_or_stay_inside_are_kept(make_tree, tmp_path: Path) -> None:
    root = make_tree({"a/b": b"", "dangles": "->nowhere/at/all", "loops": "->loops", "inside": "->a/../a/b"})
    packager.pack(root, tmp_path / "out")
    assert packager.verify(tmp_path / "out") == []


@pytest.mark.parametrize(
    ("path", "target", "leaves"),
    [
        (b"l", b"..", True),
        (b"l", b".", False),
        (b"d/l", b"..", False),
        (b"d/l", b"../..", True),
        (b"l", b"loop/../x", False),
        (b"l", b"up/../x", True),
        (b"l", b"down/../x", False),
        (b"l", b"absolute/x", True),
    ],
)
def test_leaves_root(path: bytes, target: bytes, leaves: bool) -> None:
    links = {b"loop": b"loop", b"up": b"d/..", b"down": b"d/e", b"absolute": b"/"}
    assert leaves_root(path, target, links.get) is leaves


def test_a_missing_directory(tmp_path: Path) -> None:
    with pytest.raises(packager.UsageError, match=r"there is no directory .*nowhere; name the one to pack"):
        packager.pack(tmp_path / "nowhere", tmp_path / "out")


def test_an_empty_directory(make_tree, tmp_path: Path) -> None:
    with pytest.raises(packager.PackagerError, match="content is empty; there is nothing to pack"):
        packager.pack(make_tree({}), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["content"]


def test_a_file_instead_of_a_directory(make_tree, tmp_path: Path) -> None:
    root = make_tree({"a": b""})
    with pytest.raises(packager.UsageError, match="a is not a directory"):
        packager.pack(root / "a", tmp_path / "out")


# One file is read at a time; progress is told after each, which is when these tests step in.
CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a file grows": (lambda root: (root / "b").write_bytes(b"longer than it was"), "b changed while"),
    "a file shrinks": (lambda root: (root / "b").write_bytes(b""), "b changed while"),
    "a file vanishes": (lambda root: (root / "b").unlink(), "b changed while"),
    "a file becomes a link": (lambda root: ((root / "b").unlink(), (root / "b").symlink_to("a")), "changed while"),
    "a file becomes a pipe": (lambda root: ((root / "b").unlink(), os.mkfifo(root / "b")), "changed while"),
    "an earlier file changes": (lambda root: (root / "a").write_bytes(b"new"), "a changed while"),
    "a file appears": (lambda root: (root / "c").write_bytes(b"new"), "c changed while"),
    "a directory vanishes": (lambda root: (root / "z").rmdir(), "changed while"),
    "a mode changes": (lambda root: (root / "a").chmod(0o755), "a changed while"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_tree_that_changes_while_it_is_packed_is_refused(make_tree, tmp_path: Path, case: str) -> None:
    change, sentence = CHANGES[case]
    root = make_tree({"a": b"first", "b": b"second", "z": None})
    done: list[int] = []

    time.sleep(0.03)  # so that the tree is older than a file system's clock is coarse

    def step_in(stage: str, so_far: int, total: int) -> None:
        if not done:
            change(root)
        done.append(so_far)

    with pytest.raises(packager.PackagerError, match=sentence):
        packager.pack(root, tmp_path / "out", progress=step_in)
    assert [path.name for path in tmp_path.iterdir()] == ["content"]


def test_a_file_that_cannot_be_read(make_tree, tmp_path: Path) -> None:
    root = make_tree({"good": b"", "dir/secret": b"x"})
    (root / "dir/secret").chmod(0)
    # Root reads everything, so it must first lose the capabilities for that (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH).
    program = (
        "import ctypes, os, sys\n"
        "libc = ctypes.CDLL(None)\n"
        "libc.prctl(24, 1, 0, 0, 0), libc.prctl(24, 2, 0, 0, 0)\n"
        "os.execv(sys.executable, [sys.executable, '-m', 'imgvol', *sys.argv[1:]])"
    )
    arguments = ["pack", root, "--output", tmp_path / "out"]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, cwd=REPOSITORY, check=False
    )
    assert done.stderr == "imgvol pack: cannot read dir/secret: permission denied\n"
    assert done.returncode == 1
    (root / "dir").chmod(0)
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, cwd=REPOSITORY, check=False
    )
    (root / "dir").chmod(0o755)
    assert done.stderr == "imgvol pack: cannot read dir: permission denied\n"
    assert [path.name for path in tmp_path.iterdir()] == ["content"]


def test_names_that_some_file_systems_confuse_are_warned_about(make_tree, tmp_path: Path) -> None:
    root = make_tree(
        {"d/README": b"", "d/readme": b"", "d/caf\u00e9": b"", "d/cafe\u0301": b"", "e/Readme": b"", "d": None}
    )
    assert packager.pack(root, tmp_path / "out").warnings == (
        "d/cafe\u0301 and d/caf\u00e9 differ only in how their accents are encoded",
        "d/README and d/readme differ only in upper and lower case",
    )
