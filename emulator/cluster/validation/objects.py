"""Every violation of an object: its metadata, its schema, its kind's rules, and what of it may change."""

from __future__ import annotations

from emulator.cluster.errors import FieldError, invalid_value
from emulator.cluster.objects import Object
from emulator.cluster.resources import ResourceType
from emulator.cluster.schema import Struct, struct
from emulator.cluster.validation import others, pods, workloads  # noqa: F401  (they register their rules)
from emulator.cluster.validation.metadata import validate_metadata, validate_metadata_update
from emulator.cluster.validation.walk import Scope, walk, walk_immutable

__all__ = ["validate", "validate_update"]

_TEMPLATED = ("daemonsets", "deployments", "replicasets")


def validate(kind: ResourceType, obj: Object) -> list[FieldError]:
    """Every violation of a new object, in the API server's order."""
    return validate_metadata(kind, obj["metadata"]) + _body(kind, obj)


def _body(kind: ResourceType, obj: Object) -> list[FieldError]:
    scope = Scope(flags=frozenset({"template"}) if kind.plural in _TEMPLATED else frozenset())
    if kind.plural == "pods":
        scope.grace_period = (obj.get("spec") or {}).get("terminationGracePeriodSeconds")
        obj.setdefault("spec", {})
    elif kind.plural in _TEMPLATED:
        template = (obj.get("spec") or {}).get("template") or {}
        scope.grace_period = (template.get("spec") or {}).get("terminationGracePeriodSeconds")
    shape = struct(kind.kind)
    parts = {name: field for name, field in shape.fields.items() if name not in ("metadata", "status")}
    return walk(Struct(shape.name, parts, shape.unmodelled), obj, "", scope)


def validate_update(kind: ResourceType, obj: Object, old: Object, subresource: str) -> list[FieldError]:
    """Every violation of a change; `subresource` is empty for the object itself."""
    wrong = validate_metadata_update(obj["metadata"], old["metadata"])
    if subresource == "status":
        status = struct(kind.kind).fields["status"].struct
        if status is not None:
            wrong += walk(status, obj.get("status") or {}, "status", Scope())
        if kind.plural == "pods":
            wrong += pods.validate_pod_status_update(obj, old)
        elif kind.plural == "namespaces":
            wrong += _namespace_status(obj)
        return wrong
    if subresource:
        return wrong
    wrong += _body(kind, obj)
    if kind.plural == "pods":
        wrong += pods.validate_pod_update(obj, old)
    elif kind.plural in ("configmaps", "secrets"):
        wrong += others.validate_data_update(obj, old)
    elif kind.plural == "services":
        wrong += others.validate_service_update(obj, old)
    return wrong + walk_immutable(struct(kind.kind), obj, old)


def _namespace_status(namespace: Object) -> list[FieldError]:
    phase = (namespace.get("status") or {}).get("phase", "")
    going = namespace["metadata"].get("deletionTimestamp") is not None
    wanted, emptiness = ("Terminating", "not empty") if going else ("Active", "empty")
    if phase == wanted:
        return []
    return [invalid_value("status.Phase", phase, f"may only be '{wanted}' if `deletionTimestamp` is {emptiness}")]
