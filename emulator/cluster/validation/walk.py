"""Validation by schema: required values, enumerations, formats, immutability; kinds add rules of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from emulator.cluster.errors import (
    FieldError,
    forbidden_field,
    invalid_value,
    not_supported,
    quote,
    required,
)
from emulator.cluster.objects import Object
from emulator.cluster.schema import Field, Struct
from emulator.cluster.validation.checks import FORMATS, label_value, qualified_name

__all__ = ["At", "Scope", "instead", "rule", "walk", "walk_immutable", "wrong_labels"]


@dataclass
class Scope:
    """What rules share while one object is validated."""

    flags: frozenset[str] = frozenset()
    volumes: set[str] = field(default_factory=set)
    """Names of the pod's volumes that are themselves valid."""
    seen: dict[str, set[Any]] = field(default_factory=dict)
    """Values met so far that must be unique, by where they must be."""
    grace_period: int | None = None

    def repeats(self, where: str, value: Any) -> bool:
        """Whether a value was met before at this place; remembers it."""
        met = self.seen.setdefault(where, set())
        if value in met:
            return True
        met.add(value)
        return False


@dataclass(frozen=True)
class At:
    """Where a rule is asked about a value, and what has been found wrong with it so far."""

    path: str
    scope: Scope
    found: list[FieldError]


Rule = Callable[[Object, At], list[FieldError]]
"""(value, where) → what is wrong besides what its schema found."""
Replacement = Callable[[Object, At, str], "list[FieldError] | None"]
"""(value, where, field) → what to report of a field instead of what its schema finds; None to let that stand."""

_RULES: dict[tuple[str, str], Rule] = {}
_REPLACEMENTS: dict[tuple[str, str], Replacement] = {}


def rule(name: str, after: str = "") -> Callable[[Rule], Rule]:
    """Register a rule of a struct, called when all its fields are validated, or right `after` one of them."""

    def register(function: Rule) -> Rule:
        _RULES[name, after] = function
        return function

    return register


def instead(name: str, *fields: str) -> Callable[[Replacement], Replacement]:
    """Register what may take the place of the schema's validation of some fields of a struct."""

    def register(function: Replacement) -> Replacement:
        _REPLACEMENTS.update(dict.fromkeys(((name, field_name) for field_name in fields), function))
        return function

    return register


def walk(shape: Struct, value: Object, path: str, scope: Scope) -> list[FieldError]:
    """Every violation in a value, in the order of the schema's fields."""
    wrong: list[FieldError] = []
    at = At(path, scope, wrong)
    for name, declared in shape.fields.items():
        replacement = _REPLACEMENTS.get((shape.name, name))
        found = replacement(value, at, name) if replacement else None
        if found is None:
            found = _field(declared, value.get(name), f"{path}.{name}" if path else name, scope)
        wrong += found
        after = _RULES.get((shape.name, name))
        if after is not None:
            wrong += after(value, at)
    last = _RULES.get((shape.name, ""))
    if last is not None:
        wrong += last(value, at)
    return wrong


def _is_zero(declared: Field, value: Any) -> bool:
    return value is None or (not value and not declared.pointer and declared.shape != "struct")


def _field(declared: Field, value: Any, path: str, scope: Scope) -> list[FieldError]:
    if _is_zero(declared, value):
        if declared.required and declared.unless not in scope.flags:
            return [required(path, declared.required if isinstance(declared.required, str) else "")]
        if not declared.always:
            return []
        if value is None:
            value = "" if declared.type == "string" else 0
    if declared.struct is not None:
        return _structs(declared, declared.struct, value, path, scope)
    if declared.format == "labels":
        return wrong_labels(value, path)
    if declared.shape == "list":
        return [w for i, item in enumerate(value) for w in _scalar(declared, item, f"{path}[{i}]")]
    if declared.shape == "map":
        return []
    return _scalar(declared, value, path)


def _structs(declared: Field, shape: Struct, value: Any, path: str, scope: Scope) -> list[FieldError]:
    if declared.shape == "struct":
        return walk(shape, value, path, scope)
    if declared.shape == "map":
        return [w for key, item in value.items() for w in walk(shape, item, f"{path}[{key}]", scope)]
    return [w for i, item in enumerate(value) for w in walk(shape, item, f"{path}[{i}]", scope)]


def _scalar(declared: Field, value: Any, path: str) -> list[FieldError]:
    if declared.enum and value not in declared.enum:
        return [not_supported(path, value, declared.enum)]
    if declared.only is not None and value not in declared.only:
        shown = quote(value) if isinstance(value, str) else str(value).lower()
        return [forbidden_field(path, f"the emulator does not model the value {shown} of this field")]
    if declared.format:
        return [invalid_value(path, value, problem) for problem in FORMATS[declared.format](value)]
    return []


def wrong_labels(labels: Object, path: str) -> list[FieldError]:
    """What is wrong with the keys and values of labels."""
    wrong = []
    for key, value in labels.items():
        wrong += [invalid_value(path, key, problem) for problem in qualified_name(key)]
        wrong += [invalid_value(path, value, problem) for problem in label_value(value)]
    return wrong


def walk_immutable(shape: Struct, value: Object, old: Object, path: str = "") -> list[FieldError]:
    """Changes of fields that may not change."""
    wrong: list[FieldError] = []
    for name, declared in shape.fields.items():
        here = f"{path}.{name}" if path else name
        before, after = old.get(name), value.get(name)
        if declared.immutable and before != after:
            wrong.append(invalid_value(here, after, "field is immutable"))
        elif declared.shape == "struct" and declared.struct and isinstance(before, dict) and isinstance(after, dict):
            wrong += walk_immutable(declared.struct, after, before, here)
    return wrong
