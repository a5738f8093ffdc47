"""Whether an object is what its kind allows."""

from __future__ import annotations

from emulator.cluster.errors import FieldError, required
from emulator.cluster.objects import Object, metadata
from emulator.cluster.resources import ResourceType
from emulator.cluster.store import Store

__all__ = ["decode", "set_defaults", "validate", "validate_update"]


def decode(kind: ResourceType, obj: Object) -> list[FieldError]:
    """Check the object's fields and types against its schema."""
    return []


def set_defaults(kind: ResourceType, obj: Object) -> None:
    """Fill in what was left out."""


def validate(store: Store, kind: ResourceType, obj: Object) -> list[FieldError]:
    """Every violation of a new object."""
    if not metadata(obj).get("name"):
        return [required("metadata.name", "name or generateName is required")]
    return []


def validate_update(
    store: Store, kind: ResourceType, obj: Object, existing: Object, subresource: str
) -> list[FieldError]:
    """Every violation of a change."""
    return []
