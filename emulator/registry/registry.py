"""The registry: one storage, any number of listeners."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler as HttpHandler

from emulator.clock import Clock
from emulator.faults import ActiveFaults
from emulator.registry.acr import AcrAuthenticator, AcrConfig, Downloads, Signer, TokenService
from emulator.registry.app import application
from emulator.registry.auth import Anyone, Authenticator, Basic
from emulator.registry.blobs import Blobs
from emulator.registry.control import Ending, control_application
from emulator.registry.errors import OciError
from emulator.registry.journal import Journal
from emulator.registry.listener import Listener
from emulator.registry.listings import Listings
from emulator.registry.manifests import Manifests
from emulator.registry.names import Digest, check_repository
from emulator.registry.pushes import Pushes
from emulator.registry.routes import Handler, Kind, Routes
from emulator.registry.storage import Storage
from emulator.registry.uploads import Uploads

__all__ = ["Registry"]

_HOST = "127.0.0.1"


class Registry:
    """An OCI registry (distribution specification 1.1) that keeps its content under `root`.

    Outside `/v2/`, and of no standard, every listener also answers `POST
    /_emulator/corrupt?repository=NAME&digest=D` (see `corrupt`) and `GET /_emulator/requests` (the
    `journal` as JSON). `faults` are the scenarios in force, on all listeners.

    `clock` times the life of abandoned uploads, the journal and what faults delay; RegistryError if `root` cannot be
    used.
    """

    def __init__(self, root: Path, *, clock: Clock | None = None) -> None:
        self._clock = clock or Clock()
        self._storage = Storage(root)
        self._listeners: list[Listener] = []
        self._control: Listener | None = None
        self._switching = asyncio.Lock()
        self.journal = Journal()
        self.faults = ActiveFaults()
        self._acr: TokenService | None = None
        listings = Listings(self._storage)
        pushes = Pushes(self._storage, Uploads(self._storage, self._clock))
        self._kinds: dict[Kind, Mapping[str, Handler]] = {
            "base": {"GET": listings.base, "HEAD": listings.base},
            "catalog": {"GET": listings.catalog, "HEAD": listings.catalog},
            "tags": {"GET": listings.tags, "HEAD": listings.tags},
            "referrers": {"GET": listings.referrers, "HEAD": listings.referrers},
            "manifest": Manifests(self._storage).handlers(),
            "blob": Blobs(self._storage).handlers(),
            "uploads": pushes.start_handlers(),
            "upload": pushes.session_handlers(),
        }
        self._own: dict[str, HttpHandler] = {
            "/_emulator/corrupt": self._corrupt,
            "/_emulator/requests": self._requests,
        }

    async def listen_as_acr(
        self,
        config: AcrConfig,
        *,
        host: str = _HOST,
        port: int = 0,
        storage: str = "",
        tls: ssl.SSLContext | None = None,
    ) -> str:
        """Serve the storage on one more port as Azure Container Registry does; the result is `HOST:PORT`.

        `storage` is another name of `host`, by which blobs are downloaded, from another port: to clients that is
        another host, which they keep their credentials from. Without one, and where the configuration says so, blobs
        are not redirected. With `tls` both speak https. RegistryError if a port cannot be had.
        """
        signer = Signer(self._clock)
        self._acr = TokenService(config, signer, self.faults)
        downloads = Downloads(self._storage, signer, self._kinds["blob"]["GET"])
        if storage and config.redirect:
            address = await self._serve({"/download/": downloads.answer}, Anyone(), host, 0, tls)
            downloads.hosts = (f"{storage}:{address.rpartition(':')[2]}", address)
        routes = Routes({**self._kinds, "blob": {**self._kinds["blob"], "GET": downloads.redirect}})
        answers: dict[str, HttpHandler] = {"/v2": routes.answer, "/oauth2/": self._acr.answer, **self._own}
        return await self._serve(answers, AcrAuthenticator(config, self._acr, self._clock), host, port, tls)

    async def listen(
        self,
        *,
        host: str = _HOST,
        port: int = 0,
        basic_auth: tuple[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> str:
        """Serve the storage on one more port; the result is `HOST:PORT`.

        Port 0 lets the kernel choose. With `basic_auth` (user, password) only that user gets in, with `tls`
        only over https. RegistryError if the port cannot be had.
        """
        authenticator: Authenticator = Anyone() if basic_auth is None else Basic(*basic_auth)
        return await self._serve({"/v2": Routes(self._kinds).answer, **self._own}, authenticator, host, port, tls)

    async def _serve(
        self,
        answers: dict[str, HttpHandler],
        authenticator: Authenticator,
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
    ) -> str:
        listener = Listener(application(answers, authenticator, self.journal, self._clock, self.faults), tls)
        await listener.start(host, port)
        self._listeners.append(listener)
        await self.settle()
        return listener.address

    async def control(self, *, port: int = 0, ending: Ending | None = None) -> str:
        """Serve the endpoint that switches faults (see `control`) on the loopback interface; its `127.0.0.1:PORT`.

        `ending` takes the power from one of the nodes beside this registry.
        """
        self._control = Listener(control_application(self.faults, self.journal, self.settle, self._entra_token, ending))
        await self._control.start(_HOST, port)
        return self._control.address

    def _entra_token(self, client_id: str, resource: str) -> str | None:
        return self._acr.entra_token(client_id, resource) if self._acr else None

    async def settle(self) -> None:
        """Have the listeners listen, or not, as the faults in force say."""
        async with self._switching:
            for listener in self._listeners:
                await (listener.shut() if self.faults.refuse else listener.open())

    async def close(self) -> None:
        """Stop every listener, breaking off what is under way; the storage stays."""
        if self._control is not None:
            await self._control.close()
        while self._listeners:
            await self._listeners.pop().close()

    def corrupt(self, repository: str, digest: str) -> int:
        """Flip one bit in the middle of a stored blob or manifest, and return the offset of its byte.

        The registry serves the content as it then is, under the digest it no longer has, like Docker
        Distribution over a damaged disk. Content is shared: the damage shows in every repository that has
        it, until somebody pushes the same content again. OciError for content that is not there
        (BLOB_UNKNOWN) or empty (SIZE_INVALID).
        """
        wanted = Digest.required(digest)
        check_repository(repository)
        if not self._storage.has_blob(repository, wanted) and not self._storage.manifest(repository, wanted):
            raise OciError("BLOB_UNKNOWN", digest)
        try:
            return self._storage.corrupt(wanted)
        except ValueError as error:
            raise OciError("SIZE_INVALID", str(error)) from None

    async def _corrupt(self, request: web.Request) -> web.StreamResponse:
        if request.method != "POST":
            raise OciError("UNSUPPORTED", headers={"Allow": "POST"})
        digest = request.query.get("digest", "")
        offset = self.corrupt(request.query.get("repository", ""), digest)
        return _json({"digest": digest, "offset": offset})

    async def _requests(self, request: web.Request) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD"):
            raise OciError("UNSUPPORTED", headers={"Allow": "GET, HEAD"})
        return _json([asdict(seen) for seen in self.journal])


def _json(value: object) -> web.Response:
    return web.Response(body=json.dumps(value).encode() + b"\n", content_type="application/json")
