"""The commands as a user runs them: what they print, and how they end."""

from __future__ import annotations

import json
import os
import pty
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import packager
from packager import cli

REPOSITORY = Path(__file__).parents[2]


def test_pack_prints_what_it_made(content: Path, tmp_path: Path, imgvol) -> None:
    done = imgvol("pack", content, "--output", tmp_path / "out")
    packed = packager.pack(content, tmp_path / "again")
    assert done.returncode == 0
    assert done.stderr == ""
    assert f"digest      {packed.digest}\ndiff_id     {packed.diff_id}\n" in done.stdout
    assert "platforms   linux/amd64, linux/arm64\n" in done.stdout


def test_pack_as_json(content: Path, tmp_path: Path, imgvol) -> None:
    done = imgvol("pack", content, "--output", tmp_path / "out", "--json", "--jobs", 3)
    fields = json.loads(done.stdout)
    assert fields["digest"] == packager.inspect(tmp_path / "out").digest
    assert fields["entries"] == 7
    assert fields["codec"].startswith("zlib")
    assert [variant["platform"] for variant in fields["variants"]] == ["linux/amd64", "linux/arm64"]


def test_push_prints_digest_diff_id_and_the_pinned_reference(content: Path, registry, imgvol) -> None:
    done = imgvol("push", content, f"{registry.address}/lab/content:v1", "--platform", "linux/arm64")
    assert done.returncode == 0, done.stderr
    digest = packager.inspect(f"{registry.address}/lab/content:v1").digest
    assert f"digest      {digest}\ndiff_id     sha256:" in done.stdout
    assert done.stdout.endswith(f"reference   {registry.address}/lab/content@{digest}\n")


def test_push_with_a_password_from_stdin(content: Path, registry, imgvol) -> None:
    reference = f"{registry.private}/c:v1"
    signed_in = ("--username", "ci", "--password-stdin")
    done = imgvol("push", content, reference, "--json", *signed_in, stdin="s3cret\n")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["reference"].startswith(f"{registry.private}/c@sha256:")
    assert imgvol("verify", reference, *signed_in, stdin="s3cret").returncode == 0
    environment = {"IMGVOL_USERNAME": "ci", "IMGVOL_PASSWORD": "s3cret"}
    assert imgvol("inspect", reference, env=environment).returncode == 0
    assert imgvol("inspect", reference, "--username", "ci", env={"IMGVOL_PASSWORD": "s3cret"}).returncode == 0


def test_verify_says_that_all_is_well(content: Path, tmp_path: Path, imgvol) -> None:
    packager.pack(content, tmp_path / "out")
    done = imgvol("verify", tmp_path / "out")
    assert (done.returncode, done.stdout) == (0, f"{tmp_path}/out: no violations\n")


def test_verify_prints_every_violation_and_fails(content: Path, tmp_path: Path, imgvol) -> None:
    packed = packager.pack(content, tmp_path / "out")
    for variant in packed.variants:
        config = tmp_path / "out/blobs/sha256" / variant.config_digest.removeprefix("sha256:")
        config.write_bytes(config.read_bytes().replace(b"1970", b"1971"))
    done = imgvol("verify", tmp_path / "out")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert len(lines) == 5
    assert lines[0].startswith(f"manifest linux/amd64, config: digest: expected {packed.variants[0].config_digest}, ")
    assert lines[-1] == f"{tmp_path}/out: 4 violations"
    done = imgvol("verify", tmp_path / "out", "--json")
    assert done.returncode == 1
    violations = json.loads(done.stdout)["violations"]
    assert [violation["what"] for violation in violations] == ["digest", "created"] * 2
    assert set(violations[0]) == {"what", "where", "expected", "found"}


def test_inspect_shows_each_platform(content: Path, tmp_path: Path, imgvol) -> None:
    packed = packager.pack(content, tmp_path / "out")
    done = imgvol("inspect", tmp_path / "out")
    assert done.returncode == 0
    for variant in packed.variants:
        assert f"platform    {variant.platform}\nmanifest    {variant.digest}\n" in done.stdout
    fields = json.loads(imgvol("inspect", tmp_path / "out", "--json").stdout)
    assert fields["digest"] == packed.digest
    files = [path.stat().st_size for path in (tmp_path / "out/blobs/sha256").iterdir()]
    assert fields["size"] == sum(files)


def test_push_program(registry, imgvol, tmp_path: Path) -> None:
    if shutil.which("go") is None:
        pytest.skip("needs the Go toolchain")
    (tmp_path / "main.go").write_text('package main\nfunc main() { println("hi") }\n')
    options = []
    for architecture in ("amd64", "arm64"):
        binary = tmp_path / architecture
        build = ["go", "build", "-o", str(binary), "main.go"]
        environment = os.environ | {"GOOS": "linux", "GOARCH": architecture, "CGO_ENABLED": "0"}
        subprocess.run(build, cwd=tmp_path, env=environment, check=True)
        options += ["--program", f"linux/{architecture}={binary}"]
    reference = f"{registry.address}/engine:latest"
    done = imgvol("push-program", reference, *options, "--port", "8080", "--env", "CONTENT_PATH=/content", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["tag"] == "latest"
    assert packager.verify(reference) == []


USAGE = {
    "unknown option": (
        ("pack", ".", "--output", "x", "--quick"),
        "imgvol pack: unrecognized arguments: --quick; see imgvol pack --help",
    ),
    "unknown command": (("pakc",), "imgvol: argument COMMAND: invalid choice: 'pakc'"),
    "no command": ((), "imgvol: the following arguments are required: COMMAND"),
    "no output": (("pack", "."), "imgvol pack: the following arguments are required: --output"),
    "no number": (("pack", ".", "--output", "x", "--jobs", "many"), "imgvol pack: argument --jobs: invalid int"),
    "no worker": (("pack", "DIR", "--output", "TMP/x", "--jobs", "0"), "the number of jobs must be at least 1, not 0"),
    "malformed reference": (("push", ".", "Content:v1"), "imgvol push: 'Content:v1' is not an image reference: "),
    "malformed platform": (("push", "DIR", "localhost:1/c", "--platform", "amd64"), "'amd64' is not a platform"),
    "password without user": (("push", ".", "localhost:1/c", "--password-stdin"), "--password-stdin needs --username"),
    "no password": (("push", ".", "localhost:1/c", "--username", "me"), "--username needs a password"),
    "empty password": (
        ("push", ".", "localhost:1/c", "--username", "me", "--password-stdin"),
        "there is no password on stdin",
    ),
    "an empty directory's name": (("push", "", "localhost:1/c"), "argument DIR|LAYOUT_DIR: it is empty; is a variable"),
    "an empty output": (("pack", "DIR", "--output", ""), "argument --output: it is empty; is a variable not set?"),
    "an empty target": (("copy", "DIR", ""), "argument TARGET: it is empty; is a variable not set?"),
    "an empty side": (("diff", "", "DIR"), "argument A: it is empty; is a variable not set?"),
    "no layout": (
        ("verify", "nothing"),
        "there is no directory nothing; name a layout's directory or an image reference",
    ),
    "a file as a layout": (
        ("inspect", "DIR/run.sh"),
        "run.sh is a file; name a layout's directory or an image reference",
    ),
    "directories of a platform": (("diff", "DIR", "DIR", "--platform", "linux/amd64"), "leave out the platform"),
    "no registry": (("login", "http://localhost:1"), "'http://localhost:1' is not a registry; write HOST[:PORT], for"),
    "a repository to sign in to": (("logout", "localhost:1/c"), "'localhost:1/c' is not a registry; write HOST[:PORT]"),
    "missing directory": (("pack", "TMP/nowhere", "--output", "TMP/x"), "nowhere; name the one to pack"),
    "malformed program": (("push-program", "localhost:1/c", "--program", "engine"), "is not of the form linux/amd64="),
    "a program twice": (
        ("push-program", "localhost:1/c", "--program", "linux/amd64=a", "--program", "linux/amd64=b"),
        "--program is given twice for linux/amd64",
    ),
}


@pytest.mark.parametrize("case", USAGE)
def test_wrong_usage_is_one_sentence_and_status_2(content: Path, tmp_path: Path, imgvol, case: str) -> None:
    arguments, sentence = USAGE[case]
    done = imgvol(*(one.replace("DIR", str(content)).replace("TMP", str(tmp_path)) for one in arguments))
    assert done.returncode == 2
    assert done.stdout == ""
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1


def test_failures_are_one_sentence_and_status_1(content: Path, tmp_path: Path, imgvol, registry) -> None:
    (tmp_path / "void").mkdir()
    wrong = {"IMGVOL_USERNAME": "ci", "IMGVOL_PASSWORD": "wr0ng"}
    for arguments, env, sentence in (
        (("pack", tmp_path / "void", "--output", tmp_path / "x"), {}, "imgvol pack: .*void is empty; there is nothing"),
        (("push", content, "127.0.0.1:1/c:v1"), {}, "imgvol push: cannot reach the registry 127.0.0.1:1: connection"),
        (("verify", f"{registry.address}/c:v1"), {}, "imgvol verify: .* has no c v1"),
        (("push", content, f"{registry.private}/c:v1"), wrong, "does not accept the user name and password of 'ci'"),
        (("push", content, f"{registry.private}/c:v1"), {}, "wants to know who you are"),
    ):
        done = imgvol(*arguments, env=env)
        assert done.returncode == 1
        assert re.search(sentence, done.stderr)
        assert done.stderr.count("\n") == 1
        assert "wr0ng" not in done.stderr


def test_warnings_go_to_stderr(make_tree, tmp_path: Path, imgvol) -> None:
    root = make_tree({"a": b"", "A": b""})
    done = imgvol("pack", root, "--output", tmp_path / "out", "--json")
    assert done.stderr == "warning: A and a differ only in upper and lower case\n"
    assert json.loads(done.stdout)["warnings"] == ["A and a differ only in upper and lower case"]


class TestFullDisk:
    def test_a_file_too_large_to_write(self, make_tree, tmp_path: Path, imgvol) -> None:
        root = make_tree({"random": os.urandom(3 << 20)})
        (tmp_path / "place").mkdir()

        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

        done = imgvol("pack", root, "--output", tmp_path / "place/out", preexec_fn=limit)
        assert done.returncode == 1
        assert done.stderr == (
            f"imgvol pack: cannot write the layer to {tmp_path}/place: file too large; "
            "free some space or choose another place\n"
        )
        assert list((tmp_path / "place").iterdir()) == []

    @pytest.mark.parametrize("command", ["pack", "push"])
    def test_a_full_file_system(self, make_tree, tmp_path: Path, registry, command: str) -> None:
        """On a tmpfs of 1 MiB, in a mount namespace of its own."""
        namespace = ["unshare", "--user", "--map-root-user", "--mount"]
        if subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode:
            pytest.skip("needs user namespaces")
        root = make_tree({"random": os.urandom(3 << 20)})
        (tmp_path / "small").mkdir()
        arguments = {
            "pack": f"pack {root} --output {tmp_path}/small/out",
            "push": f"push {root} {registry.address}/c:v1",
        }
        script = (
            f"mount -t tmpfs -o size=1m none {tmp_path}/small && "
            f"TMPDIR={tmp_path}/small {sys.executable} -m imgvol {arguments[command]}; "
            f"echo status $?; ls -A {tmp_path}/small"
        )
        done = subprocess.run(
            [*namespace, "sh", "-c", script], capture_output=True, text=True, cwd=REPOSITORY, check=True
        )
        assert done.stdout == "status 1\n"
        assert done.stderr == (
            f"imgvol {command}: cannot write the layer to {tmp_path}/small: no space left on device; "
            "free some space or choose another place\n"
        )
        assert registry.writes() == []

    def test_output_that_cannot_be_written(self, content: Path, tmp_path: Path) -> None:
        packager.pack(content, tmp_path / "out")
        command = [sys.executable, "-m", "imgvol", "inspect", tmp_path / "out"]
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY, check=False)
        assert done.returncode == 1
        assert done.stderr.startswith("imgvol inspect: cannot write the output: no space left on device; ")
        assert done.stderr.count("\n") == 1

    def test_nobody_reads_the_output(self, content: Path, tmp_path: Path) -> None:
        packager.pack(content, tmp_path / "out")
        read, write = os.pipe()
        os.close(read)
        command = [sys.executable, "-m", "imgvol", "inspect", tmp_path / "out"]
        done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, cwd=REPOSITORY, check=False)
        os.close(write)
        assert (done.returncode, done.stderr) == (141, b"")


def on_a_terminal(*command: object) -> tuple[str, bytes]:
    """What a command prints, and what a terminal shows of it meanwhile."""
    leader, follower = pty.openpty()
    arguments = [sys.executable, "-m", "imgvol", *map(str, command)]
    done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=follower, cwd=REPOSITORY, check=False)
    os.close(follower)
    shown = b""
    try:
        while piece := os.read(leader, 4096):
            shown += piece
    except OSError:  # how Linux says that the other side is closed
        pass
    os.close(leader)
    return done.stdout.decode(), shown


def test_progress_is_shown_on_a_terminal_only(content: Path, tmp_path: Path, registry) -> None:
    printed, shown = on_a_terminal("push", content, f"{registry.address}/c:v1")
    assert b"packing" in shown
    assert b"pushing" in shown
    assert printed.startswith("digest ")
    printed, shown = on_a_terminal("copy", f"{registry.address}/c:v1", tmp_path / "copy")
    assert b"copying" in shown
    assert printed.startswith("digest ")
    (content / "more").write_bytes(b"more")
    packager.push(content, f"{registry.address}/c:v2")
    printed, shown = on_a_terminal("diff", f"{registry.address}/c:v1", f"{registry.address}/c:v2")
    assert b"comparing" in shown
    assert printed == "added    more  4 B\n1 added\n"


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_help_has_an_example(imgvol, command: str) -> None:
    done = imgvol(command, "--help")
    assert done.returncode == 0
    assert f"example:\n  imgvol {command} " in done.stdout
    assert done.stdout.endswith("2 wrong usage\n" if command != "diff" else "2 trouble\n")
    assert "\nexit status: 0 " in done.stdout
    assert "--json" in done.stdout
