"""How the engine starts, refuses and ends."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fixtures.programs import program


def test_health(engine: Callable[..., Any], tmp_path: Path) -> None:
    with engine(tmp_path) as started:
        status, headers, body = started.request("GET", "/health")
    assert (status, headers["Content-Type"], json.loads(body)) == (200, "application/json", {"status": "ok"})


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/tree", 405),
        ("PUT", "/health", 405),
        ("GET", "/", 404),
        ("GET", "/tree/x", 404),
        ("HEAD", "/tree", 200),
    ],
)
def test_other_requests(method: str, path: str, status: int, engine: Callable[..., Any], tmp_path: Path) -> None:
    with engine(tmp_path) as started:
        answer, headers, _ = started.request(method, path)
    assert answer == status
    assert headers["Allow"] == ("GET, HEAD" if status == 405 else None)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_status_0(number: int, engine: Callable[..., Any], tmp_path: Path) -> None:
    with engine(tmp_path) as started:
        started.process.send_signal(number)
        assert started.process.wait(timeout=10) == 0


def test_during_the_drain_every_request_is_answered(engine: Callable[..., Any], tmp_path: Path) -> None:
    drain = 1.0
    with engine(tmp_path, drain=drain) as started:
        started.terminate()
        sent = time.monotonic()
        answers = []
        while time.monotonic() < sent + drain / 2:
            answers.append(started.request("GET", "/health"))
        assert {status for status, _, _ in answers} == {200}
        assert answers[-1][1]["Connection"] == "close"
        assert started.process.wait(timeout=10) == 0
        assert time.monotonic() - sent >= drain
        with pytest.raises(ConnectionRefusedError):
            started.request("GET", "/health")


def read_slowly(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
    """Ask for the tree and take only its beginning, with a small window, so that most of it stays with the server."""
    connection.sock = socket.socket()
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.sock.settimeout(30)
    connection.sock.connect((connection.host, connection.port))
    connection.request("GET", "/tree")
    response = connection.getresponse()
    assert response.read(64)
    return response


def long_tree(root: Path) -> None:
    """A little tree whose JSON is 10 MB: long paths, of which each node repeats its own."""
    name = "n" * 250
    deep = root.joinpath(*[name] * 10)
    deep.mkdir(parents=True)
    for number in range(4000):
        (deep / str(number)).touch()


def test_a_request_in_flight_is_finished(engine: Callable[..., Any], tmp_path: Path) -> None:
    long_tree(tmp_path)
    with engine(tmp_path) as started, contextlib.closing(started.connect()) as connection:
        whole = len(started.request("GET", "/tree")[2])
        assert whole > 8_000_000
        response = read_slowly(connection)
        started.terminate()
        with pytest.raises(ConnectionError):  # refused, or reset in the moment the listener closes
            while True:
                started.request("GET", "/health")
        assert started.process.poll() is None, "it ended with a request in flight"
        assert len(response.read()) == whole - 64
        assert started.process.wait(timeout=10) == 0


def test_a_client_that_leaves_does_no_harm(engine: Callable[..., Any], tmp_path: Path) -> None:
    long_tree(tmp_path)
    with engine(tmp_path) as started:
        open_files = Path(f"/proc/{started.process.pid}/fd")
        started.request("GET", "/tree")
        for _ in range(5):
            connection = started.connect()
            read_slowly(connection)
            connection.close()
        deadline = time.monotonic() + 10
        while len(list(open_files.iterdir())) > 12:
            assert time.monotonic() < deadline, "the walks for clients that have left go on"
        assert started.request("GET", "/tree")[0] == 200


def test_a_tree_is_broken_off_rather_than_shortened(engine: Callable[..., Any], tmp_path: Path) -> None:
    tmp_path.joinpath(*["d"] * 100).mkdir(parents=True)
    with engine(tmp_path, limit="--nofile=50:50") as started:
        with pytest.raises((http.client.IncompleteRead, http.client.RemoteDisconnected, ConnectionError)):
            started.request("GET", "/tree")
        assert started.request("GET", "/health")[0] == 200


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"PORT": "http"}, 'PORT must be a number from 0 to 65535, not "http"'),
        ({"DRAIN_SECONDS": "soon"}, 'DRAIN_SECONDS must be a number from 0 to 3600, not "soon"'),
    ],
)
def test_a_bad_setting_is_refused_in_one_sentence(setting: dict[str, str], says: str) -> None:
    ended = run_engine(setting)
    assert (ended.returncode, ended.stderr) == (2, f"engine: {says}\n")


def test_a_taken_port_is_refused_in_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = run_engine({"LISTEN": f"127.0.0.1:{taken.getsockname()[1]}"})
    assert ended.returncode == 1
    assert ended.stderr.endswith("address already in use; set LISTEN or PORT to a free address\n")
    assert ended.stderr.count("\n") == 1


def run_engine(setting: dict[str, str]) -> subprocess.CompletedProcess[str]:
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    command = [str(program("engine", architecture))]
    return subprocess.run(command, env=setting, capture_output=True, text=True, timeout=10, check=False)
