"""The usual pod of the suite, and what a case changes in it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from conformance.kube import Object
from conformance.targets import RegistryEndpoint

__all__ = ["CONTENT", "USER", "case_pod", "filled", "pull_secret", "usual_pod"]

CONTENT = "/content"
USER = 65532
_SECRET = "registry"  # noqa: S105


def usual_pod(
    name: str,
    *,
    image: str,
    reference: str,
    volume: Mapping[str, Any] | None = None,
    mount: Mapping[str, Any] | None = None,
    container: Mapping[str, Any] | None = None,
    spec: Mapping[str, Any] | None = None,
    init: bool = False,
    volumes: int = 1,
) -> Object:
    """A pod of one container that mounts an image volume at /content, as a user who is not root.

    The same pod as in the recordings of real nodes; the mappings are merged over it, key by key.
    """
    mounts = [{"name": "content", "mountPath": CONTENT, **(mount or {})}]
    sources = [{"name": "content", "image": {"reference": reference, **(volume or {})}}]
    for number in range(2, volumes + 1):
        mounts.append({"name": f"content{number}", "mountPath": f"{CONTENT}{number}"})
        sources.append({"name": f"content{number}", "image": {"reference": reference, **(volume or {})}})
    main = {"name": "probe", "image": image, "volumeMounts": mounts, **(container or {})}
    return {
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 5,
            "securityContext": {"runAsNonRoot": True, "runAsUser": USER, "fsGroup": USER},
            **({"initContainers": [{**main, "name": "first"}]} if init else {}),
            "containers": [main],
            "volumes": sources,
            **(spec or {}),
        },
    }


def case_pod(name: str, changes: Mapping[str, Any], places: Mapping[str, str]) -> Object:
    """The usual pod with a case's changes, its places (`{registry}`, `{lab}`, …) filled in.

    Raises ValueError for a change that there is not.
    """
    known = {"volume", "mount", "container", "spec", "init", "volumes", "secret"}
    if unknown := set(changes) - known:
        raise ValueError(
            f"a case cannot change {', '.join(sorted(unknown))} of a pod; it can change {', '.join(sorted(known))}"
        )
    changed = filled(changes, places)
    secret = changed.pop("secret", "")
    pod = usual_pod(
        name,
        image=filled("{registry}/{probe}:v1", places),
        reference=filled("{source}/{lab}/{first}:v1", places),
        **changed,
    )
    if secret:
        pod["spec"]["imagePullSecrets"] = [{"name": _SECRET}]
    context = pod["spec"]["securityContext"]
    pod["spec"]["securityContext"] = {key: value for key, value in context.items() if value is not None}
    return pod


def pull_secret(endpoint: RegistryEndpoint, *, password: str | None = None, name: str = _SECRET) -> Object:
    """A pull secret for a registry, with its own password or another."""
    login = f"{endpoint.username}:{endpoint.password if password is None else password}"
    auths = {"auths": {endpoint.name: {"auth": base64.b64encode(login.encode()).decode()}}}
    return {
        "metadata": {"name": name},
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": base64.b64encode(json.dumps(auths).encode()).decode()},
    }


def filled(value: Any, places: Mapping[str, str]) -> Any:
    """The value with every `{place}` in its texts filled in."""
    if isinstance(value, str):
        for place, text in places.items():
            value = value.replace(f"{{{place}}}", text)
        return value
    if isinstance(value, Mapping):
        return {key: filled(item, places) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item, places) for item in value]
    return value
