"""Kinds as data: what fields an object has, their types, defaults and constraints, read from `schemas/*.yaml`.

A schema file holds Go structs by name. A field is `name: TYPE` or `name: {type: TYPE, …}` with

    type       string, bool, int32, int64, quantity, intOrString, time, microTime, bytes, a struct's name, []TYPE or
               map[string]TYPE; a star before a scalar means that its zero value differs from its absence
    default    the value when the field is absent
    required   true, or the message's detail: must be there and not empty
    unless     a flag of the validation under which it is not required after all
    enum       the values Kubernetes allows, in the order its message lists them
    only       the values the emulator models; any other is refused by name
    format     a check of `validation/checks.py`
    always     true: the format is checked for the zero value too
    key        this list merges by that field of its items (patchMergeKey)
    merge      true: this list of scalars merges as a set (patchStrategy merge)
    immutable  true: may not change
    keep       true: the zero value is written out (Go: no omitempty)
    embedded   the Go struct the field comes from by embedding, which messages about its type name

`unmodelled` lists the fields of Kubernetes that are refused by name unless they are empty; any further field is
refused too. The order of the fields is the order in which the API server reports violations.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Field", "Struct", "struct"]

_FOLDER = Path(__file__).parent / "schemas"
_SCALARS = frozenset({"string", "bool", "int32", "int64", "quantity", "intOrString", "time", "microTime", "bytes"})


@dataclass(frozen=True)
class Field:
    """One field of a struct. `shape` is scalar, struct, list or map; `type` names the scalar or struct in it."""

    name: str
    shape: str
    type: str
    pointer: bool = False
    default: Any = None
    required: bool | str = False
    unless: str = ""
    enum: tuple[str, ...] = ()
    only: tuple[Any, ...] | None = None
    format: str = ""
    always: bool = False
    key: str = ""
    merge: bool = False
    immutable: bool = False
    keep: bool = False
    embedded: str = ""

    @functools.cached_property
    def struct(self) -> Struct | None:
        """The struct of the value, or of the items of the list or map; None for scalars."""
        return None if self.type in _SCALARS else struct(self.type)

    @property
    def item_type(self) -> str:
        """The Go type of the value, or of an item of the list or map, as encoding/json names it in a message."""
        names = {"intOrString": "int32", "time": "string", "microTime": "string", "bytes": "[]uint8"}
        return names.get(self.type, self.type if self.type in _SCALARS else f"v1.{self.type}")

    @property
    def go_type(self) -> str:
        """The Go type of the whole value."""
        if self.shape == "map" and self.type == "quantity":
            return "v1.ResourceList"
        return {"list": "[]", "map": "map[string]"}.get(self.shape, "") + self.item_type


@dataclass(frozen=True)
class Struct:
    """A Go struct: its fields in the order of validation, and the names of those that are not modelled."""

    name: str
    fields: Mapping[str, Field]
    unmodelled: frozenset[str]


def _field(name: str, declared: Any) -> Field:
    options: dict[str, Any] = {"type": declared} if isinstance(declared, str) else dict(declared)
    kind: str = options.pop("type")
    options["pointer"] = kind.startswith("*")
    kind = kind.removeprefix("*")
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
def _declared() -> dict[str, dict[str, Any]]:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    types: dict[str, dict[str, Any]] = {}
    for path in sorted(_FOLDER.glob("*.yaml")):
        types.update(yaml.load(path.read_text(), Loader=loader))  # noqa: S506  (both loaders are safe)
    return types


@functools.cache
def struct(name: str) -> Struct:
    """A struct by its Go name. Raises KeyError when no schema file has it."""
    declared = dict(_declared()[name])
    unmodelled = frozenset(declared.pop("unmodelled", ()))
    return Struct(name, {field: _field(field, options) for field, options in declared.items()}, unmodelled)
