"""Nothing is created in a namespace that does not exist or is going.

Source: k8s.io/apiserver pkg/admission/plugin/namespace/lifecycle/admission.go.
"""

from __future__ import annotations

from emulator.cluster import errors
from emulator.cluster.objects import Object, metadata
from emulator.cluster.resources import RESOURCES, ResourceType
from emulator.cluster.store import Store

__all__ = ["check_namespace", "name_of"]


def name_of(obj: Object) -> str:
    """How admission names an object that may not have its name yet."""
    meta = metadata(obj)
    return str(meta.get("name") or meta.get("generateName") or "")


def check_namespace(store: Store, kind: ResourceType, obj: Object) -> None:
    """Raises ApiError: 404 when the object's namespace is not there, 403 when it is being terminated."""
    name = metadata(obj)["namespace"]
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
        raise errors.forbidden(kind, name_of(obj), detail, [cause])
