"""The smoke test: does every pod serve exactly the tree of the content that it is told to mount?"""

from __future__ import annotations

import json
from typing import Any

from conformance.kube import Kube, RefusedError
from imgvol.deployment.errors import DeploymentError
from imgvol.deployment.images import signed_in
from imgvol.deployment.manifests import SERVICE
from imgvol.deployment.places import Place
from imgvol.deployment.rollouts import deployment, pods, reference
from imgvol.deployment.saying import say
from imgvol.deployment.trees import differences, expected

__all__ = ["smoke_test"]

_PORT = 8080
_MOST = 20  # differences of a pod that are shown
_HEALTHY = {"status": "ok"}


def smoke_test(place: Place, kube: Kube, namespace: str) -> None:
    """Compare what every pod answers to GET /tree with the image in the registry. Raises DeploymentError."""
    content = reference(deployment(kube, namespace))
    readable = place.readable(content)
    say(f"GET /tree of every pod of {place.name} is compared with {readable}")
    wanted = _wanted(place, readable)
    found = pods(kube, namespace, newest=True)
    if not found:
        raise DeploymentError("there is no pod to ask: `make status` says more")
    wrong: list[str] = []
    for pod in found:
        name = pod["metadata"]["name"]
        lines = differences(wanted, _get(kube, namespace, f"pods/{name}:{_PORT}", "tree"))
        wrong += [f"  pod {name}: {line}" for line in lines[:_MOST]]
        if len(lines) > _MOST:
            wrong.append(f"  pod {name}: and {len(lines) - _MOST} more")
    if wrong:
        shown = "\n".join(wrong)
        hint = (
            ""
            if "@" in content
            else (
                "\n  If the tag was pushed anew since the pods started, give new content a new tag: "
                "PROJECT_TAG=…, or `make rollout DIGEST=…`"
            )
        )
        raise DeploymentError(f"what is served is not {content}:\n{shown}{hint}")
    if (health := _get(kube, namespace, f"services/{SERVICE}:80", "health")) != _HEALTHY:
        raise DeploymentError(f"the service answers {health!r} to GET /health, not {_HEALTHY!r}")
    print(f"{content}: {_count(wanted)} files and directories, served by {len(found)} of {len(found)} pods")


def _wanted(place: Place, readable: str) -> dict[str, Any]:
    import packager

    try:
        with signed_in(place):
            return expected(packager.list_files(readable))
    except packager.PackagerError as error:
        raise DeploymentError(f"the pushed content cannot be read: {error}") from None


def _get(kube: Kube, namespace: str, what: str, path: str) -> Any:
    where = f"/api/v1/namespaces/{namespace}/{what}/proxy/{path}"
    try:
        answer = kube.read(where)
    except RefusedError as refused:
        raise DeploymentError(f"GET /{path} of {what} failed: {refused.code} {refused}") from None
    try:
        return json.loads(answer)
    except ValueError:
        raise DeploymentError(f"GET /{path} of {what} is no JSON: {answer[:200]!r}") from None


def _count(node: dict[str, Any]) -> int:
    """The nodes below this one."""
    children = node.get("children", ())
    return len(children) + sum(_count(child) for child in children)
