"""The difference of two pod specifications as the API server shows it when it refuses an update.

It prints both as the JSON of its internal structs, in which nothing is left out, and gives a unified diff with three
lines of context. Source: k8s.io/apimachinery pkg/util/diff/diff.go v0.36.3.
"""

from __future__ import annotations

import difflib
import functools
import json
import re
from pathlib import Path
from typing import Any

from emulator.cluster.objects import Object

__all__ = ["spec_diff"]

_STRUCTS = Path(__file__).parent.parent / "schemas" / "internal" / "podspec.yaml"
_ZEROS: dict[str, Any] = {"string": "", "int": 0, "bool": False, "null": None}
_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def spec_diff(before: Object, after: Object) -> str:
    """A unified diff without file names."""
    old, new = (_printed(spec).splitlines(keepends=True) for spec in (before, after))
    return "".join(list(difflib.unified_diff(old, new))[2:])


def _printed(spec: Object) -> str:
    shown = json.dumps(_internal("PodSpec", _gathered(spec)), indent=1, ensure_ascii=False)
    return re.sub("[<>&\u2028\u2029]", lambda found: _ESCAPES[found[0]], shown) + "\n"


def _gathered(spec: Object) -> Object:
    """The specification with what its internal form keeps in the security context moved there."""
    context = dict(spec.get("securityContext") or {})
    context |= {name: spec[name] for name in ("shareProcessNamespace", "hostUsers") if name in spec}
    return spec | {"securityContext": context}


@functools.cache
def _structs() -> dict[str, list[tuple[str, str, str]]]:
    """By name: Go name, wire name and kind of each field."""
    import yaml

    declared = yaml.safe_load(_STRUCTS.read_text())
    return {
        name: [(go, _wire_name(go), kind) for go, _, kind in (field.partition(" ") for field in fields)]
        for name, fields in declared.items()
    }


def _wire_name(name: str) -> str:
    """DNSPolicy is dnsPolicy on the wire, TTY is tty."""
    return re.sub(r"^[A-Z]+(?=[A-Z][a-z]|$)|^[A-Z]", lambda found: found[0].lower(), name)


def _internal(name: str, value: Object) -> Object:
    return {go: _field(kind, value.get(wire)) for go, wire, kind in _structs()[name]}


def _field(kind: str, value: Any) -> Any:
    if kind.startswith("[]"):
        return [_internal(kind[2:], item) for item in value] if value else None
    if kind.startswith("*"):
        return None if value is None else _internal(kind[1:], value)
    if kind not in _ZEROS:
        return _internal(kind, value or {})
    if value is None:
        return _ZEROS[kind]
    return dict(sorted(value.items())) if isinstance(value, dict) else value
