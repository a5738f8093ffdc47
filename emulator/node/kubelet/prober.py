"""One try of a probe: an HTTP request or a TCP connection to a port of the pod.

Source: Kubernetes pkg/probe/http and pkg/probe/tcp. The connection is made inside the pod's own network; the
messages name the pod's address, as those of a real node do.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

__all__ = ["Dial", "Outcome", "try_probe"]

Object = dict[str, Any]
Dial = Callable[[int], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]

_BODY_LIMIT = 10 * 1024
_REDIRECTS = 10


@dataclass(frozen=True)
class Outcome:
    """Whether a try succeeded, and what the kubelet says of it where it did not."""

    success: bool
    output: str = ""


async def try_probe(probe: Object, container: Object, *, dial: Dial, address: str, timeout: float) -> Outcome:
    """Try a probe once; `address` is the pod's, `timeout` is in real seconds.

    `dial` reaches the ports of the pod; a probe that names another host asks that host.
    """
    named = (probe.get("httpGet") or probe.get("tcpSocket") or {}).get("host")
    if named and named != address:

        async def dial(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            return await asyncio.open_connection(named, port)

    if "httpGet" in probe:
        action = probe["httpGet"]
        port = _port(action["port"], container)
        host = action.get("host") or address
        scheme = action.get("scheme", "HTTP").lower()
        path = action.get("path") or "/"
        url = f"{scheme}://{host}:{port}{path if path.startswith('/') else '/' + path}"
        headers = {each["name"]: each["value"] for each in action.get("httpHeaders") or ()}
        try:
            async with asyncio.timeout(timeout):
                return await _http(url, headers, dial, port)
        except TimeoutError:
            return Outcome(
                False,
                f'Get "{url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)',
            )
        except (OSError, EOFError) as error:
            return Outcome(False, f'Get "{url}": {_reason(error, f"{host}:{port}")}')
    action = probe["tcpSocket"]
    port = _port(action["port"], container)
    target = f"{action.get('host') or address}:{port}"
    try:
        async with asyncio.timeout(timeout):
            _, writer = await dial(port)
    except TimeoutError:
        return Outcome(False, f"dial tcp {target}: i/o timeout")
    except OSError as error:
        return Outcome(False, _reason(error, target))
    await _close(writer)
    return Outcome(True)


def _port(port: int | str, container: Object) -> int:
    if isinstance(port, int):
        return port
    for each in container.get("ports") or ():
        if each.get("name") == port:
            return int(each["containerPort"])
    return int(port)


def _reason(error: Exception, target: str) -> str:
    if isinstance(error, ConnectionRefusedError):
        return f"dial tcp {target}: connect: connection refused"
    if isinstance(error, ConnectionResetError):
        return "read: connection reset by peer"
    if isinstance(error, EOFError):
        return "EOF"
    return f"dial tcp {target}: {error.strerror if isinstance(error, OSError) and error.strerror else error}"


async def _http(url: str, headers: dict[str, str], dial: Dial, port: int) -> Outcome:
    """GET as the kubelet does, following redirects that stay on the host."""
    current = url
    for _ in range(_REDIRECTS):
        status, location, body = await _get(current, headers, dial, port)
        if 300 <= status < 400 and location:
            following = urljoin(current, location)
            if urlsplit(following).netloc == urlsplit(url).netloc:
                current = following
                continue
        if 200 <= status < 400:
            return Outcome(True, body.decode(errors="replace"))
        return Outcome(False, f"HTTP probe failed with statuscode: {status}")
    return Outcome(False, f'Get "{current}": stopped after {_REDIRECTS} redirects')


async def _get(url: str, headers: dict[str, str], dial: Dial, port: int) -> tuple[int, str, bytes]:
    parts = urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    names = {name.lower() for name in headers}
    lines = [f"GET {target or '/'} HTTP/1.1"]
    for name, value in (
        ("Host", parts.netloc),
        ("User-Agent", "kube-probe/1.36"),
        ("Accept", "*/*"),
        ("Connection", "close"),
    ):
        if name.lower() not in names:
            lines.append(f"{name}: {value}")
    lines += [f"{name}: {value}" for name, value in headers.items()]
    reader, writer = await dial(port)
    try:
        if parts.scheme == "https":  # like the kubelet, without looking at the certificate
            await writer.start_tls(_no_questions())
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        await writer.drain()
        first = (await reader.readline()).split()
        if len(first) < 2 or not first[1].isdigit():
            raise EOFError
        length = _BODY_LIMIT
        location = ""
        while line := (await reader.readline()).strip():
            name, _, value = line.decode("latin-1").partition(":")
            if name.lower() == "content-length" and value.strip().isdigit():
                length = min(length, int(value))
            elif name.lower() == "location":
                location = value.strip()
        body = await reader.read(length) if length else b""
        return int(first[1]), location, body
    finally:
        await _close(writer)


def _no_questions() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
