"""`imgvol up` as its users meet it: a process that says where it is, and leaves nothing."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

COMMAND = [sys.executable, "-m", "imgvol", "up"]


class Up:
    """A running `imgvol up`, its temporary files below a directory of its own."""

    def __init__(self, temporary: Path, *options: str, **environment: str) -> None:
        temporary.mkdir(exist_ok=True)
        self.temporary = temporary
        self.process = subprocess.Popen(
            [*COMMAND, *options],
            env=os.environ | {"TMPDIR": str(temporary)} | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(self.process.communicate()[1])
        self.ready = json.loads(line)
        self.kubeconfig = Path(self.ready["kubeconfig"])

    def get(self, path: str) -> Any:
        config = yaml.safe_load(self.kubeconfig.read_text())
        cluster = config["clusters"][0]["cluster"]
        context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
        token = config["users"][0]["user"]["token"]
        request = urllib.request.Request(cluster["server"] + path, headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request, context=context, timeout=10) as answer:
            return json.load(answer)

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str, float]:
        """Send a signal; the exit status, what was said, and the seconds it took."""
        began = time.monotonic()
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said, time.monotonic() - began


@contextlib.contextmanager
def running(temporary: Path, *options: str, **environment: str) -> Iterator[Up]:
    up = Up(temporary, *options, **environment)
    try:
        yield up
    finally:
        if up.process.poll() is None:
            up.end()
        for stream in (up.process.stdin, up.process.stdout, up.process.stderr):
            assert stream is not None
            stream.close()


def refused(tmp_path: Path, *options: str, **environment: str) -> tuple[int, str]:
    done = subprocess.run(
        [*COMMAND, *options],
        env=os.environ | {"TMPDIR": str(tmp_path)} | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert list(tmp_path.glob("imgvol-*")) == []
    return done.returncode, done.stderr


def fetch(address: str, user: str = "", password: str = "") -> int:
    request = urllib.request.Request(f"http://{address}/v2/")
    if user:
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        request.add_header("Authorization", f"Basic {token}")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_once_it_is_ready_the_node_is_and_the_default_service_account_exists(tmp_path: Path) -> None:
    with running(tmp_path) as up:
        assert set(up.ready) == {"registry", "private_registry", "control", "kubeconfig"}
        assert up.ready["private_registry"] is None
        assert fetch(up.ready["registry"]) == 200
        (node,) = up.get("/api/v1/nodes")["items"]
        assert {"type": "Ready", "status": "True"}.items() <= next(
            each for each in node["status"]["conditions"] if each["type"] == "Ready"
        ).items()
        assert up.get("/api/v1/namespaces/default/serviceaccounts/default")["metadata"]["name"] == "default"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_at_once_and_nothing_is_left(tmp_path: Path, number: int) -> None:
    with running(tmp_path / "tmp") as up:
        assert list((tmp_path / "tmp").iterdir()) != []
        status, said, seconds = up.end(number)
    assert (status, said) == (0, "")
    assert seconds < 20  # it waits for no grace period (30 s); a tenth of a second where the machine is idle
    assert list((tmp_path / "tmp").iterdir()) == []


def test_it_ends_when_its_standard_input_does(tmp_path: Path) -> None:
    with running(tmp_path / "tmp", "--until-stdin-closes") as up:
        assert up.process.stdin is not None
        up.process.stdin.close()
        assert up.process.wait(20) == 0
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_killed_parent_takes_it_along(tmp_path: Path) -> None:
    script = (
        "import emulator, os, signal, sys\n"
        "with emulator.start() as running:\n"
        "    print(running.kubeconfig, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 20
    while list(tmp_path.iterdir()):  # the process is nobody's child that we could wait for
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_a_killed_one_left_goes_when_the_next_starts(tmp_path: Path) -> None:
    with running(tmp_path) as first:
        first.end(signal.SIGKILL)
    (left,) = tmp_path.glob("imgvol-*")
    with running(tmp_path):
        assert not left.exists()


def test_any_number_run_side_by_side(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        ups = [stack.enter_context(running(tmp_path)) for _ in range(3)]
        assert len({up.ready["registry"] for up in ups}) == 3
        assert all(len(up.get("/api/v1/nodes")["items"]) == 1 for up in ups)


def test_the_kubeconfig_is_for_its_owner_alone_and_goes_with_it(tmp_path: Path) -> None:
    wanted = tmp_path / "kubeconfig"
    with running(tmp_path / "tmp", "--kubeconfig", str(wanted)) as up:
        assert up.kubeconfig == wanted
        assert wanted.stat().st_mode & 0o7777 == 0o600
        assert up.get("/version")["gitVersion"].startswith("v1.36")
        assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["kubeconfig"]
    assert not wanted.exists()


def test_a_kubeconfig_that_somebody_replaced_stays(tmp_path: Path) -> None:
    wanted = tmp_path / "kubeconfig"
    with running(tmp_path / "tmp", "--kubeconfig", str(wanted)):
        wanted.write_text("mine")
    assert wanted.read_text() == "mine"


def test_its_own_stale_kubeconfig_is_replaced_another_is_not(tmp_path: Path) -> None:
    wanted = tmp_path / "kubeconfig"
    with running(tmp_path / "tmp", "--kubeconfig", str(wanted)) as up:
        up.end(signal.SIGKILL)
    assert wanted.exists()
    with running(tmp_path / "tmp", "--kubeconfig", str(wanted)) as up:
        assert up.get("/api/v1/nodes")["items"]
    for content in ("apiVersion: v1\nclusters: [{name: production}]\n", "{", "\0"):
        wanted.write_text(content)
        status, said = refused(tmp_path, "--kubeconfig", str(wanted))
        assert (status, "exists and is not from imgvol up" in said) == (1, True)
        assert wanted.read_text() == content


def test_a_kubeconfig_that_cannot_be_written_is_refused_before_anything_starts(tmp_path: Path) -> None:
    status, said = refused(tmp_path, "--kubeconfig", str(tmp_path / "no" / "kubeconfig"))
    assert (status, f"there is no directory {tmp_path / 'no'}" in said) == (1, True)
    status, said = refused(tmp_path, "--kubeconfig", str(tmp_path))
    assert (status, "it is a directory" in said) == (1, True)


def test_the_private_registry_wants_its_user(tmp_path: Path) -> None:
    with running(tmp_path, "--private-registry", "demo:hunter2") as up:
        private = up.ready["private_registry"]
        assert [fetch(private), fetch(private, "demo", "wrong"), fetch(private, "demo", "hunter2")] == [401, 401, 200]
        assert fetch(up.ready["registry"]) == 200


def test_the_password_may_come_by_the_environment(tmp_path: Path) -> None:
    with running(tmp_path, IMGVOL_PRIVATE_REGISTRY="demo:hun:ter2") as up:
        assert fetch(up.ready["private_registry"], "demo", "hun:ter2") == 200
        arguments = Path(f"/proc/{up.process.pid}/cmdline").read_text()
        assert "hun:ter2" not in arguments


@pytest.mark.parametrize("given", ["hunter2", ":hunter2", "hunter2:"])
def test_half_a_credential_is_refused_without_telling_it(tmp_path: Path, given: str) -> None:
    for status, said in (
        refused(tmp_path, "--private-registry", given),
        refused(tmp_path, IMGVOL_PRIVATE_REGISTRY=given),
    ):
        assert status == 2
        assert "a user name and a password, separated by a colon" in said
        assert "hunter2" not in said


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--registry-port", "65536"], "'65536' is no port: give a number from 0 to 65535"),
        (["--api-port", "x"], "'x' is no port: give a number from 0 to 65535"),
        (["--speed", "0"], "'0' is no speed: give a number above zero"),
        (["--speed", "nan"], "'nan' is no speed: give a number above zero"),
        (["--isolation", "docker"], "invalid choice: 'docker'"),
        (["--runtime", "cri-o"], "there is no runtime profile 'cri-o'; choose one of containerd-2.0, containerd-2.1"),
        (["--frobnicate"], "--frobnicate"),
    ],
)
def test_wrong_usage_is_told_in_one_sentence(tmp_path: Path, options: list[str], says: str) -> None:
    status, said = refused(tmp_path, *options)
    assert status == 2
    assert says in said


@pytest.mark.parametrize("part", ["registry", "api"])
def test_a_taken_port_is_told_in_one_sentence(tmp_path: Path, part: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, said = refused(tmp_path, f"--{part}-port", str(port))
    assert status == 1
    assert f"cannot listen on 127.0.0.1:{port}: " in said
    assert "address already in use" in said.lower()
    assert "choose another port" in said


def test_missing_programs_are_told_in_one_sentence(tmp_path: Path) -> None:
    status, said = refused(tmp_path, IMGVOL_BIN=str(tmp_path))
    assert (status, "run `make build`" in said) == (1, True)


def test_ports_can_be_chosen(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        ports = [each.getsockname()[1] for each in (one, other)]
    with running(tmp_path, "--registry-port", str(ports[0]), "--api-port", str(ports[1])) as up:
        assert up.ready["registry"] == f"127.0.0.1:{ports[0]}"
        config = yaml.safe_load(up.kubeconfig.read_text())
        assert config["clusters"][0]["cluster"]["server"] == f"https://127.0.0.1:{ports[1]}"


def test_verbose_logs_to_standard_error(tmp_path: Path) -> None:
    with running(tmp_path, "--verbose") as up:
        _, said, _ = up.end()
    assert "imgvol.up: ready after" in said
