"""The registry as a process of its own, and a wire to it that counts what passes."""

from __future__ import annotations

import json
import selectors
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]


@dataclass
class RegistryProcess:
    """`imgvol registry`: `address` for clients, `control` for its faults."""

    address: str
    control: str

    def faults(self, scenario: dict[str, Any] | str) -> None:
        """Bring a scenario into force: one that comes along, or this one."""
        named = isinstance(scenario, str)
        url = f"{self.control}/faults/{scenario if named else 'mine'}"
        body = b"" if named else json.dumps(scenario).encode()
        urllib.request.urlopen(urllib.request.Request(url, data=body, method="PUT"), timeout=30).close()

    def well(self) -> None:
        """End all faults."""
        urllib.request.urlopen(urllib.request.Request(f"{self.control}/faults", method="DELETE"), timeout=30).close()

    def requests(self) -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"{self.control}/requests", timeout=30) as answer:
            found = json.load(answer)
        return list(found["requests"] if isinstance(found, dict) else found)


@contextmanager
def registry_process(*options: str) -> Iterator[RegistryProcess]:
    command = [sys.executable, "-m", "imgvol", "registry", "--until-stdin-closes", *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            ready = json.loads(process.stdout.readline())
            yield RegistryProcess(ready["registry"], ready["control"])
        finally:
            process.stdin.close()
            process.wait(60)


class Wire:
    """Passes connections on to `target`; `on_bytes` is told how many bytes of the clients' have passed so far, before
    they do."""

    def __init__(self, target: str, on_bytes: Callable[[int], None]) -> None:
        host, _, port = target.rpartition(":")
        self._target, self._on_bytes, self._passed = (host, int(port)), on_bytes, 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._wake.close()
        self._thread.join(30)

    def _run(self) -> None:
        peers: dict[socket.socket, socket.socket] = {}
        clients: set[socket.socket] = set()
        with selectors.DefaultSelector() as selector, self._listener, self._woken:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    one = key.fileobj
                    if one is self._woken:
                        for each in peers:
                            each.close()
                        return
                    if one is self._listener:
                        client = self._listener.accept()[0]
                        server = socket.create_connection(self._target)
                        peers |= {client: server, server: client}
                        clients.add(client)
                        selector.register(client, selectors.EVENT_READ)
                        selector.register(server, selectors.EVENT_READ)
                        continue
                    assert isinstance(one, socket.socket)
                    if one in peers and not self._pass(one, peers[one], one in clients):
                        for each in (one, peers[one]):
                            selector.unregister(each)
                            del peers[each]
                            clients.discard(each)
                            each.close()

    def _pass(self, source: socket.socket, target: socket.socket, counts: bool) -> bool:
        with suppress(OSError):
            if data := source.recv(1 << 16):
                if counts:
                    self._passed += len(data)
                    self._on_bytes(self._passed)
                target.sendall(data)
                return True
        return False
