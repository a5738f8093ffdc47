"""One port that a registry answers on, and may stop answering on without losing it."""

from __future__ import annotations

import os
import socket
import ssl

from aiohttp import web

from emulator.registry.errors import RegistryError

__all__ = ["Listener"]


class Listener:
    """A web application on a TCP port, over TLS if `tls` is given. `address` is `HOST:PORT`, once it is started."""

    def __init__(self, app: web.Application, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._runner = web.AppRunner(
            app,
            access_log=None,
            auto_decompress=False,  # a body is stored as it comes, whatever its Content-Encoding
            read_bufsize=1 << 18,
            shutdown_timeout=0.1,  # who still waits for a registry that goes away has lost anyway
        )
        self._reserved: socket.socket | None = None
        self._site: web.TCPSite | None = None
        self._where: tuple[str, int] = ("", 0)

    @property
    def address(self) -> str:
        """Where it listens."""
        host, port = self._where
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0 is any free one. RegistryError if the port cannot be had."""
        try:
            self._where = self._reserve(host, port)
            await self._runner.setup()
            await self.open()
        except (OSError, OverflowError) as error:
            await self.close()
            reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
            raise RegistryError(
                f"the registry cannot listen on {host}:{port}: {reason}; choose another port, or 0 for any free one"
            ) from error

    def _reserve(self, host: str, port: int) -> tuple[str, int]:
        """Bind a socket that never listens: while no other does, the port refuses connections, and stays ours."""
        family, *_, address = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0]
        self._reserved = socket.socket(family, socket.SOCK_STREAM)
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # beside the socket that does listen
        self._reserved.bind((address[0], port))
        bound = self._reserved.getsockname()
        return str(bound[0]), int(bound[1])

    async def open(self) -> None:
        """Listen, if it does not."""
        if self._site is None:
            self._site = web.TCPSite(self._runner, *self._where, reuse_address=True, ssl_context=self._tls)
            await self._site.start()

    async def shut(self) -> None:
        """Refuse new connections; those there are stay."""
        if self._site is not None:
            site, self._site = self._site, None
            await site.stop()

    async def close(self) -> None:
        """Stop, breaking off what is under way, and give the port back."""
        await self._runner.cleanup()
        self._site = None
        if self._reserved is not None:
            self._reserved.close()
            self._reserved = None
