"""What runs now: the Deployment, its content, its revisions, its pods."""

from __future__ import annotations

import json

from conformance.kube import Kube
from imgvol.deployment.manifests import DEPLOYMENT, Object
from imgvol.deployment.places import Place
from imgvol.deployment.rollouts import deployment, pods, reference, revisions
from imgvol.deployment.troubles import troubles

__all__ = ["show"]


def show(place: Place, kube: Kube, namespace: str, *, as_json: bool = False) -> None:
    """Print it, as aligned text or as one JSON object."""
    found = deployment(kube, namespace)
    status, there = found.get("status", {}), pods(kube, namespace)
    facts: Object = {
        "target": place.name,
        "namespace": namespace,
        "deployment": DEPLOYMENT,
        "content": reference(found),
        "engine": found["spec"]["template"]["spec"]["containers"][0]["image"],
        "replicas": found["spec"]["replicas"],
        "ready": status.get("readyReplicas", 0),
        "updated": status.get("updatedReplicas", 0),
        "revisions": [{"revision": number, "content": content} for number, content in revisions(kube, namespace)],
        "pods": [_pod(pod) for pod in there],
    }
    if as_json:
        print(json.dumps(facts))
        return
    print(f"target      {facts['target']}, namespace {namespace}")
    print(f"deployment  {DEPLOYMENT}: {facts['ready']} of {facts['replicas']} ready, {facts['updated']} up to date")
    print(f"content     {facts['content']}")
    print(f"engine      {facts['engine']}")
    for at, each in enumerate(facts["revisions"]):
        print(f"{'' if at else 'revisions':<11} {each['revision']:>3} {each['content']}")
    for at, pod in enumerate(facts["pods"]):
        ready = "ready" if pod["ready"] else "not ready"
        line = f"{pod['name']}  {pod['phase']:<9} {ready:<9} {pod['restarts']} restarts  on {pod['node']}"
        print(f"{'' if at else 'pods':<11} {line}")
    unready = [pod for pod in there if not _is_ready(pod) and "deletionTimestamp" not in pod["metadata"]]
    if unready:
        for line in troubles(kube, namespace, unready):
            print(f"            {line}")


def _pod(pod: Object) -> Object:
    status = pod.get("status", {})
    return {
        "name": pod["metadata"]["name"],
        "phase": "Ending" if "deletionTimestamp" in pod["metadata"] else status.get("phase", "Pending"),
        "ready": _is_ready(pod),
        "restarts": sum(each.get("restartCount", 0) for each in status.get("containerStatuses", ())),
        "node": pod["spec"].get("nodeName", "no node"),
    }


def _is_ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
