"""Watches over HTTP: a line of JSON for each event, until the client goes or the time is over.

Source: k8s.io/apiserver pkg/endpoints/handlers/watch.go and pkg/storage/cacher.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Mapping

from aiohttp import web

from emulator.cluster import errors
from emulator.cluster.api import Api
from emulator.cluster.http import negotiation
from emulator.cluster.http.paths import Target
from emulator.cluster.objects import Object
from emulator.cluster.resources import ResourceType
from emulator.cluster.watch import Watch

__all__ = ["stream"]

_SHORTEST = 1800.0
"""Seconds a watch lasts where the client gives no timeout: between this and its double, as --min-request-timeout."""
_BOOKMARK_EVERY = 60.0


async def stream(
    api: Api, target: Target, kind: ResourceType, query: Mapping[str, str], request: web.Request
) -> web.StreamResponse:
    """Answer a watch. What is wrong with the start is told in the stream (an ERROR event), as the server does."""
    if "sendInitialEvents" in query:
        detail = "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled"
        cause = errors.forbidden_field("sendInitialEvents", detail)
        raise errors.invalid_options("ListOptions", [cause])
    since: str | None = query.get("resourceVersion", "")
    if since in ("", "0"):
        since = None
    seconds = negotiation.number(query, "timeoutSeconds")
    lasting = float(seconds) if seconds else _SHORTEST * (1 + random.random())  # noqa: S311  (spreads reconnects)
    bookmarks = negotiation.flag(query, "allowWatchBookmarks")
    try:
        watch = api.watch(
            kind.plural,
            target.namespace,
            since=since,
            label_selector=query.get("labelSelector", ""),
            field_selector=_field_selector(target, query),
        )
    except errors.ApiError as error:
        if error.code != 410:
            raise
        response = await _begin(request)
        await response.write(_line("ERROR", error.status))
        return response
    response = await _begin(request)
    try:
        with contextlib.suppress(ConnectionResetError):  # the watcher has gone
            await _send(api, kind, watch, response, lasting, bookmarks=bookmarks)
    finally:
        watch.close()
    return response


def _field_selector(target: Target, query: Mapping[str, str]) -> str:
    own = f"metadata.name={target.name}" if target.name else ""
    return ",".join(filter(None, (query.get("fieldSelector", ""), own)))


async def _begin(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Cache-Control": "no-cache, private"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    return response


async def _send(
    api: Api, kind: ResourceType, watch: Watch, response: web.StreamResponse, lasting: float, *, bookmarks: bool
) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + lasting
    while True:
        left = end - loop.time()
        try:
            async with asyncio.timeout(min(left, _BOOKMARK_EVERY) if bookmarks else left):
                event = await anext(watch)
        except StopAsyncIteration:
            return
        except TimeoutError:
            # Nothing is waiting, so the watcher has seen everything up to the present revision.
            if bookmarks:
                await response.write(_line("BOOKMARK", _bookmark(kind, api.store.revision)))
            if loop.time() >= end:
                return
            continue
        await response.write(_line(event.type, event.object))


def _bookmark(kind: ResourceType, revision: int) -> Object:
    return {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": {"resourceVersion": str(revision)}}


def _line(kind: str, obj: Object) -> bytes:
    return negotiation.encode({"type": kind, "object": obj}) + b"\n"
