"""The proxy to pods and services: any method, path and query, over the node's kubelet.

Source: kubernetes/pkg/registry/core/{pod,service}/strategy (ResourceLocation), k8s.io/apimachinery
pkg/util/proxy/upgradeaware.go and transport.go.
"""

from __future__ import annotations

import asyncio
import random
import re
from contextlib import suppress

from aiohttp import web

from emulator.cluster import errors
from emulator.cluster.api import Api
from emulator.cluster.http import wire
from emulator.cluster.http.paths import Target
from emulator.cluster.objects import Object
from emulator.cluster.resources import ResourceType

__all__ = ["forward"]

_SCHEMES = ("http", "https", "")
_CONNECTION = frozenset(
    [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ]
)
_OURS = _CONNECTION | {"authorization", "host", "content-length", "x-forwarded-for", "expect"}


async def forward(api: Api, target: Target, kind: ResourceType, request: web.Request) -> web.StreamResponse:
    """Pass a request on and its answer back. Raises ApiError: 404, 400 for a malformed name, 503 with no endpoint."""
    if request.headers.get("Upgrade"):
        raise errors.failure(501, "NotImplemented", "the emulator does not model upgrades through the proxy")
    scheme, name, port = _split(target.name, kind)
    if scheme == "https":
        raise errors.failure(501, "NotImplemented", "the emulator does not model the proxy to https")
    if kind.plural == "pods":
        pod, number = _pod(api, target, name, port)
    else:
        pod, number = _service(api, target, name, port)
    if target.rest is None and not request.rel_url.raw_path.endswith("/") and request.method in ("GET", "HEAD"):
        query = f"?{request.query_string}" if request.query_string else ""
        return web.Response(status=301, headers={"Location": f"{request.rel_url.raw_path}/{query}"})
    return await _exchange(api, pod, number, "/" + (target.rest or ""), request)


def _split(identifier: str, kind: ResourceType) -> tuple[str, str, str]:
    """`name`, `name:port` or `scheme:name:port`."""
    parts = identifier.split(":")
    if len(parts) == 1:
        parts = ["", parts[0], ""]
    elif len(parts) == 2:
        parts = ["", *parts]
    if len(parts) != 3 or not parts[1] or parts[0] not in _SCHEMES:
        raise errors.bad_request(f"invalid {kind.kind.lower()} request {errors.quote(identifier)}")
    return parts[0], parts[1], parts[2]


def _pod(api: Api, target: Target, name: str, port: str) -> tuple[Object, int]:
    pod = api.get("pods", name, target.namespace)
    if not (pod.get("status") or {}).get("podIP"):
        raise errors.bad_request("address not allowed")
    if port:
        if not re.fullmatch("[0-9]{1,5}", port):
            raise errors.bad_request(f"invalid pod request {errors.quote(target.name)}")
        return pod, int(port)
    for container in pod["spec"]["containers"]:
        for declared in container.get("ports") or ():
            return pod, int(declared["containerPort"])
    return pod, 80


def _service(api: Api, target: Target, name: str, port: str) -> tuple[Object, int]:
    if re.fullmatch("[0-9]+", port):
        ports = api.get("services", name, target.namespace)["spec"].get("ports") or []
        named = [declared.get("name", "") for declared in ports if declared["port"] == int(port)]
        if not named:
            message = f"no service port {int(port)} found for service {errors.quote(name)}"
            raise errors.service_unavailable(message)
        port = named[0]
    endpoints = api.get("endpoints", name, target.namespace)
    if not endpoints.get("subsets"):
        raise errors.service_unavailable(f"no endpoints available for service {errors.quote(name)}")
    subsets = [subset for subset in endpoints["subsets"] if subset.get("addresses")]
    random.shuffle(subsets)
    for subset in subsets:
        for offered in subset.get("ports") or ():
            if offered.get("name", "") == port:
                address = random.choice(subset["addresses"])  # noqa: S311  (spreads the load)
                return _pod_behind(api, target, address, offered["port"]), int(offered["port"])
    raise errors.service_unavailable(f"no endpoints available for service {errors.quote(target.name)}")


def _pod_behind(api: Api, target: Target, address: Object, port: int) -> Object:
    reference = address.get("targetRef") or {}
    if reference.get("kind") == "Pod":
        with suppress(errors.ApiError):
            return api.get("pods", reference["name"], reference.get("namespace") or target.namespace)
    raise _unreachable(f"dial tcp {address['ip']}:{port}: connect: no route to host")


def _unreachable(detail: str) -> errors.ApiError:
    return errors.service_unavailable(f"error trying to reach service: {detail}")


async def _exchange(api: Api, pod: Object, port: int, path: str, request: web.Request) -> web.StreamResponse:
    address = f"{pod['status'].get('podIP', '')}:{port}"
    kubelet = api.kubelets.get(pod["spec"].get("nodeName", ""))
    if kubelet is None:
        raise _unreachable(f"dial tcp {address}: connect: no route to host")
    try:
        reader, writer = await kubelet.dial(pod, port)
    except OSError as error:
        reason = "connection refused" if isinstance(error, ConnectionRefusedError) else (error.strerror or str(error))
        raise _unreachable(f"dial tcp {address}: connect: {reason.lower()}") from None
    try:
        return await _pass(reader, writer, address, path, request)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def _pass(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str, path: str, request: web.Request
) -> web.StreamResponse:
    query = request.rel_url.raw_query_string
    sent = path + (f"?{query}" if query else "")
    try:
        length = request.headers.get("Content-Length")
        chunked = length is None and request.body_exists
        content = request.content.iter_any() if request.body_exists else None
        await wire.send(
            writer, request.method, sent, _headers(request, address, length, chunked), content, chunked=chunked
        )
        head = await wire.read_head(reader)
    except (wire.BadAnswerError, OSError, asyncio.IncompleteReadError) as error:
        shown = re.sub(r"^/*", "/", path)
        raise _unreachable(f'{request.method.title()} "http://{address}{shown}": {error}') from None
    response = web.StreamResponse(status=head.status, reason=head.reason)
    for name, value in head.headers:
        if name.lower() not in _CONNECTION:
            response.headers.add(name, value)
    if not head.get("content-length") and request.method != "HEAD" and head.status not in (204, 304):
        response.enable_chunked_encoding()
    chunks = wire.body(reader, head, request.method)
    first = await anext(chunks, b"")
    if not head.get("content-type"):
        response.content_type, response.charset = _sniffed(first)
    await response.prepare(request)
    await response.write(first)
    async for data in chunks:
        await response.write(data)
    return response


def _sniffed(data: bytes) -> tuple[str, str | None]:
    """The type of a content that comes without one, as Go's server guesses it."""
    start = data[:512].lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "text/html", "utf-8"
    binary = any(byte < 0x20 and byte not in b"\t\n\x0c\r\x1b" for byte in start)
    return ("application/octet-stream", None) if binary else ("text/plain", "utf-8")


def _headers(request: web.Request, address: str, length: str | None, chunked: bool) -> list[tuple[str, str]]:
    headers = [("Host", address), ("Connection", "close")]
    headers += [(name, value) for name, value in request.headers.items() if name.lower() not in _OURS]
    forwarded = [request.headers.get("X-Forwarded-For", ""), request.remote or "127.0.0.1"]
    headers.append(("X-Forwarded-For", ", ".join(filter(None, forwarded))))
    headers.append(("X-Forwarded-Uri", request.rel_url.raw_path))
    if chunked:
        headers.append(("Transfer-Encoding", "chunked"))
    elif length is not None:
        headers.append(("Content-Length", length))
    return headers
