"""Switching faults while a registry runs: an HTTP endpoint on a port of its own, so that no fault strikes it.

GET    /faults         what is in force: {NAME: {"says": …, "faults": [{"asked": N, "struck": N}, …]}, …}
PUT    /faults/NAME    bring a scenario into force, in place of the one of that name: YAML or JSON in the body, or no
                       body for the scenario NAME that comes with the emulator
DELETE /faults/NAME    end it
DELETE /faults         end all
GET    /requests       what was asked of the registry, and which fault struck it
GET    /metadata/identity/oauth2/token?client_id=ID&resource=URL
                       an Entra access token of an identity, as the metadata service of an Azure machine gives one
DELETE /nodes/NAME     take the power from a node of `imgvol up`, for good: its pods end, nobody tells the API server
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from aiohttp import web

from emulator.faults import ActiveFaults, ScenarioError, load, parse
from emulator.registry.journal import Journal

__all__ = ["Ending", "control_application"]

EntraToken = Callable[[str, str], str | None]
"""An access token of an identity (its client id) for a resource; None if there is no such identity."""
Ending = Callable[[str], Awaitable[bool]]
"""Takes the power from a node; False if there is no such node, or it has none any more."""

_BIGGEST = 1 << 20


def control_application(
    faults: ActiveFaults,
    journal: Journal,
    settled: Callable[[], Awaitable[None]],
    entra_token: EntraToken,
    ending: Ending | None = None,
) -> web.Application:
    """The endpoint of a registry; `settled` waits until a change has come into force."""

    async def show(_: web.Request) -> web.Response:
        return web.json_response({name: _told(faults, name) for name in faults.scenarios})

    async def put(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        try:
            text = (await request.read()).decode()
            scenario = parse(text, name) if text.strip() else load(name)[1]
        except UnicodeDecodeError:
            return _refused(f"{name} is not UTF-8 text", 400)
        except ScenarioError as error:
            return _refused(str(error), 400)
        faults.put(name, scenario)
        await settled()
        return web.json_response(_told(faults, name))

    async def remove(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        found = faults.remove(name)
        await settled()
        return web.Response(status=204) if found else _refused(f"no scenario {name!r} is in force", 404)

    async def clear(_: web.Request) -> web.Response:
        faults.clear()
        await settled()
        return web.Response(status=204)

    async def requests(_: web.Request) -> web.Response:
        return web.json_response([asdict(seen) for seen in journal])

    async def metadata(request: web.Request) -> web.Response:
        if request.headers.get("Metadata", "").lower() != "true":
            return _refused("Required metadata header not specified", 400)
        resource = request.query.get("resource", "")
        token = entra_token(request.query.get("client_id", ""), resource)
        if token is None:
            return _refused("Identity not found", 400)
        return web.json_response({"access_token": token, "resource": resource, "token_type": "Bearer"})

    async def end_node(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        found = ending is not None and await ending(name)
        return web.Response(status=204) if found else _refused(f"no node {name!r} runs here", 404)

    app = web.Application(client_max_size=_BIGGEST)
    app.router.add_get("/faults", show)
    app.router.add_delete("/faults", clear)
    app.router.add_put("/faults/{name}", put)
    app.router.add_delete("/faults/{name}", remove)
    app.router.add_get("/requests", requests)
    app.router.add_delete("/nodes/{name}", end_node)
    app.router.add_get("/metadata/identity/oauth2/token", metadata)
    return app


def _told(faults: ActiveFaults, name: str) -> dict[str, Any]:
    counts = [{"asked": asked, "struck": struck} for asked, struck in faults.counts(name)]
    return {"says": faults.scenarios[name].says, "faults": counts}


def _refused(sentence: str, status: int) -> web.Response:
    return web.Response(status=status, body=json.dumps({"error": sentence}), content_type="application/json")
