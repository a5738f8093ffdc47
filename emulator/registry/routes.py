"""From a request's path and method to what answers it.

Source: OCI distribution specification 1.1, "Endpoints". Repository names hold slashes, so paths are read
from their end.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from aiohttp import web

from emulator.registry.errors import OciError
from emulator.registry.names import check_repository

__all__ = ["Handler", "Kind", "Routes", "Target", "locate"]

Kind = Literal["base", "catalog", "manifest", "blob", "uploads", "upload", "tags", "referrers"]


@dataclass(frozen=True)
class Target:
    """What a path names; `argument` is its tag, digest or upload id. `repository` is not checked yet."""

    kind: Kind
    repository: str = ""
    argument: str = ""


Handler = Callable[[web.Request, Target], Awaitable[web.StreamResponse]]


def locate(path: str) -> Target | None:
    """What `path` (percent-decoded) names, or None when the specification knows no such path."""
    if path in ("/v2", "/v2/"):
        return Target("base")
    if path == "/v2/_catalog":
        return Target("catalog")
    if not path.startswith("/v2/"):
        return None
    match path.removeprefix("/v2/").split("/"):
        case [*name, "blobs", "uploads"] | [*name, "blobs", "uploads", ""]:
            target = Target("uploads", "/".join(name))
        case [*name, "blobs", "uploads", upload_id]:
            target = Target("upload", "/".join(name), upload_id)
        case [*name, "blobs", digest]:
            target = Target("blob", "/".join(name), digest)
        case [*name, "manifests", reference]:
            target = Target("manifest", "/".join(name), reference)
        case [*name, "tags", "list"]:
            target = Target("tags", "/".join(name))
        case [*name, "referrers", digest]:
            target = Target("referrers", "/".join(name), digest)
        case _:
            return None
    return target if target.repository else None


class Routes:
    """Which handler answers which method on which kind of path."""

    def __init__(self, handlers: Mapping[Kind, Mapping[str, Handler]]) -> None:
        self._handlers = handlers

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a request below /v2/; a wrong method is 405, an unknown path 404, both with an error
        body.
        """
        target = locate(request.path)
        if target is None:
            raise OciError("UNSUPPORTED", f"no such path: {request.path}", message="page not found", status=404)
        methods = self._handlers[target.kind]
        handler = methods.get(request.method)
        if handler is None:
            raise OciError("UNSUPPORTED", headers={"Allow": ", ".join(sorted(methods))})
        if target.repository:
            check_repository(target.repository)
        return await handler(request, target)
