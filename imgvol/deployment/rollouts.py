"""Roll-outs of the Deployment: another content, the one before, and waiting until it runs or cannot.

Source of what counts as done and as failed: kubectl's rollout status (k8s.io/kubectl pkg/polymorphichelpers).
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Any

from conformance.kube import Kube, RefusedError
from imgvol.deployment.applying import path_to
from imgvol.deployment.errors import DeploymentError
from imgvol.deployment.manifests import DEPLOYMENT, VOLUME, Object
from imgvol.deployment.saying import say
from imgvol.deployment.troubles import troubles, waiting

__all__ = ["deployment", "pods", "previous", "reference", "revisions", "roll_back", "roll_out", "wait"]

_REVISION = "deployment.kubernetes.io/revision"
_CAUSE = "kubernetes.io/change-cause"
_HASH = "pod-template-hash"
_JSON_PATCH = "application/json-patch+json"
_SLACK = 60.0  # seconds that a roll-out is watched beyond the time in which Kubernetes itself calls it failed


def deployment(kube: Kube, namespace: str) -> Object:
    """The Deployment. Raises DeploymentError if it is not there."""
    try:
        found: Object = kube.get(path_to("apps/v1", "Deployment", namespace, DEPLOYMENT))
    except RefusedError as refused:
        if refused.code != 404:
            raise
        raise DeploymentError(f"there is no deployment {DEPLOYMENT} in namespace {namespace}: `make deploy`") from None
    return found


def reference(template: Object) -> str:
    """The content that a Deployment's, or a ReplicaSet's, pods mount."""
    volumes = template["spec"]["template"]["spec"].get("volumes", ())
    images = [each["image"]["reference"] for each in volumes if each["name"] == VOLUME and "image" in each]
    if not images:
        raise DeploymentError(f"the deployment {DEPLOYMENT} has no image volume {VOLUME}: `make deploy` mends it")
    return str(images[0])


def pods(kube: Kube, namespace: str, *, newest: bool = False) -> list[Object]:
    """The Deployment's pods, those that are ending last; or only those of its newest template that are not ending."""
    found = deployment(kube, namespace)
    labels = found["spec"]["selector"]["matchLabels"]
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    items: list[Object] = kube.get(f"/api/v1/namespaces/{namespace}/pods", {"labelSelector": selector})["items"]
    told = ("creationTimestamp", "name")
    items.sort(key=lambda pod: ("deletionTimestamp" in pod["metadata"], *(pod["metadata"][key] for key in told)))
    if not newest:
        return items
    current = _current(found, _replicasets(kube, found))
    key = current["metadata"]["labels"][_HASH] if current else ""
    return [
        pod
        for pod in items
        if pod["metadata"]["labels"].get(_HASH) == key and "deletionTimestamp" not in pod["metadata"]
    ]


def roll_out(kube: Kube, namespace: str, content: str) -> bool:
    """Have the pods mount other content, by digest; False if they do already."""
    found = deployment(kube, namespace)
    if reference(found) == content:
        return False
    volume = {"name": VOLUME, "image": {"reference": content, "pullPolicy": "IfNotPresent"}}
    patch = {
        "metadata": {"annotations": {_CAUSE: f"content {content}"}},
        "spec": {"template": {"spec": {"volumes": [volume]}}},
    }
    kube.patch(path_to("apps/v1", "Deployment", namespace, DEPLOYMENT), patch)
    return True


def previous(kube: Kube, namespace: str) -> Object:
    """The ReplicaSet of the revision before the present one. Raises DeploymentError if there is none."""
    found = deployment(kube, namespace)
    now = _revision(found)
    before = [each for each in _replicasets(kube, found) if _revision(each) < now]
    if not before:
        raise DeploymentError(f"{DEPLOYMENT} has no revision before {now}, to which it could go back")
    return max(before, key=_revision)


def roll_back(kube: Kube, namespace: str, revision: Object) -> None:
    """Make an earlier revision's template the present one, as `kubectl rollout undo` does."""
    template = revision["spec"]["template"]
    template["metadata"]["labels"].pop(_HASH, None)
    patch: list[Object] = [{"op": "replace", "path": "/spec/template", "value": template}]
    cause = revision["metadata"].get("annotations", {}).get(_CAUSE)
    annotations = deployment(kube, namespace)["metadata"].get("annotations", {})
    kept = {key: value for key, value in annotations.items() if key != _CAUSE} | ({_CAUSE: cause} if cause else {})
    patch.append({"op": "replace", "path": "/metadata/annotations", "value": kept})
    kube.patch(path_to("apps/v1", "Deployment", namespace, DEPLOYMENT), patch, _JSON_PATCH)


def revisions(kube: Kube, namespace: str) -> list[tuple[int, str]]:
    """Every revision that is kept, the oldest first, and its content."""
    found = _replicasets(kube, deployment(kube, namespace))
    return [(_revision(each), reference(each)) for each in sorted(found, key=_revision)]


def wait(kube: Kube, namespace: str) -> None:
    """Until every pod runs the newest template and is ready. Raises DeploymentError, with the reasons, if that fails.

    It has failed when Kubernetes says so: no progress within the Deployment's progressDeadlineSeconds.
    """
    found = deployment(kube, namespace)
    seconds = found["spec"].get("progressDeadlineSeconds", 600) + _SLACK
    said: set[str] = set()
    for _ in _changes(kube, namespace, seconds):
        found = deployment(kube, namespace)
        state = _state(found)
        if state == "done":
            say(f"{DEPLOYMENT}: revision {_revision(found)}, {found['spec']['replicas']} of it ready")
            return
        lines = {f"{DEPLOYMENT}: {state}"} if state != "failed" else set()
        for line in sorted((lines | set(waiting(pods(kube, namespace, newest=True)))) - said):
            said.add(line)
            say(line)
        if state == "failed":
            break
    reasons = "\n".join(f"  {line}" for line in troubles(kube, namespace, pods(kube, namespace, newest=True)))
    serves = found.get("status", {}).get("availableReplicas", 0)
    before = "; what ran before still serves, `make rollback` goes back to it" if serves else ""
    raise DeploymentError(f"the roll-out of {DEPLOYMENT} makes no progress{before}\n{reasons}")


def _state(found: Object) -> str:
    spec, status = found["spec"], found.get("status", {})
    wanted = spec["replicas"]
    if status.get("observedGeneration", 0) < found["metadata"]["generation"]:
        return "waiting for its controller"
    conditions = {each["type"]: each for each in status.get("conditions", ())}
    if conditions.get("Progressing", {}).get("reason") == "ProgressDeadlineExceeded":
        return "failed"
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    if updated < wanted:
        return f"{updated} of {wanted} pods made anew"
    if status.get("replicas", 0) > updated:
        return f"{status['replicas'] - updated} old pods still there"
    if available < updated:
        return f"{available} of {updated} new pods ready"
    return "done"


def _changes(kube: Kube, namespace: str, seconds: float) -> Iterator[None]:
    """Once at first, and then whenever the Deployment or a pod of the namespace has changed, for some seconds."""
    changed: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

    def follow(path: str, query: dict[str, Any]) -> None:
        try:
            for _ in kube.watch(path, query, seconds):
                changed.put(None)
            changed.put(StopIteration())
        except Exception as error:
            changed.put(error)

    name = {"fieldSelector": f"metadata.name={DEPLOYMENT}"}
    watched: tuple[tuple[str, dict[str, Any]], ...] = (
        (path_to("apps/v1", "Deployment", namespace), name),
        (f"/api/v1/namespaces/{namespace}/pods", {}),
    )
    for path, query in watched:
        threading.Thread(target=follow, args=(path, query), daemon=True).start()
    yield
    while True:
        error = changed.get()
        while error is None and not changed.empty():
            error = changed.get()
        if isinstance(error, StopIteration):
            return
        if error is not None:
            raise error
        yield


def _replicasets(kube: Kube, found: Object) -> list[Object]:
    meta = found["metadata"]
    items: list[Object] = kube.get(path_to("apps/v1", "ReplicaSet", meta["namespace"]))["items"]
    return [
        each
        for each in items
        if any(owner["uid"] == meta["uid"] for owner in each["metadata"].get("ownerReferences", ()))
    ]


def _current(found: Object, replicasets: list[Object]) -> Object | None:
    return next((each for each in replicasets if _revision(each) == _revision(found)), None)


def _revision(obj: Object) -> int:
    return int(obj["metadata"].get("annotations", {}).get(_REVISION, "0"))
