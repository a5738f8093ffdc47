"""Kinds as data: what fields an object has, their types, defaults and constraints, read from `schemas/*.yaml`.

A schema file holds Go struct types by name. A field is `name: TYPE` or `name: {type: TYPE, …}` with

    type       string, bool, int32, int64, quantity, intOrString, time, microTime, bytes, any, a struct's name,
               []TYPE or map[string]TYPE
    default    the value when the field is absent
    required   true: must be there and not empty
    enum       the values allowed
    only       the values modelled; any other is refused by name
    format     a named check of `checks.py`
    key        this list is merged by that field of its items (patchMergeKey)
    merge      true: this list of scalars is merged as a set (patchStrategy)
    retain     true: a patch may say which keys to keep (patchStrategy retainKeys)
    immutable  true: may not change once set
    unless     (with `required`) not where this context flag is set

The order of the fields is the order in which the API server reports violations. A `Kind` field list ends what is
modelled: every other field is refused.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Field", "Struct", "struct"]

_FOLDER = Path(__file__).parent / "schemas"
_SCALARS = frozenset(
    {"string", "bool", "int32", "int64", "quantity", "intOrString", "time", "microTime", "bytes", "any"}
)


@dataclass(frozen=True)
class Field:
    """One field of a struct. `shape` is scalar, struct, list or map; `type` names the scalar or the struct in it."""

    name: str
    shape: str
    type: str
    default: Any = None
    required: bool = False
    enum: tuple[str, ...] = ()
    only: tuple[Any, ...] | None = None
    format: str = ""
    key: str = ""
    merge: bool = False
    retain: bool = False
    immutable: bool = False
    unless: str = ""

    @property
    def struct(self) -> Struct | None:
        """The struct of the value, or of the items of the list or map; None for scalars."""
        return None if self.type in _SCALARS else struct(self.type)


@dataclass(frozen=True)
class Struct:
    """A Go struct: its fields in the order of validation."""

    name: str
    fields: Mapping[str, Field]


def _field(name: str, declared: Any) -> Field:
    options: dict[str, Any] = {"type": declared} if isinstance(declared, str) else dict(declared)
    kind: str = options.pop("type")
    shape = "scalar"
    if kind.startswith("[]"):
        shape, kind = "list", kind[2:]
    elif kind.startswith("map[string]"):
        shape, kind = "map", kind[len("map[string]") :]
    elif kind not in _SCALARS:
        shape = "struct"
    for listed in ("enum", "only"):
        if listed in options:
            options[listed] = tuple(options[listed])
    if options.get("key"):
        options["merge"] = True
    return Field(name=name, shape=shape, type=kind, **options)


@functools.cache
def _file_of_types() -> dict[str, dict[str, Any]]:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    types: dict[str, dict[str, Any]] = {}
    for path in sorted(_FOLDER.glob("*.yaml")):
        types.update(yaml.load(path.read_text(), Loader=loader))  # noqa: S506  (a safe loader)
    return types


@functools.cache
def struct(name: str) -> Struct:
    """A struct by its Go name. Raises KeyError when no schema file has it."""
    declared = _file_of_types()[name]
    return Struct(name, {field: _field(field, options) for field, options in declared.items()})


def find_struct(name: str) -> Struct | None:
    """A struct by its Go name, or None when no schema file has it."""
    return struct(name) if name in _file_of_types() else None
