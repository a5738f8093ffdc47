"""Admission: what may be created or changed where, and what is filled in on the way.

The order is the API server's: mutate, validate the object, then admission's own validation.
"""

from __future__ import annotations

from emulator.cluster.admission.namespaces import check_namespace
from emulator.cluster.admission.pod_security import check_labels, check_pod, check_template
from emulator.cluster.admission.pods import admit_pod
from emulator.cluster.objects import Object
from emulator.cluster.resources import ResourceType
from emulator.cluster.store import Store

__all__ = ["admit_create", "validate_create", "validate_update"]

_TEMPLATED = ("daemonsets", "deployments", "replicasets")


def admit_create(store: Store, kind: ResourceType, obj: Object) -> None:
    """Mutating admission of something new. Raises ApiError: 404 without the namespace, 403 where it may not be."""
    if kind.namespaced:
        check_namespace(store, kind, obj)
    if kind.plural == "pods":
        admit_pod(store, kind, obj)


def validate_create(store: Store, kind: ResourceType, obj: Object) -> tuple[str, ...]:
    """Validating admission of something new, itself valid already: its warnings. Raises ApiError (403, 422)."""
    if kind.plural == "pods":
        return check_pod(store, kind, obj)
    if kind.plural == "namespaces":
        check_labels(kind, obj, None)
    return check_template(store, obj) if kind.plural in _TEMPLATED else ()


def validate_update(
    store: Store, kind: ResourceType, obj: Object, existing: Object, subresource: str
) -> tuple[str, ...]:
    """Validating admission of a change: its warnings. Raises ApiError (403, 422)."""
    if subresource:
        return ()
    if kind.plural == "pods" and _images(obj) != _images(existing):
        return check_pod(store, kind, obj)
    if kind.plural == "namespaces":
        check_labels(kind, obj, existing)
    return check_template(store, obj) if kind.plural in _TEMPLATED else ()


def _images(pod: Object) -> list[str]:
    spec = pod["spec"]
    return [c.get("image", "") for kind in ("containers", "initContainers") for c in spec.get(kind) or ()]
