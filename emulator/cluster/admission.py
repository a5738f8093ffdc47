"""Admission: what may be created where, whoever asks. In the API server's order: mutate, validate, then these.

Source: k8s.io/apiserver pkg/admission/plugin/namespace/lifecycle, kubernetes/plugin/pkg/admission/serviceaccount.
"""

from __future__ import annotations

from emulator.cluster import errors
from emulator.cluster.objects import Object, metadata
from emulator.cluster.resources import RESOURCES, ResourceType
from emulator.cluster.store import Store

__all__ = ["admit_create", "validate_create", "validate_update_admission"]


def admit_create(store: Store, kind: ResourceType, obj: Object) -> None:
    """Mutating admission. Raises ApiError: 404 without the namespace, 403 where it is being terminated."""
    if kind.namespaced:
        _check_namespace(store, kind, obj)


def validate_create(store: Store, kind: ResourceType, obj: Object) -> tuple[str, ...]:
    """Validating admission of something new, itself valid already: the warnings. Raises ApiError (403)."""
    return ()


def validate_update_admission(
    store: Store, kind: ResourceType, obj: Object, existing: Object, subresource: str
) -> tuple[str, ...]:
    """Validating admission of a change: the warnings. Raises ApiError (403)."""
    return ()


def _check_namespace(store: Store, kind: ResourceType, obj: Object) -> None:
    meta = metadata(obj)
    name = meta["namespace"]
    namespace = store.get("namespaces", "", name)
    if namespace is None:
        raise errors.not_found(RESOURCES["namespaces"], name)
    if (namespace.get("status") or {}).get("phase") == "Terminating":
        detail = f"unable to create new content in namespace {name} because it is being terminated"
        cause: Object = {
            "reason": "NamespaceTerminating",
            "message": f"namespace {name} is being terminated",
            "field": "metadata.namespace",
        }
        raise errors.forbidden(kind, str(meta.get("name", "")), detail, [cause])
