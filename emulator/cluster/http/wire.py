"""Just enough of an HTTP/1.1 client (RFC 9112) to pass a request on over a connection someone else has made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

__all__ = ["BadAnswerError", "Head", "body", "read_head", "send"]

_CHUNK = 64 * 1024
_HEAD_LIMIT = 64 * 1024


class BadAnswerError(Exception):
    """What came back is not HTTP/1.1."""


@dataclass(frozen=True)
class Head:
    """A response's status line and header fields, in order."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str:
        """A field's value, empty if absent."""
        return next((value for key, value in self.headers if key.lower() == name), "")


async def send(
    writer: asyncio.StreamWriter,
    method: str,
    path: str,
    headers: Iterable[tuple[str, str]],
    content: AsyncIterator[bytes] | None,
    *,
    chunked: bool,
) -> None:
    """Send a request; `chunked` where the length of the content is not among the headers."""
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "", ""]
    writer.write("\r\n".join(lines).encode("latin-1"))
    if content is not None:
        async for data in content:
            writer.write(b"%x\r\n%b\r\n" % (len(data), data) if chunked else data)
            await writer.drain()
        if chunked:
            writer.write(b"0\r\n\r\n")
    await writer.drain()


async def read_head(reader: asyncio.StreamReader) -> Head:
    """The final response's head; informational ones are passed over. Raises BadAnswerError."""
    while True:
        head = await _read_one_head(reader)
        if head.status >= 200:
            return head


async def _read_one_head(reader: asyncio.StreamReader) -> Head:
    lines, size = [], 0
    while True:
        line = await reader.readline()
        size += len(line)
        if not line or size > _HEAD_LIMIT:
            raise BadAnswerError("EOF" if not line else "the head of the response is too long")
        if line in (b"\r\n", b"\n"):
            break
        lines.append(line.decode("latin-1").rstrip("\r\n"))
    version, _, rest = (lines[0] if lines else "").partition(" ")
    code, _, reason = rest.partition(" ")
    if not version.startswith("HTTP/1.") or not code.isdigit():
        raise BadAnswerError(f'malformed HTTP response "{lines[0] if lines else ""}"')
    fields = []
    for field in lines[1:]:
        name, colon, value = field.partition(":")
        if not colon:
            raise BadAnswerError(f'malformed MIME header line: "{field}"')
        fields.append((name.strip(), value.strip()))
    return Head(int(code), reason, tuple(fields))


async def body(reader: asyncio.StreamReader, head: Head, method: str) -> AsyncIterator[bytes]:
    """The response's content in chunks. Raises BadAnswerError when it ends early."""
    if method == "HEAD" or head.status in (204, 304):
        return
    if "chunked" in head.get("transfer-encoding").lower():
        async for data in _chunks(reader):
            yield data
    elif head.get("content-length"):
        left = int(head.get("content-length"))
        while left:
            data = await reader.read(min(_CHUNK, left))
            if not data:
                raise BadAnswerError("unexpected EOF")
            left -= len(data)
            yield data
    else:
        while data := await reader.read(_CHUNK):
            yield data


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while True:
        size_line = (await reader.readline()).partition(b";")[0].strip()
        try:
            left = int(size_line, 16)
        except ValueError:
            raise BadAnswerError("malformed chunked encoding") from None
        if left == 0:
            while (await reader.readline()).strip():
                pass
            return
        while left:
            data = await reader.read(min(_CHUNK, left))
            if not data:
                raise BadAnswerError("unexpected EOF")
            left -= len(data)
            yield data
        await reader.readline()
