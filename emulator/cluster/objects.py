"""Objects in wire form: the JSON a client sends, as Python dictionaries."""

from __future__ import annotations

from typing import Any, TypeVar

__all__ = ["Object", "clone", "identity", "metadata"]

Object = dict[str, Any]

_Json = TypeVar("_Json")


def clone(value: _Json) -> _Json:
    """A deep copy of a JSON value (several times as fast as `copy.deepcopy`, which also handles cycles)."""
    if isinstance(value, dict):
        return {key: clone(item) for key, item in value.items()}  # type: ignore[return-value]
    if isinstance(value, list):
        return [clone(item) for item in value]  # type: ignore[return-value]
    return value


def metadata(obj: Object) -> Object:
    """The object's metadata, made if it has none."""
    meta = obj.setdefault("metadata", {})
    if not isinstance(meta, dict):
        meta = obj["metadata"] = {}
    return meta


def identity(obj: Object) -> tuple[str, str]:
    """Namespace (empty for cluster-wide kinds) and name."""
    meta = obj["metadata"]
    return meta.get("namespace", ""), meta["name"]
