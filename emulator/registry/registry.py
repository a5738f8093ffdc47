"""The registry: one storage, any number of listeners."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

from aiohttp import web

from emulator.clock import Clock
from emulator.registry.app import application
from emulator.registry.auth import Anyone, Authenticator, Basic
from emulator.registry.blobs import Blobs
from emulator.registry.errors import OciError, RegistryError
from emulator.registry.journal import Journal
from emulator.registry.listings import Listings
from emulator.registry.manifests import Manifests
from emulator.registry.names import Digest, check_repository
from emulator.registry.pushes import Pushes
from emulator.registry.routes import Routes
from emulator.registry.storage import Storage
from emulator.registry.uploads import Uploads

__all__ = ["Registry"]

_HOST = "127.0.0.1"


class Registry:
    """An OCI registry (distribution specification 1.1) that keeps its content under `root`.

    Outside `/v2/`, and of no standard, every listener also answers `POST
    /_emulator/corrupt?repository=NAME&digest=D` (see `corrupt`) and `GET /_emulator/requests` (the
    `journal` as JSON).

    `clock` times the life of abandoned uploads and the journal; RegistryError if `root` cannot be used.
    """

    def __init__(self, root: Path, *, clock: Clock | None = None) -> None:
        self._clock = clock or Clock()
        self._storage = Storage(root)
        self._runners: list[web.AppRunner] = []
        self.journal = Journal()
        listings = Listings(self._storage)
        pushes = Pushes(self._storage, Uploads(self._storage, self._clock))
        self._routes = Routes(
            {
                "base": {"GET": listings.base, "HEAD": listings.base},
                "catalog": {"GET": listings.catalog, "HEAD": listings.catalog},
                "tags": {"GET": listings.tags, "HEAD": listings.tags},
                "referrers": {"GET": listings.referrers, "HEAD": listings.referrers},
                "manifest": Manifests(self._storage).handlers(),
                "blob": Blobs(self._storage).handlers(),
                "uploads": pushes.start_handlers(),
                "upload": pushes.session_handlers(),
            }
        )

    async def listen(self, *, port: int = 0, basic_auth: tuple[str, str] | None = None) -> str:
        """Serve the storage on one more port of the loopback interface; the result is `127.0.0.1:PORT`.

        Port 0 lets the kernel choose. With `basic_auth` (user, password) only that user gets in.
        RegistryError if the port cannot be had.
        """
        authenticator: Authenticator = Anyone() if basic_auth is None else Basic(*basic_auth)
        app = application(
            {"/v2": self._routes.answer, "/_emulator/corrupt": self._corrupt, "/_emulator/requests": self._requests},
            authenticator,
            self.journal,
            self._clock,
        )
        runner = web.AppRunner(
            app,
            access_log=None,
            auto_decompress=False,  # a body is stored as it comes, whatever its Content-Encoding
            read_bufsize=1 << 18,
            shutdown_timeout=0.1,  # who still waits for a registry that goes away has lost anyway
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, _HOST, port).start()
        except (OSError, OverflowError) as error:
            await runner.cleanup()
            reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
            raise RegistryError(
                f"the registry cannot listen on {_HOST}:{port}: {reason}; choose another port, or 0 for any free one"
            ) from error
        self._runners.append(runner)
        return f"{_HOST}:{runner.addresses[0][1]}"

    async def close(self) -> None:
        """Stop every listener, breaking off what is under way; the storage stays."""
        while self._runners:
            await self._runners.pop().cleanup()

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
