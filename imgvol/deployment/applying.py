"""Bringing a cluster's objects to what manifests say."""

from __future__ import annotations

import copy
import json

from conformance.kube import Kube, RefusedError
from imgvol.deployment.errors import DeploymentError
from imgvol.deployment.manifests import Object

__all__ = ["apply", "path_to"]

_PATHS = {
    ("apps/v1", "Deployment"): "/apis/apps/v1/namespaces/{}/deployments",
    ("apps/v1", "ReplicaSet"): "/apis/apps/v1/namespaces/{}/replicasets",
    ("policy/v1", "PodDisruptionBudget"): "/apis/policy/v1/namespaces/{}/poddisruptionbudgets",
    ("v1", "Service"): "/api/v1/namespaces/{}/services",
}
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_NOT_FOUND, _CONFLICT = 404, 409
_ATTEMPTS = 5
# What the API server gave a Service, and does not take back.
_ALLOCATED = ("clusterIP", "clusterIPs")


def path_to(api_version: str, kind: str, namespace: str, name: str = "") -> str:
    """Where the API has objects of a kind, or one of them."""
    try:
        path = _PATHS[api_version, kind].format(namespace)
    except KeyError:
        raise DeploymentError(f"the manifests hold a {kind} of {api_version}, which `deploy` cannot apply") from None
    return f"{path}/{name}" if name else path


def apply(kube: Kube, manifest: Object, namespace: str) -> str:
    """Make an object what its manifest says, and the defaults for the rest: "created", "configured" or "unchanged".

    The object is replaced whole, so that what a manifest no longer says goes. `kubectl apply` can go on from there.
    """
    manifest = copy.deepcopy(manifest)
    meta = manifest["metadata"]
    meta.setdefault("namespace", namespace)
    kept = json.dumps(manifest, separators=(",", ":"), sort_keys=True) + "\n"
    meta.setdefault("annotations", {})[_LAST_APPLIED] = kept
    collection = path_to(manifest["apiVersion"], manifest["kind"], meta["namespace"])
    path = f"{collection}/{meta['name']}"
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            there: Object = kube.get(path)
        except RefusedError as refused:
            if refused.code != _NOT_FOUND:
                raise
            kube.create(collection, manifest)
            return "created"
        try:
            after = kube.replace(path, _over(there, manifest))
        except RefusedError as refused:
            if refused.code != _CONFLICT or attempt == _ATTEMPTS:
                raise
            continue
        same = after["metadata"]["resourceVersion"] == there["metadata"]["resourceVersion"]
        return "unchanged" if same else "configured"
    raise AssertionError("unreachable")


def _over(there: Object, manifest: Object) -> Object:
    """The manifest as a replacement of the object that is there, whose own annotations stay."""
    new = copy.deepcopy(manifest)
    new["metadata"]["resourceVersion"] = there["metadata"]["resourceVersion"]
    new["metadata"]["annotations"] = {**there["metadata"].get("annotations", {}), **new["metadata"]["annotations"]}
    if new["kind"] == "Service":
        for field in _ALLOCATED:
            if field in there["spec"]:
                new["spec"].setdefault(field, there["spec"][field])
    return new
