"""The emulator's end of the socket to a pod's `pause`: requests, their replies, and the descriptors with them."""

from __future__ import annotations

import array
import asyncio
import itertools
import json
import os
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Control", "GoneError", "Reply"]

_PACKET = 64 * 1024


class GoneError(Exception):
    """The pod's `pause` has ended."""


@dataclass(frozen=True)
class Reply:
    """What `pause` answered. `errno` is 0 unless a system call failed; the descriptors belong to the receiver."""

    error: str = ""
    errno: int = 0
    fds: tuple[int, ...] = ()


class Control:
    """One pod's control socket. Packets are JSON; pause/control.go has the protocol."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._sock.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock.fileno(), self._readable)
        self._ids = itertools.count(1)
        self.ready: asyncio.Future[Reply] = self._loop.create_future()
        self._waiting: dict[int, tuple[asyncio.Future[Reply], Callable[[Reply], None]]] = {0: (self.ready, _close_all)}
        self._on_ended: dict[int, Callable[[int, int], None]] = {}
        self._closed = False

    async def request(self, do: str, fds: Sequence[int] = (), **fields: Any) -> Reply:
        """Ask for something and wait for the answer. Raises GoneError."""
        return await self._ask(next(self._ids), do, fds, fields, unwanted=_close_all)

    async def start(self, fds: Sequence[int], on_ended: Callable[[int, int], None], **fields: Any) -> tuple[int, Reply]:
        """Ask for a container. If it starts, `on_ended` is later called with its exit code and signal.

        Returns the container's id with the answer.
        """
        ident = next(self._ids)
        self._on_ended[ident] = on_ended

        def end(reply: Reply) -> None:
            if not reply.error:
                self.signal(ident, signal.SIGKILL)

        started = False
        try:
            reply = await self._ask(ident, "start", fds, fields, unwanted=end)
            started = not reply.error
        finally:
            if not started:
                self._on_ended.pop(ident, None)
        return ident, reply

    def signal(self, ident: int, number: int) -> None:
        """Send a signal to the first process of the container that was started with this id."""
        if not self._closed:
            self._send({"id": ident, "do": "signal", "signal": number}, ())

    def close(self) -> None:
        """Hang up, which ends the pod, and give everyone who waits a GoneError or an ended container."""
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()
        waiting, self._waiting = self._waiting, {}
        for future, _ in waiting.values():
            if not future.done():
                future.set_exception(GoneError())
                future.exception()  # whoever no longer waits need not be told
        ended, self._on_ended = self._on_ended, {}
        for on_ended in ended.values():
            on_ended(137, 9)

    async def _ask(
        self, ident: int, do: str, fds: Sequence[int], fields: dict[str, Any], *, unwanted: Callable[[Reply], None]
    ) -> Reply:
        """Ask and wait; `unwanted` gets the answer if whoever asks gives up before it comes."""
        if self._closed:
            raise GoneError
        future: asyncio.Future[Reply] = self._loop.create_future()
        self._waiting[ident] = future, unwanted
        self._send({"id": ident, "do": do, **fields}, fds)
        try:
            return await future
        except asyncio.CancelledError:
            if not future.cancelled() and not future.exception():
                unwanted(future.result())  # it came in the same turn
            raise

    def _send(self, packet: dict[str, Any], fds: Sequence[int]) -> None:
        """Send at once. Packets are small and `pause` reads them promptly, so the socket's buffer never fills."""
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            self._sock.sendmsg([json.dumps(packet).encode()], rights)
        except (BrokenPipeError, ConnectionResetError):
            self.close()

    def _readable(self) -> None:
        while not self._closed:
            try:
                packet, fds, _, _ = socket.recv_fds(self._sock, _PACKET, 8)
            except BlockingIOError:
                return
            except ConnectionResetError:
                packet, fds = b"", []
            if not packet:
                self.close()
                return
            self._answer(json.loads(packet), tuple(fds))

    def _answer(self, answer: dict[str, Any], fds: tuple[int, ...]) -> None:
        if "ended" in answer:
            on_ended = self._on_ended.pop(answer["id"], None)
            if on_ended:
                on_ended(answer["ended"]["code"], answer["ended"]["signal"])
            return
        reply = Reply(answer.get("error", ""), answer.get("errno", 0), fds)
        future, unwanted = self._waiting.pop(answer["id"])
        if future.done():
            unwanted(reply)
        else:
            future.set_result(reply)


def _close_all(reply: Reply) -> None:
    for fd in reply.fds:
        os.close(fd)
