"""Lists: repositories, tags, referrers.

Source: OCI distribution specification 1.1, "Listing Tags", "Listing Referrers"; the catalog and the
paging of both as in Docker Distribution 3.1 (`registry/handlers/catalog.go`, `tags.go`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from emulator.registry.errors import OciError
from emulator.registry.manifest import OCI_INDEX
from emulator.registry.names import Digest
from emulator.registry.routes import Target
from emulator.registry.storage import Storage

__all__ = ["Listings"]

_CATALOG_PAGE = 100
_CATALOG_LIMIT = 1000


class Listings:
    """The handlers of the read-only lists."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def base(self, request: web.Request, target: Target) -> web.StreamResponse:
        """The version check."""
        return web.Response(body=b"{}", content_type="application/json")

    async def catalog(self, request: web.Request, target: Target) -> web.StreamResponse:
        """All repositories, a page of them at a time."""
        limit = _page_size(request)
        if limit is not None and limit > _CATALOG_LIMIT:
            raise OciError("PAGINATION_NUMBER_INVALID", {"n": limit})
        page, headers = _page(request, self._storage.repositories(), _CATALOG_PAGE if limit is None else limit)
        return _json({"repositories": page}, headers)

    async def tags(self, request: web.Request, target: Target) -> web.StreamResponse:
        """The tags of a repository, all of them unless `n` asks for fewer."""
        if not self._storage.has_repository(target.repository):
            raise OciError("NAME_UNKNOWN", {"name": target.repository})
        page, headers = _page(request, self._storage.tags(target.repository), _page_size(request))
        return _json({"name": target.repository, "tags": page}, headers)

    async def referrers(self, request: web.Request, target: Target) -> web.StreamResponse:
        """An index of the manifests whose subject is the digest; never 404."""
        subject = Digest.required(target.argument)
        descriptors = self._storage.referrers(target.repository, subject)
        headers = {}
        if wanted := request.query.get("artifactType"):
            descriptors = [entry for entry in descriptors if entry.get("artifactType") == wanted]
            headers["OCI-Filters-Applied"] = "artifactType"
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": descriptors}
        return _json(index, headers, OCI_INDEX)


def _page_size(request: web.Request) -> int | None:
    text = request.query.get("n", "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        raise OciError("PAGINATION_NUMBER_INVALID", {"n": text})
    return int(text)


def _page(request: web.Request, names: Sequence[str], limit: int | None) -> tuple[list[str], dict[str, str]]:
    """The names after the query's `last`, at most `limit`, and the Link header if that leaves any out."""
    last = request.query.get("last", "")
    left = [name for name in names if name > last]
    page = left[:limit]
    if not page or len(page) == len(left):
        return page, {}
    query = urlencode({"last": page[-1], "n": len(page)})
    return page, {"Link": f'<{request.path}?{query}>; rel="next"'}


def _json(value: Any, headers: dict[str, str], content_type: str = "application/json") -> web.Response:
    body = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
    return web.Response(body=body, headers=headers, content_type=content_type)
