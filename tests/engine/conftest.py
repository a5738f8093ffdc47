"""A running engine: the binary that `make build` makes, spoken to over HTTP."""

from __future__ import annotations

import contextlib
import http.client
import json
import platform
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fixtures.programs import program

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]


class Engine:
    """One process and its address."""

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self.process = process
        self.host, _, port = address.rpartition(":")
        self.port = int(port)

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.host, self.port, timeout=30)

    def request(self, method: str, path: str) -> tuple[int, http.client.HTTPMessage, bytes]:
        with contextlib.closing(self.connect()) as connection:
            connection.request(method, path)
            response = connection.getresponse()
            return response.status, response.headers, response.read()

    def tree(self) -> Any:
        status, _, body = self.request("GET", "/tree")
        assert status == 200, body
        return json.loads(body)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def peak_kib(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0])


@contextlib.contextmanager
def running(root: Path | str, *, drain: float = 0, user: int | None = None, limit: str = "") -> Iterator[Engine]:
    """Start the engine on a free port of loopback; `limit` are options of prlimit(1)."""
    command = [str(program("engine", ARCHITECTURE))]
    if limit:
        command = ["prlimit", *limit.split(), *command]
    environment = {"CONTENT_PATH": str(root), "LISTEN": "127.0.0.1:0", "DRAIN_SECONDS": str(drain)}
    with subprocess.Popen(
        command, env=environment | {"PATH": "/usr/bin:/bin"}, stderr=subprocess.PIPE, text=True, user=user
    ) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            found = re.search(r" on (\S+)$", line)
            assert found, line
            yield Engine(process, found[1])
        finally:
            process.kill()


@pytest.fixture
def engine() -> Callable[..., contextlib.AbstractContextManager[Engine]]:
    return running


@pytest.fixture(scope="module")
def module_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, Path]]:
    """One engine for many trees: what is under the directory may change between requests."""
    root = tmp_path_factory.mktemp("engine") / "content"
    root.mkdir()
    with running(root) as started:
        yield started, root
