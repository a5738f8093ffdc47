"""How an object goes: at once, after a grace period, or when its last finalizer is gone.

Source: k8s.io/apiserver pkg/registry/rest/delete.go, pkg/registry/generic/registry/store.go, and the pod and
namespace strategies of kubernetes/pkg/registry/core.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from emulator.cluster.errors import ApiError, conflict
from emulator.cluster.objects import Object
from emulator.cluster.resources import ResourceType

__all__ = ["DeleteOptions", "begin", "finished"]

_FINALIZERS = {"Orphan": "orphan", "Foreground": "foregroundDeletion"}


@dataclass(frozen=True)
class DeleteOptions:
    """metav1.DeleteOptions, as far as modelled. `grace_period` in seconds."""

    grace_period: int | None = None
    propagation: str | None = None
    uid: str | None = None
    resource_version: str | None = None


def check_preconditions(resource: ResourceType, existing: Object, options: DeleteOptions) -> ApiError | None:
    """The conflict, if the object is not the one the caller meant."""
    meta = existing["metadata"]
    # Here the API server names the kind where elsewhere it names the resource.
    resource = replace(resource, plural=resource.kind)
    if options.uid is not None and options.uid != meta["uid"]:
        return conflict(
            resource,
            meta["name"],
            f"the UID in the precondition ({options.uid}) does not match the UID in record ({meta['uid']}). "
            "The object might have been deleted and then recreated",
        )
    if options.resource_version is not None and options.resource_version != meta["resourceVersion"]:
        return conflict(
            resource,
            meta["name"],
            f"the ResourceVersion in the precondition ({options.resource_version}) does not match the "
            f"ResourceVersion in record ({meta['resourceVersion']}). The object might have been modified",
        )
    return None


def begin(resource: ResourceType, obj: Object, options: DeleteOptions) -> bool:
    """Mark an object (in place) as deleted; True when it is to be removed from the store now."""
    meta = obj["metadata"]
    _set_finalizers(meta, options)
    if resource.plural == "namespaces":
        return _begin_namespace(obj)
    grace = _grace(obj, options) if resource.plural == "pods" else 0
    if grace > 0:
        _begin_grace(meta, grace)
        return False
    if meta.get("finalizers"):
        _begin_grace(meta, 0)
        return False
    meta["deletionGracePeriodSeconds"] = 0
    meta.setdefault("deletionTimestamp", _stamp(0))
    return True


def finished(existing: Object, obj: Object) -> bool:
    """Whether an update took the last thing that kept a deleted object."""
    if existing["metadata"].get("deletionTimestamp") is None or obj["metadata"].get("finalizers"):
        return False
    if obj.get("kind") == "Namespace":
        return not (obj.get("spec") or {}).get("finalizers")
    return bool(existing["metadata"].get("deletionGracePeriodSeconds") == 0)


def _stamp(seconds: int) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _set_finalizers(meta: Object, options: DeleteOptions) -> None:
    if options.propagation is None:
        return
    wanted = _FINALIZERS.get(options.propagation)
    finalizers = [f for f in meta.get("finalizers") or () if f not in _FINALIZERS.values() or f == wanted]
    if wanted and wanted not in finalizers:
        finalizers.append(wanted)
    if finalizers:
        meta["finalizers"] = finalizers
    else:
        meta.pop("finalizers", None)


def _begin_namespace(obj: Object) -> bool:
    meta = obj["metadata"]
    if not (obj.get("spec") or {}).get("finalizers") and not meta.get("finalizers"):
        meta.setdefault("deletionTimestamp", _stamp(0))
        return True
    meta.setdefault("deletionTimestamp", _stamp(0))
    obj.setdefault("status", {})["phase"] = "Terminating"
    return False


def _grace(pod: Object, options: DeleteOptions) -> int:
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    if not spec.get("nodeName") or status.get("phase") in ("Failed", "Succeeded"):
        return 0
    grace = options.grace_period
    if grace is None:
        grace = spec.get("terminationGracePeriodSeconds", 0)
    return 1 if grace < 0 else int(grace)


def _begin_grace(meta: Object, grace: int) -> None:
    """Start a graceful deletion, or shorten the one under way: a grace period never grows."""
    before = meta.get("deletionGracePeriodSeconds")
    if meta.get("deletionTimestamp") is None:
        meta["deletionTimestamp"] = _stamp(grace)
        meta["deletionGracePeriodSeconds"] = grace
        if meta.get("generation"):
            meta["generation"] += 1
    elif before is not None and grace < before:
        began = datetime.strptime(meta["deletionTimestamp"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        meta["deletionTimestamp"] = (began + timedelta(seconds=grace - before)).strftime("%Y-%m-%dT%H:%M:%SZ")
        meta["deletionGracePeriodSeconds"] = grace
