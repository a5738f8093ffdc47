"""The API over HTTPS on loopback: what kubectl and the Kubernetes clients talk to."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import secrets
from typing import TYPE_CHECKING

from emulator.cluster.api import Api
from emulator.cluster.objects import Object

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["ApiServer"]

_LONGEST_BODY = 3 * 1024 * 1024
_PATIENCE = 0.25
_NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc")
"""Seconds that requests under way have to end when the server stops."""


class ApiServer:
    """Serves an `Api` on 127.0.0.1 with a certificate authority and a token of its own.

    `port` 0 takes any free one. After `start`, `address` is `127.0.0.1:PORT` and `kubeconfig` the configuration that
    lets a client in; nobody else gets in.
    """

    def __init__(self, api: Api, *, port: int = 0) -> None:
        self.api = api
        self.address = ""
        self.kubeconfig: Object = {}
        self._port = port
        self._token = secrets.token_urlsafe(32)
        self._runner: web.AppRunner | None = None
        self._listener: asyncio.Server | None = None

    async def start(self) -> None:
        """Begin to serve. Raises OSError when the port is taken."""
        from aiohttp import web

        from emulator.certificates import issue
        from emulator.cluster.http.dispatch import Dispatcher

        context, authority = issue("kube-apiserver", _NAMES)
        dispatcher = Dispatcher(self.api, self._token)
        application = web.Application(client_max_size=_LONGEST_BODY)
        application.router.add_route("*", "/{path:.*}", dispatcher.answer)
        runner = web.AppRunner(
            application, access_log=None, handle_signals=False, shutdown_timeout=_PATIENCE, handler_cancellation=True
        )
        await runner.setup()
        self._runner = runner
        try:
            assert runner.server is not None
            loop = asyncio.get_running_loop()
            self._listener = await loop.create_server(
                runner.server, "127.0.0.1", self._port, ssl=context, ssl_shutdown_timeout=_PATIENCE, backlog=256
            )
        except OSError:
            await self.stop()
            raise
        host, port = self._listener.sockets[0].getsockname()[:2]
        self.address = dispatcher.address = f"{host}:{port}"
        self.kubeconfig = _kubeconfig(self.address, authority, self._token)

    async def stop(self) -> None:
        """Stop serving; watches and streams end."""
        self.api.close_watches()
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        runner, self._runner = self._runner, None
        if runner is None:
            return
        connections = [] if runner.server is None else runner.server.connections
        transports = [connection.transport for connection in connections]
        await runner.cleanup()
        for transport in transports:
            # A client that keeps its connection need not take part in its end.
            if isinstance(transport, asyncio.WriteTransport):
                # Early 3.11 has a TLS transport that was closed already forget what it would abort.
                with contextlib.suppress(AttributeError):
                    transport.abort()
        await asyncio.sleep(0)


def _kubeconfig(address: str, authority: bytes, token: str) -> Object:
    name = "imgvol"
    cluster = {"server": f"https://{address}", "certificate-authority-data": base64.b64encode(authority).decode()}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": "default"}}],
        "current-context": name,
        "preferences": {},
    }
