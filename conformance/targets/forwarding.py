"""A port of another host as one of this machine's: plain http is spoken to loopback addresses only."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import socketserver
import threading
from collections.abc import Iterator

__all__ = ["is_loopback", "on_loopback"]

_CONNECT = 10.0
_CHUNK = 1 << 16


@contextlib.contextmanager
def on_loopback(host: str, port: int) -> Iterator[str]:
    """`HOST:PORT` on loopback that leads to a port: the same if that is on loopback, else one that is forwarded."""
    if is_loopback(host):
        yield f"{host}:{port}"
        return

    class Forward(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError), socket.create_connection((host, port), _CONNECT) as there:
                there.settimeout(None)
                back = threading.Thread(target=_pour, args=(there, self.request), daemon=True)
                back.start()
                _pour(self.request, there)
                back.join()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Forward) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def _pour(source: socket.socket, sink: socket.socket) -> None:
    """Everything from one connection into another, and then its end."""
    with contextlib.suppress(OSError):
        while chunk := source.recv(_CHUNK):
            sink.sendall(chunk)
        sink.shutdown(socket.SHUT_WR)


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's loopback."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
