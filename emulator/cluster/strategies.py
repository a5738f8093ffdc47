"""What a resource's registry does to an object before it is stored, beyond its schema.

Source: the PrepareForCreate and PrepareForUpdate of the strategies in kubernetes/pkg/registry, and
k8s.io/apiserver pkg/registry/rest (create.go, update.go).
"""

from __future__ import annotations

import base64
import secrets
import uuid

from emulator.clock import Clock
from emulator.cluster.objects import Object, clone, metadata
from emulator.cluster.resources import ResourceType

__all__ = [
    "generate_name",
    "prepare_for_create",
    "prepare_for_finalize",
    "prepare_for_status",
    "prepare_for_update",
]

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_LONGEST_BASE = 58
_OURS = (
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "resourceVersion",
)
# A DaemonSet counts the changes of its template here since apps/v1 has no field for that.
_TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
_INITIAL_STATUS: dict[str, Object] = {
    "daemonsets": {
        "currentNumberScheduled": 0,
        "numberMisscheduled": 0,
        "desiredNumberScheduled": 0,
        "numberReady": 0,
    },
    "deployments": {},
    "namespaces": {"phase": "Active"},
    "poddisruptionbudgets": {"disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0},
    "pods": {"phase": "Pending"},
    "replicasets": {"replicas": 0},
    "services": {"loadBalancer": {}},
}


def generate_name(base: str) -> str:
    """A name from metadata.generateName: the base and five characters that spell no words."""
    return base[:_LONGEST_BASE] + "".join(secrets.choice(_ALPHABET) for _ in range(5))


def prepare_for_create(resource: ResourceType, obj: Object) -> None:
    """Give a new object its system metadata and its first status."""
    meta = metadata(obj)
    for key in _OURS:
        meta.pop(key, None)
    meta.pop("managedFields", None)
    if not meta.get("name") and meta.get("generateName"):
        meta["name"] = generate_name(meta["generateName"])
    meta["uid"] = str(uuid.uuid4())
    meta["creationTimestamp"] = Clock.timestamp()
    if resource.generation:
        meta["generation"] = 1
    if "status" in resource.subresources:
        kept = clone(obj.get("status")) if resource.plural == "nodes" else None
        obj["status"] = kept or clone(_INITIAL_STATUS.get(resource.plural, {}))
    if resource.plural == "daemonsets":
        meta.setdefault("annotations", {})[_TEMPLATE_GENERATION] = "1"
    if resource.plural == "namespaces":
        spec = obj.setdefault("spec", {})
        spec["finalizers"] = list(dict.fromkeys((*spec.get("finalizers", ()), "kubernetes")))
        meta.setdefault("labels", {})["kubernetes.io/metadata.name"] = meta.get("name", "")
    if resource.plural == "secrets":
        take_string_data(obj)
    if resource.plural == "pods":
        obj["status"]["qosClass"] = quality_of_service(obj.get("spec", {}))


def take_string_data(secret: Object) -> None:
    """Move a secret's stringData, which can only be written, into its data."""
    plain = secret.pop("stringData", None) or {}
    if plain:
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in plain.items()}
        secret["data"] = (secret.get("data") or {}) | encoded


def quality_of_service(spec: Object) -> str:
    """Guaranteed, Burstable or BestEffort (kubernetes/pkg/apis/core/v1/helper/qos)."""
    requests, limits, guaranteed = False, False, True
    for container in [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]:
        resources = container.get("resources") or {}
        asked = {k: v for k, v in (resources.get("requests") or {}).items() if k in ("cpu", "memory")}
        capped = {k: v for k, v in (resources.get("limits") or {}).items() if k in ("cpu", "memory")}
        requests = requests or bool(asked)
        limits = limits or bool(capped)
        if set(capped) != {"cpu", "memory"} or any(capped.get(k) != v for k, v in asked.items()):
            guaranteed = False
    if not requests and not limits:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def _keep_system_metadata(obj: Object, existing: Object) -> None:
    meta, old = metadata(obj), existing["metadata"]
    meta.pop("managedFields", None)
    for key in (*_OURS, "name", "namespace"):
        if key in old:
            meta[key] = old[key]
        else:
            meta.pop(key, None)


def prepare_for_update(resource: ResourceType, obj: Object, existing: Object) -> None:
    """Keep what a replace of the main resource may not change: system metadata and the status."""
    _keep_system_metadata(obj, existing)
    if "status" in resource.subresources:
        if "status" in existing:
            obj["status"] = clone(existing["status"])
        else:
            obj.pop("status", None)
    if resource.plural == "secrets":
        take_string_data(obj)
    if resource.plural == "namespaces":
        obj["spec"] = clone(existing.get("spec", {}))
        metadata(obj).setdefault("labels", {})["kubernetes.io/metadata.name"] = existing["metadata"]["name"]
    if resource.plural == "daemonsets":
        before = int((existing["metadata"].get("annotations") or {}).get(_TEMPLATE_GENERATION, "1"))
        changed = obj["spec"].get("template") != existing["spec"].get("template")
        metadata(obj).setdefault("annotations", {})[_TEMPLATE_GENERATION] = str(before + changed)
    if resource.generation and _desired(resource, obj) != _desired(resource, existing):
        metadata(obj)["generation"] = existing["metadata"].get("generation", 0) + 1


def _desired(resource: ResourceType, obj: Object) -> Object:
    if resource.plural == "endpointslices":
        return {key: value for key, value in obj.items() if key != "metadata"}
    desired: Object = obj.get("spec", {})
    return desired


def prepare_for_status(resource: ResourceType, obj: Object, existing: Object) -> None:
    """Let a replace of the status change the status alone (and annotations, as the strategies do)."""
    status = obj.get("status")
    for key in set(obj) | set(existing):
        if key in ("metadata", "status"):
            continue
        if key in existing:
            obj[key] = clone(existing[key])
        else:
            del obj[key]
    if status is not None:
        obj["status"] = status
    if resource.plural == "deployments":
        labels = existing["metadata"].get("labels")
        metadata(obj).pop("labels", None)
        if labels is not None:
            metadata(obj)["labels"] = clone(labels)
    _keep_system_metadata(obj, existing)


def prepare_for_finalize(obj: Object, existing: Object) -> None:
    """Let a replace of a namespace's `finalize` change spec.finalizers alone."""
    finalizers = list((obj.get("spec") or {}).get("finalizers") or ())
    obj.clear()
    obj.update(clone(existing))
    obj.setdefault("spec", {})["finalizers"] = finalizers
