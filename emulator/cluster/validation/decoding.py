"""From what a client sent to an object of its kind: types checked, empties dropped, strangers refused.

Source: the JSON decoding of k8s.io/apimachinery (sigs.k8s.io/json) and its messages.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any

from emulator.cluster.errors import FieldError, bad_request, forbidden_field, invalid
from emulator.cluster.objects import Object
from emulator.cluster.resources import ResourceType
from emulator.cluster.schema import Field, Struct, struct
from emulator.cluster.validation import quantity

__all__ = ["decode"]

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)
_BITS = {"int32": 31, "int64": 63}
_ZEROS: dict[str, Any] = {"string": "", "bool": False, "int32": 0, "int64": 0}


class _DecodeError(Exception):
    """A value of a type that its field cannot hold."""


def decode(kind: ResourceType, obj: Object) -> None:
    """Bring an object (in place) into its kind's form.

    Raises ApiError: 400 for a value of the wrong type, 422 for fields the emulator does not model.
    """
    strangers: list[FieldError] = []
    header = {"apiVersion": obj.pop("apiVersion", None), "kind": obj.pop("kind", None)}
    try:
        decoded = _struct(struct(kind.kind), obj, "", "", strangers)
    except _DecodeError as error:
        raise bad_request(
            f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: {error}'
        ) from None
    if strangers:
        raise invalid(kind, str((obj.get("metadata") or {}).get("name", "")), strangers)
    obj.clear()
    obj.update(header | decoded)


def _struct(shape: Struct, value: Object, path: str, names: str, strangers: list[FieldError]) -> Object:
    """`path` is where the value is with its indexes, `names` the same without, as messages of either kind want it."""
    decoded: Object = {}
    for key, item in value.items():
        if item is None:
            continue
        field = shape.fields.get(key)
        here = f"{path}.{key}" if path else key
        if field is None:
            if item or key not in shape.unmodelled:
                strangers.append(forbidden_field(here))
            continue
        where = ".".join(filter(None, (names, field.embedded, key)))
        taken = _value(shape, field, item, here, where, strangers)
        if _kept(field, taken):
            decoded[key] = taken
    for name, field in shape.fields.items():
        if field.keep and name not in decoded:
            zero = _zero(field)
            if zero is not None:
                decoded[name] = zero
    return decoded


def _kept(field: Field, value: Any) -> bool:
    if field.keep or field.pointer or field.shape == "struct":
        return True
    if field.type == "intOrString":
        return bool(value != "")
    return bool(value) or (field.type == "quantity" and field.shape == "scalar")


def _zero(field: Field) -> Any:
    if field.shape == "list":
        return []
    if field.shape == "map" or field.pointer:
        return None
    if field.shape == "struct":
        return _struct(field.struct, {}, "", "", []) if field.struct else {}
    return 0 if field.type == "intOrString" else _ZEROS.get(field.type)


def _value(owner: Struct, field: Field, value: Any, path: str, names: str, strangers: list[FieldError]) -> Any:
    if field.shape == "list":
        if not isinstance(value, list):
            raise _mismatch(owner, value, names, field.go_type)
        return [_item(owner, field, item, f"{path}[{index}]", names, strangers) for index, item in enumerate(value)]
    if field.shape == "map":
        if not isinstance(value, dict):
            raise _mismatch(owner, value, names, field.go_type)
        return {
            key: _item(owner, field, "" if item is None else item, f"{path}[{key}]", names, strangers)
            for key, item in value.items()
        }
    return _item(owner, field, value, path, names, strangers)


def _item(owner: Struct, field: Field, value: Any, path: str, names: str, strangers: list[FieldError]) -> Any:
    if field.struct is not None:
        if value is None:
            value = {}
        if not isinstance(value, dict):
            raise _mismatch(owner, value, names, field.item_type)
        return _struct(field.struct, value, path, names, strangers)
    return _scalar(owner, field, value, names)


def _scalar(owner: Struct, field: Field, value: Any, names: str) -> Any:
    match field.type:
        case "bool":
            fits = isinstance(value, bool)
        case "int32" | "int64":
            fits = isinstance(value, int) and not isinstance(value, bool)
            if fits and not -(2 ** _BITS[field.type]) <= value < 2 ** _BITS[field.type]:
                raise _DecodeError(
                    f"json: cannot unmarshal number {value} into Go struct field {owner.name}.{names} "
                    f"of type {field.type}"
                )
        case "intOrString":
            fits = isinstance(value, int | str) and not isinstance(value, bool)
        case "quantity":
            try:
                return quantity.canonical(value if isinstance(value, str) else json.dumps(value))
            except quantity.QuantityError as error:
                raise _DecodeError(str(error)) from None
        case _:
            fits = isinstance(value, str)
    if not fits:
        raise _mismatch(owner, value, names, field.item_type)
    if field.type in ("time", "microTime") and not _TIME.fullmatch(value):
        layout = "2006-01-02T15:04:05Z07:00" if field.type == "time" else "2006-01-02T15:04:05.000000Z07:00"
        shown = json.dumps(value)
        year = "" if re.match(r"\d{4}", value) else ' as "2006"'
        raise _DecodeError(f'parsing time {shown} as "{layout}": cannot parse {shown}{year}')
    if field.type == "bytes":
        _check_base64(value)
    return value


def _check_base64(value: str) -> None:
    try:
        base64.b64decode(value.replace("\n", "").replace("\r", ""), validate=True)
    except (binascii.Error, ValueError):
        found = re.search(r"[^A-Za-z0-9+/]", value)
        at = found.start() if found else len(value) // 4 * 4
        raise _DecodeError(f"illegal base64 data at input byte {at}") from None


def _mismatch(owner: Struct, value: Any, names: str, go_type: str) -> _DecodeError:
    kinds = {bool: "bool", int: "number", float: "number", str: "string", list: "array", dict: "object"}
    kind = kinds[type(value)]
    if isinstance(value, float) and go_type.startswith("int"):
        kind = f"number {value}"
    return _DecodeError(f"json: cannot unmarshal {kind} into Go struct field {owner.name}.{names} of type {go_type}")
