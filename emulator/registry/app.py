"""The web application behind a listener: journal, errors, authentication, then the specification's paths.

The order is the middleware chain: everything that is answered, or left without an answer by a fault, is in the
journal, and every error has the specification's body. Faults strike before anybody asks who it is, as what stands in
front of a registry does.
"""

from __future__ import annotations

import logging

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from emulator.clock import Clock
from emulator.faults import ActiveFaults
from emulator.registry.auth import Authenticator
from emulator.registry.errors import OciError, respond
from emulator.registry.faulting import STRUCK, NoAnswer, faulting
from emulator.registry.journal import Journal, RequestSeen

__all__ = ["application"]

_LOG = logging.getLogger(__name__)
_USER = web.RequestKey("user", str)


def application(
    handlers: dict[str, Handler],
    authenticator: Authenticator,
    journal: Journal,
    clock: Clock,
    faults: ActiveFaults,
) -> web.Application:
    """An application that gives paths starting with a key of `handlers` to its handler."""
    chain = [_journal(journal, clock), _errors, faulting(faults, clock), _authentication(authenticator)]
    app = web.Application(middlewares=chain)
    for prefix, handler in handlers.items():
        app.router.add_route("*", prefix + "{rest:.*}", handler)
    return app


def _journal(journal: Journal, clock: Clock) -> Middleware:
    @web.middleware
    async def note(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        host, port = request.get_extra_info("sockname", ("", 0))[:2]
        answered = not isinstance(response, NoAnswer)
        journal.add(
            RequestSeen(
                at=clock.now(),
                listener=f"{host}:{port}",
                user=request.get(_USER, ""),
                method=request.method,
                path=request.path,
                query=request.query_string,
                status=response.status if answered else 0,
                received=request.content.total_bytes,
                sent=(response.content_length or 0) if answered and request.method != "HEAD" else 0,
                fault=request.get(STRUCK, ""),
            )
        )
        return response

    return note


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        response = await handler(request)
    except OciError as error:
        response = respond(error)
    except web.HTTPException:
        response = respond(
            OciError("UNSUPPORTED", f"no such path: {request.path}", message="page not found", status=404)
        )
    except (ConnectionError, web.RequestPayloadError) as error:
        # The client has gone in the middle of its body: nobody reads this, but the journal should not say
        # 500.
        response = respond(OciError("UNKNOWN", f"the request's body broke off: {error}", status=400))
    except OSError as error:
        _LOG.exception("%s %s", request.method, request.path)
        response = respond(OciError("UNKNOWN", f"the registry's storage failed: {error.strerror}"))
    response.headers["Docker-Distribution-API-Version"] = "registry/2.0"
    return response


def _authentication(authenticator: Authenticator) -> Middleware:
    @web.middleware
    async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
        request[_USER] = await authenticator.authenticate(request)
        return await handler(request)

    return authenticate
