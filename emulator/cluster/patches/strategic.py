"""Strategic merge patch: a merge patch that knows which lists are sets of named things.

Source: k8s.io/apimachinery pkg/util/strategicpatch/patch.go, and the documentation
"Strategic Merge Patch" of kubernetes/community (contributors/devel/sig-api-machinery).
"""

from __future__ import annotations

from typing import Any

from emulator.cluster.objects import Object, clone
from emulator.cluster.patches.json_patch import PatchError, same
from emulator.cluster.schema import Field, Struct

__all__ = ["apply_strategic_patch"]

_DIRECTIVE, _RETAIN = "$patch", "$retainKeys"
_DELETE_FROM, _ORDER = "$deleteFromPrimitiveList/", "$setElementOrder/"


def apply_strategic_patch(document: Object, patch: Any, struct: Struct | None) -> Object:
    """The document with the patch merged in; `struct` says how its lists merge. Raises PatchError."""
    if not isinstance(patch, dict):
        raise PatchError("a strategic merge patch is an object", malformed=True)
    return _merge_map(clone(document), clone(patch), struct)


def _merge_map(original: Object, patch: Object, struct: Struct | None) -> Object:
    if _DIRECTIVE in patch:
        directive = patch.pop(_DIRECTIVE)
        if directive == "replace":
            return patch
        if directive == "delete":
            return {}
        if directive != "merge":
            raise PatchError(f"unknown patch type found: {directive}")
    _retain_keys(original, patch)
    _apply_orders(original, patch, struct)
    for key, value in patch.items():
        if key.startswith(_DELETE_FROM):
            _delete_from_list(original, key[len(_DELETE_FROM) :], value)
        elif value is None:
            original.pop(key, None)
        elif key not in original:
            original[key] = _without_directives(value)
        else:
            original[key] = _merge_value(original[key], value, _field(struct, key))
    return original


def _field(struct: Struct | None, key: str) -> Field | None:
    return struct.fields.get(key) if struct else None


def _merge_value(original: Any, value: Any, field: Field | None) -> Any:
    if isinstance(original, dict) and isinstance(value, dict):
        # The values of a map have no struct of their own keys: only a struct field leads to one.
        inner = field.struct if field and field.shape == "struct" else None
        return _merge_map(original, value, inner)
    if isinstance(original, list) and isinstance(value, list) and field is not None and field.merge:
        return _merge_list(original, value, field)
    return _without_directives(value)


def _retain_keys(original: Object, patch: Object) -> None:
    if _RETAIN not in patch:
        return
    kept = patch.pop(_RETAIN)
    if not isinstance(kept, list):
        raise PatchError("invalid patch format of retainKeys", malformed=True)
    strays = [key for key in patch if key not in kept and patch[key] is not None and not key.startswith("$")]
    if strays:
        raise PatchError("patch doesn't match original when fields are not in retainKeys list", malformed=True)
    for key in [key for key in original if key not in kept]:
        del original[key]


def _delete_from_list(original: Object, key: str, values: Any) -> None:
    if not isinstance(values, list):
        raise PatchError("invalid patch format of primitive list", malformed=True)
    if isinstance(original.get(key), list):
        original[key] = [item for item in original[key] if item not in values]


def _apply_orders(original: Object, patch: Object, struct: Struct | None) -> None:
    """Merge the lists whose order the patch gives ($setElementOrder), then arrange them by it."""
    for directive in [key for key in patch if key.startswith(_ORDER)]:
        key = directive[len(_ORDER) :]
        order, field = patch.pop(directive), _field(struct, key)
        if not isinstance(order, list):
            raise PatchError("invalid patch format of setElementOrder list", malformed=True)
        before, given = original.get(key), patch.pop(key, None)
        # The scalars to delete are told apart from the list itself, but must go first for the order to hold.
        deleted = _DELETE_FROM + key
        if deleted in patch:
            _delete_from_list(original, key, patch.pop(deleted))
            before = original.get(key)
        if given is None and before is None:
            continue
        if field is None or not field.merge:
            raise PatchError(f"invalid setElementOrder: {key} is not a list that merges", malformed=True)
        if before is None:
            merged = _without_directives(given)
        elif given is None:
            merged = before
        else:
            merged = _merge_list(before, given, field)
        original[key] = _arrange(merged, order, before or [], field.key)


def _merge_list(original: list[Any], patch: list[Any], field: Field) -> list[Any]:
    if not field.key:
        merged = [*original, *(item for item in patch if item not in original)]
        return _arrange(list(dict.fromkeys(merged)), patch, original, "")
    for item in patch:
        if not isinstance(item, dict):
            raise PatchError(f"cannot merge lists without merge key for {field.name}")
    if any(item.get(_DIRECTIVE) == "replace" for item in patch):
        return [_without_directives(item) for item in patch if _DIRECTIVE not in item]
    merged = list(original)
    added = []
    for item in patch:
        directive = item.pop(_DIRECTIVE, "merge")
        value = _key_of(item, field.key)
        at = _position(merged, value, field.key)
        if directive == "delete":
            merged = [each for each in merged if not same(each.get(field.key), value)]
        elif directive != "merge":
            raise PatchError(f"unknown patch type found: {directive}")
        elif at is None:
            merged.append(_without_directives(item))
            added.append(item)
        else:
            merged[at] = _merge_map(clone(merged[at]), item, field.struct)
            added.append(item)
    return _arrange(merged, added, original, field.key)


def _key_of(item: Object, key: str) -> Any:
    if key not in item:
        raise PatchError(f"map: {item} does not contain declared merge key: {key}")
    return item[key]


def _position(items: list[Any], value: Any, key: str) -> int | None:
    for at, item in enumerate(items):
        found = item.get(key) if key and isinstance(item, dict) else item
        if same(found, value):
            return at
    return None


def _arrange(merged: list[Any], wanted: list[Any], live: list[Any], key: str) -> list[Any]:
    """Items named in `wanted` in that order, the others in their live order, interleaved by the live order."""

    def value(item: Any) -> Any:
        return item.get(key) if key and isinstance(item, dict) else item

    order = [value(item) for item in wanted]
    named: list[tuple[int, Any]] = []
    others = []
    for item in merged:
        at = _position(order, value(item), "")
        if at is None:
            others.append(item)
        else:
            named.append((at, item))
    right = [item for _, item in sorted(named, key=lambda pair: pair[0])]
    left = sorted(others, key=lambda item: _position(live, value(item), key) or 0)
    arranged = []
    while left and right:
        mine, theirs = _position(live, value(left[0]), key), _position(live, value(right[0]), key)
        first = mine is not None and theirs is not None and mine < theirs
        arranged.append(left.pop(0) if first else right.pop(0))
    return [*arranged, *left, *right]


def _without_directives(value: Any) -> Any:
    """A patch value that meets nothing to merge with: its directives and nulls mean nothing there."""
    if isinstance(value, dict):
        if value.get(_DIRECTIVE) == "delete":
            return {}
        return {
            key: _without_directives(item)
            for key, item in value.items()
            if item is not None and key not in (_DIRECTIVE, _RETAIN) and not key.startswith((_ORDER, _DELETE_FROM))
        }
    if isinstance(value, list):
        return [
            _without_directives(item)
            for item in value
            if not (isinstance(item, dict) and item.get(_DIRECTIVE) in ("delete", "replace"))
        ]
    return value
