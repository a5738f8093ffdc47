"""A container's log, from its node's kubelet.

Source: kubernetes/pkg/registry/core/pod/strategy.go (LogLocation).
"""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from emulator.cluster import errors
from emulator.cluster.api import Api
from emulator.cluster.http import negotiation
from emulator.cluster.http.paths import Target
from emulator.cluster.objects import Object
from emulator.cluster.resources import RESOURCES, ResourceType

__all__ = ["stream"]


async def stream(
    api: Api, target: Target, kind: ResourceType, query: Mapping[str, str], request: web.Request
) -> web.StreamResponse:
    """Answer with the log. Raises ApiError: 400 when it is not clear which container, or it has no log."""
    if target.verb != "get":
        raise errors.method_not_allowed()
    options = negotiation.log_options(target.name, query)
    pod = api.get(kind.plural, target.name, target.namespace)
    container = _container(pod, query.get("container", ""))
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    node = pod["spec"].get("nodeName")
    if not node:
        await response.prepare(request)
        return response
    kubelet = api.kubelets.get(node)
    if kubelet is None:
        raise _unreached(api, node, pod, container)
    chunks = kubelet.logs(pod, container, options)
    # The first chunk comes before the status line, so that a refusal can still be one.
    first = await anext(chunks, b"")
    response.enable_chunked_encoding()
    await response.prepare(request)
    await response.write(first)
    async for chunk in chunks:
        await response.write(chunk)
    return response


def _unreached(api: Api, node: str, pod: Object, container: str) -> errors.ApiError:
    """What the API server says of a kubelet whose machine is not there (k8s.io/apiserver registry/generic/rest)."""
    if not api.exists("nodes", node):
        return errors.not_found(RESOURCES["nodes"], node)
    addresses = api.get("nodes", node)["status"].get("addresses") or ()
    address = next((each["address"] for each in addresses if each["type"] == "InternalIP"), node)
    meta = pod["metadata"]
    path = f"containerLogs/{meta['namespace']}/{meta['name']}/{container}"
    detail = f'Get "https://{address}:10250/{path}": dial tcp {address}:10250: connect: no route to host'
    return errors.failure(500, "", detail)


def _container(pod: Object, asked: str) -> str:
    name, spec = pod["metadata"]["name"], pod["spec"]
    containers = [item["name"] for item in spec.get("containers") or ()]
    first = [item["name"] for item in spec.get("initContainers") or ()]
    if asked:
        if asked not in containers + first:
            raise errors.bad_request(f"container {asked} is not valid for pod {name}")
        return asked
    if len(containers) == 1:
        return str(containers[0])
    choices = " ".join([*first, *containers])
    raise errors.bad_request(f"a container name must be specified for pod {name}, choose one of: [{choices}]")
