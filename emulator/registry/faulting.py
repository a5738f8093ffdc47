"""What a fault does to a request and its answer, on the way through a listener."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import socket
import struct
import termios
from collections.abc import Callable

from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.typedefs import Handler, Middleware
from aiohttp.web_request import BaseRequest

from emulator.clock import Clock
from emulator.faults import ActiveFaults, Asked, Fault, Strike
from emulator.registry.blobs import FileRange
from emulator.registry.disk import full_disk
from emulator.registry.errors import OciError, code_of, message_of
from emulator.registry.routes import locate

__all__ = ["STRUCK", "NoAnswer", "asked", "faulting"]

STRUCK = web.RequestKey("struck", str)
"""The fault that struck a request, for the journal."""

_PIECE = 1 << 16
_NO_LINGER = struct.pack("ii", 1, 0)  # struct linger: close() sends RST
_PIECES_A_SECOND = 10
_MOMENTS = 200


def faulting(faults: ActiveFaults, clock: Clock) -> Middleware:
    """The middleware that has the faults in force strike what is asked."""

    @web.middleware
    async def strike(request: web.Request, handler: Handler) -> web.StreamResponse:
        what = asked(request)
        if what is None:
            return await handler(request)
        if faults.refuse:  # on a connection from before
            return NoAnswer(reset=False)
        found = faults.strike(what)
        if found is None:
            return await handler(request)
        request[STRUCK] = str(found)
        return await _struck(request, handler, found, clock)

    return strike


def asked(request: web.Request) -> Asked | None:
    """What a request asks for, in the words of scenarios; None for what is not the registry's standard business."""
    method = request.method
    if request.path in ("/oauth2/exchange", "/oauth2/token"):
        return Asked(request.path.removeprefix("/oauth2/"), method)
    if request.path.startswith("/download/"):
        return Asked("blob-download", method, reference=request.path.rpartition("/")[2])
    target = locate(request.path)
    if target is None:
        return None
    kind = {"base": "ping", "uploads": "upload"}.get(target.kind, target.kind)
    operation = f"{kind}-{method.lower()}" if kind in ("manifest", "blob", "upload") else kind
    return Asked(operation, method, target.repository, target.argument)


async def _struck(request: web.Request, handler: Handler, strike: Strike, clock: Clock) -> web.StreamResponse:
    fault = strike.fault
    if fault.delay:
        await clock.sleep(fault.delay)
    if fault.hang_up == "before":
        return NoAnswer(reset=fault.reset)
    if fault.lose is not None:
        return await _lose(request, handler, fault)
    if fault.status:
        response: web.StreamResponse = _refusal(fault)
    elif fault.full_disk:
        token = full_disk.set(True)
        try:
            response = await handler(request)
        except OSError as error:
            raise OciError("UNKNOWN", f"the registry's storage failed: {error.strerror}") from error
        finally:
            full_disk.reset(token)
    else:
        response = await handler(request)
    if fault.hang_up == "after":
        return NoAnswer(reset=fault.reset)
    if fault.alters_body and response.status in (200, 206) and request.method != "HEAD":
        response = _Altered(response, fault, clock)
    for name, value in fault.headers.items():
        if value is None:
            response.headers.popall(name, None)
        else:
            response.headers[name] = value
    return response


def _refusal(fault: Fault) -> web.Response:
    if fault.body is not None:
        return web.Response(status=fault.status, body=fault.body.encode(), content_type="text/plain")
    code = fault.code or code_of(fault.status)
    error = {"code": code, "message": fault.message or message_of(code)}
    return web.json_response({"errors": [error]}, status=fault.status)


class _Broken:
    """A request's body that breaks off after so many bytes: what of a stream the registry's handlers use."""

    def __init__(self, source: StreamReader, room: int) -> None:
        self._source = source
        self._room = room
        self.total_bytes = 0

    async def readany(self) -> bytes:
        if not self._room:
            raise ConnectionResetError("a fault lost the rest")
        piece = await self._source.read(self._room)
        self._room -= len(piece)
        self.total_bytes += len(piece)
        return piece


async def _lose(request: web.Request, handler: Handler, fault: Fault) -> web.StreamResponse:
    """Have the handler see a body that breaks off, and the client a connection that does."""
    assert fault.lose is not None
    # `content` is what aiohttp remembers of it once it was asked for.
    request._cache["content"] = _Broken(request.content, fault.lose.of(request.content_length or 0))
    with contextlib.suppress(ConnectionError, OciError):
        await handler(request)
    return NoAnswer(reset=fault.reset)


class NoAnswer(web.StreamResponse):
    """In place of an answer, the end of the connection."""

    def __init__(self, *, reset: bool) -> None:
        super().__init__()
        self._reset = reset

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        """Close the connection."""
        if request.transport is not None:
            _end(request.transport, reset=self._reset)
        raise ConnectionResetError("a fault closed the connection")


def _end(transport: asyncio.Transport, *, reset: bool) -> None:
    if reset:
        connection = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        transport.abort()
    else:
        transport.close()


class _Altered(web.StreamResponse):
    """An answer whose body comes late, cut, or changed."""

    def __init__(self, original: web.StreamResponse, fault: Fault, clock: Clock) -> None:
        super().__init__(status=original.status, headers=original.headers)
        self._read, total = _content(original)
        self._total = total if fault.truncate is None else fault.truncate.of(total)
        self._stop = self._total if fault.drop is None else fault.drop.of(total)
        self._flip = -1 if fault.corrupt is None else min(fault.corrupt.of(total), total - 1)
        self._fault = fault
        self._clock = clock
        self.content_length = self._total

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        writer = await super().prepare(request)
        position = 0
        rate = self._fault.rate
        size = _PIECE if rate is None else max(1, int(rate / _PIECES_A_SECOND))
        while position < self._stop:
            piece = bytearray(self._read(position, min(size, self._stop - position)))
            if position <= self._flip < position + len(piece):
                piece[self._flip - position] ^= 1
            await self.write(bytes(piece))
            position += len(piece)
            if rate is not None:
                await self._clock.sleep(len(piece) / rate)
        if self._fault.drop is not None and request.transport is not None:
            # What was sent is to arrive: only then is the end of it the fault.
            await _arrived(request.transport)
            _end(request.transport, reset=self._fault.reset)
        else:
            await self.write_eof()
        return writer


async def _arrived(transport: asyncio.Transport) -> None:
    """Wait until the client's kernel has what was sent, or for a second."""
    connection = transport.get_extra_info("socket")
    for _ in range(_MOMENTS):
        waiting = transport.get_write_buffer_size()
        with contextlib.suppress(OSError):
            waiting += struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4)))[0]
        if not waiting or transport.is_closing():
            return
        await asyncio.sleep(1 / _MOMENTS)


def _content(response: web.StreamResponse) -> tuple[Callable[[int, int], bytes], int]:
    """How to read an answer's body, and how long it is."""
    if isinstance(response, FileRange):
        return response.read, response.content_length or 0
    assert isinstance(response, web.Response)
    body = response.body
    assert body is None or isinstance(body, bytes)
    content = body or b""
    return lambda offset, size: content[offset : offset + size], len(content)
