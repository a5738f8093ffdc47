"""From a request to whoever answers it."""

from __future__ import annotations

import logging

from aiohttp import web

from emulator.cluster import errors
from emulator.cluster.api import Api
from emulator.cluster.http import authentication, discovery, logs, negotiation, proxy, verbs, watching
from emulator.cluster.http.paths import Target, parse

__all__ = ["Dispatcher"]

_log = logging.getLogger(__name__)
_HEALTH = frozenset({"/healthz", "/livez", "/readyz"})


class Dispatcher:
    """Answers every request to the server; `address` is where it listens."""

    def __init__(self, api: Api, token: str) -> None:
        self.address = ""
        self._api = api
        self._token = token
        self._lists = verbs.Continuations()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """The response to a request; every refusal is a Status."""
        try:
            return await self._route(request)
        except errors.ApiError as error:
            return _document(error.code, error.status)
        except web.HTTPRequestEntityTooLarge:
            large = errors.failure(413, "RequestEntityTooLarge", "Request entity too large: limit is 3145728")
            return _document(large.code, large.status)
        except ConnectionError:
            raise
        except Exception as error:
            _log.exception("%s %s", request.method, request.raw_path)
            status = errors.internal_error(f"{type(error).__name__}: {error}")
            return _document(status.code, status.status)

    async def _route(self, request: web.Request) -> web.StreamResponse:
        path = request.rel_url.raw_path
        target = parse(request.method, path, request.query)
        authentication.check(self._token, request.headers.get("Authorization"), path, target, request.method)
        if target is None:
            return self._nonresource(request, path)
        kind = target.resource
        if kind is None:
            raise errors.unknown_path()
        if target.subresource == "proxy" and "proxy" in kind.subresources:
            return await proxy.forward(self._api, target, kind, request)
        if target.subresource == "log" and "log" in kind.subresources:
            return await logs.stream(self._api, target, kind, request.query, request)
        negotiation.check_accept(request.headers.get("Accept"))
        if target.verb == "watch" and not target.name:
            return await watching.stream(self._api, target, kind, request.query, request)
        return await self._perform(request, target)

    async def _perform(self, request: web.Request, target: Target) -> web.StreamResponse:
        kind = target.resource
        assert kind is not None
        body = verbs.Body(await request.read(), request.headers.get("Content-Type"))
        code, document = verbs.perform(self._api, self._lists, target, kind, request.query, body)
        response = _document(code, document)
        for warning in self._api.take_warnings():
            response.headers.add("Warning", f'299 - "{_quoted(warning)}"')
        return response

    def _nonresource(self, request: web.Request, path: str) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD"):
            raise errors.method_not_allowed() if path in _HEALTH else errors.unknown_path()
        if path in _HEALTH:
            return web.Response(text="ok")
        document = discovery.document(path, self.address)
        if document is None:
            if path == "/":
                return _document(200, {"paths": ["/api", "/apis", "/healthz", "/livez", "/readyz", "/version"]})
            raise errors.unknown_path()
        negotiation.check_accept(request.headers.get("Accept"))
        return _document(200, document)


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _document(code: int, document: object) -> web.Response:
    return web.Response(status=code, body=negotiation.encode(document), content_type="application/json")
