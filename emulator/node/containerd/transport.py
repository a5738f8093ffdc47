"""HTTP to registries: which scheme a host speaks, and connection errors in Go's words."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import ssl

import aiohttp
from yarl import URL

from emulator.node.containerd.errors import CriError, go_syscall_text

__all__ = ["Transport", "is_loopback"]

_CONNECT_SECONDS = 30.0


def is_loopback(host: str) -> bool:
    """Whether a registry's host, with or without a port, is this machine: localhost, 127.0.0.0/8 or ::1."""
    name = URL(f"http://{host}").host or ""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class Transport:
    """One HTTP client for a node.

    Registries on loopback are asked over http; one that does not answer that is asked over https, whose certificate
    is not checked there. Others are always https.
    """

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._secure: set[str] = set()  # loopback hosts that turned out to speak https
        self._plain: set[str] = set()  # … and http: they are not asked by the other any more

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def url(self, host: str, path: str) -> str:
        """The address of a path on a registry, with the scheme it is known to speak."""
        scheme = "http" if is_loopback(host) and host not in self._secure else "https"
        return f"{scheme}://{host}{path}"

    async def request(
        self, method: str, host: str, path: str, headers: dict[str, str], data: dict[str, str] | None = None
    ) -> aiohttp.ClientResponse:
        """Ask a registry; the caller releases the response.

        Raises:
            CriError: no answer could be had; the text is Go's, `Head "https://…": dial tcp …`.
        """
        try:
            response = await self.fetch(method, self.url(host, path), headers, data)
        except CriError:
            if not is_loopback(host) or host in self._secure | self._plain or await self._refused(host):
                raise
            self._secure.add(host)
            try:
                return await self.fetch(method, self.url(host, path), headers, data)
            except CriError:
                self._secure.discard(host)  # it speaks neither now: what it said first counts
            raise
        if response.status == 400 and is_loopback(host) and host not in self._secure:
            body = await response.read()
            if b"HTTPS server" in body or b"HTTPS port" in body:
                self._secure.add(host)
                return await self.fetch(method, self.url(host, path), headers, data)
        if is_loopback(host) and host not in self._secure:
            self._plain.add(host)
        return response

    async def fetch(
        self, method: str, url: str, headers: dict[str, str], data: dict[str, str] | None = None
    ) -> aiohttp.ClientResponse:
        """Ask at an address, with redirects followed and credentials kept from other hosts.

        Raises:
            CriError: no answer could be had.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=_CONNECT_SECONDS),
                connector=aiohttp.TCPConnector(limit=0),
            )
        target = URL(url, encoded=True)
        verify = not is_loopback(target.authority)
        try:
            return await self._session.request(
                method, target, headers=headers, data=data, ssl=verify, allow_redirects=True
            )
        except (aiohttp.ClientError, TimeoutError, ssl.SSLError) as error:
            told = target if target.authority in self._plain else _told(target, error)
            raise CriError.unknown(f'{method.capitalize()} "{told}": {_text(error, target)}') from error

    @staticmethod
    def addresses(response: aiohttp.ClientResponse) -> str:
        """Both ends of the connection that an answer comes by, as Go names it in errors; before its body is read."""
        transport = response.connection.transport if response.connection else None
        ends = [transport.get_extra_info(end) for end in ("sockname", "peername")] if transport else []
        return "->".join(f"{end[0]}:{end[1]}" for end in ends if end)

    async def _refused(self, host: str) -> bool:
        """Whether nothing listens there at all: then https need not be tried."""
        url = URL(f"http://{host}")
        try:
            _, writer = await asyncio.open_connection(url.host, url.port)
        except OSError:
            return True
        writer.close()
        return False


def _told(url: URL, error: BaseException) -> str:
    # A node asks a registry it has no configuration for over https, and it has none for one that never was there:
    # that is how the unreachable registry was recorded.
    unreachable = isinstance(error, aiohttp.ClientConnectorError) and is_loopback(url.authority)
    return str(url.with_scheme("https") if unreachable else url)


def _text(error: BaseException, url: URL) -> str:
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "EOF"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"tls: failed to verify certificate: x509: {error.certificate_error}"
    if isinstance(error, aiohttp.ClientConnectorError):
        cause = error.os_error
        if isinstance(cause, socket.gaierror):
            return f"dial tcp: lookup {url.host}: no such host"
        address = "127.0.0.1" if url.host == "localhost" else url.host
        address = f"[{address}]" if address and ":" in address else address
        number = cause.errno if cause.errno in errno.errorcode else errno.ECONNREFUSED
        return f"dial tcp {address}:{url.port}: connect: {go_syscall_text(number or 0)}"
    if isinstance(error, TimeoutError):
        return f"dial tcp {url.host}:{url.port}: i/o timeout"
    if isinstance(error, aiohttp.TooManyRedirects):
        return "stopped after 10 redirects"
    if isinstance(error, OSError) and error.errno:
        return f"read tcp {url.host}:{url.port}: read: {go_syscall_text(error.errno)}"
    return f"net/http: {error}"
