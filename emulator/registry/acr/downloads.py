"""Blobs from another host: the registry answers 307, and a storage host answers a signed address.

As Azure storage does, that host takes the signature for the whole of the sign-in: a request that also brings an
Authorization header is refused.
"""

from __future__ import annotations

from urllib.parse import urlencode

from aiohttp import web

from emulator.registry.acr.tokens import Signer
from emulator.registry.names import Digest
from emulator.registry.routes import Handler, Target
from emulator.registry.storage import Storage

__all__ = ["Downloads"]

_LIFETIME = 20 * 60


class Downloads:
    """The redirects of one registry, and their target.

    `hosts` are `HOST:PORT` of the storage, set once it listens, by two names: the first that is not the registry's
    own in a request is redirected to, so that clients keep their credentials from it, whatever its port is.
    """

    def __init__(self, storage: Storage, signer: Signer, blob: Handler) -> None:
        self._storage = storage
        self._signer = signer
        self._blob = blob
        self.hosts: tuple[str, ...] = ()

    async def redirect(self, request: web.Request, target: Target) -> web.StreamResponse:
        """307 to the storage host for a blob that is there; what is not, is for the registry to say."""
        digest = Digest.required(target.argument)
        if request.method != "GET" or not self.hosts or not self._storage.has_blob(target.repository, digest):
            return await self._blob(request, target)
        path = f"/download/{target.repository}/{digest}"
        expires = str(int(self._signer.now()) + _LIFETIME)
        query = urlencode({"se": expires, "sp": "r", "sig": self._signer.seal(f"{path} {expires}")})
        ours = _name(request.host)
        host = next(one for one in self.hosts if _name(one) != ours)
        headers = {"Location": f"{request.scheme}://{host}{path}?{query}", "Docker-Content-Digest": str(digest)}
        return web.Response(status=307, headers=headers)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a request of the storage host."""
        if "Authorization" in request.headers:
            return _refusal(
                400,
                "InvalidAuthenticationInfo",
                "Authentication information is not given in the correct "
                "format. Check the value of Authorization header.",
            )
        expires, seal = request.query.get("se", ""), request.query.get("sig", "")
        if request.method not in ("GET", "HEAD") or not self._signer.is_sealed(f"{request.path} {expires}", seal):
            return _refusal(
                403,
                "AuthenticationFailed",
                "Server failed to authenticate the request. Make sure the "
                "value of Authorization header is formed correctly including the signature.",
            )
        if int(expires) < self._signer.now():
            return _refusal(403, "AuthenticationFailed", "Signed expiry time has passed.")
        repository, _, digest = request.path.removeprefix("/download/").rpartition("/")
        return await self._blob(request, Target("blob", repository, digest))


def _name(host: str) -> str:
    """A host without its port."""
    return host.rpartition(":")[0].lower()


def _refusal(status: int, code: str, message: str) -> web.Response:
    body = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return web.Response(status=status, text=body, content_type="application/xml", headers={"x-ms-error-code": code})
