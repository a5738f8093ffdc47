"""Strategic merge patch: a merge patch that knows which lists are sets of named things.

Source: k8s.io/apimachinery pkg/util/strategicpatch/patch.go, and the documentation
"Strategic Merge Patch" of kubernetes/community (contributors/devel/sig-api-machinery).
"""

from __future__ import annotations

from typing import Any

from emulator.cluster.errors import quote
from emulator.cluster.objects import Object, clone
from emulator.cluster.patches.json_patch import PatchError, same
from emulator.cluster.schema import Field, Struct

__all__ = ["apply_strategic_patch"]

_DIRECTIVE, _RETAIN = "$patch", "$retainKeys"
_DELETE_FROM, _ORDER = "$deleteFromPrimitiveList/", "$setElementOrder/"
_DROPPED = object()


def apply_strategic_patch(document: Object, patch: Any, struct: Struct | None) -> Object:
    """The document with the patch merged in; `struct` says how its lists merge. Raises PatchError."""
    if not isinstance(patch, dict):
        raise PatchError("invalid JSON document", 400)
    return _merge_map(clone(document), clone(patch), struct)


def _merge_map(original: Object, patch: Object, struct: Struct | None) -> Object:
    if _DIRECTIVE in patch:
        directive = patch.pop(_DIRECTIVE)
        if directive == "replace":
            replaced: Object = _without_directives(patch)
            return replaced
        if directive == "delete":
            return {}
        raise PatchError(f"unknown patch type: {directive} in map: {patch}", 500)
    _retain_keys(original, patch)
    _apply_orders(original, patch, struct)
    for key, value in patch.items():
        if key.startswith(_DELETE_FROM):
            continue
        if value is None:
            original.pop(key, None)
            continue
        merged = _merge_value(original.get(key), value, struct.fields.get(key) if struct else None)
        if merged is _DROPPED:
            original.pop(key, None)
        else:
            original[key] = merged
    for key, value in patch.items():
        if key.startswith(_DELETE_FROM):
            _delete_from_list(original, key[len(_DELETE_FROM) :], value)
    return original


def _merge_value(original: Any, value: Any, field: Field | None) -> Any:
    if isinstance(original, dict) and isinstance(value, dict):
        # The values of a map have no struct of their own keys: only a struct field leads to one.
        return _merge_map(original, value, field.struct if field and field.shape == "struct" else None)
    if isinstance(original, list) and isinstance(value, list) and field is not None and field.merge:
        return _merge_list(original, value, field)
    return _without_directives(value)


def _retain_keys(original: Object, patch: Object) -> None:
    if _RETAIN not in patch:
        return
    kept = patch.pop(_RETAIN)
    given = {key for key, value in patch.items() if value is not None and not key.startswith((_DELETE_FROM, _ORDER))}
    if not isinstance(kept, list) or not given <= set(kept):
        raise PatchError("invalid patch format of retainKeys", 400)
    for key in [key for key in original if key not in kept]:
        del original[key]


def _delete_from_list(original: Object, key: str, values: Any) -> None:
    if not isinstance(values, list):
        raise PatchError("invalid patch format of primitive list", 400)
    if isinstance(original.get(key), list):
        original[key] = [item for item in original[key] if item not in values]


def _apply_orders(original: Object, patch: Object, struct: Struct | None) -> None:
    """Merge the lists whose order the patch gives ($setElementOrder), then arrange them by it."""
    for directive in [key for key in patch if key.startswith(_ORDER)]:
        key = directive[len(_ORDER) :]
        order, field = patch.pop(directive), struct.fields.get(key) if struct else None
        before, given = original.get(key), patch.pop(key, None)
        if not all(isinstance(part, list) for part in (order, before or [], given or [])):
            raise PatchError("invalid patch format of setElementOrder list", 400)
        if field is None or not field.merge:
            owner = struct.name if struct else ""
            raise PatchError(f"unable to find api field in struct {owner} for the json field {quote(key)}", 500)
        _check_order(given or [], order, field.key)
        if given is None and before is None:
            continue
        if not given and not before:
            raise PatchError("no elements in any of the given slices", 500)
        if before is None:
            merged = _without_directives(given)
        elif given is None:
            merged = before
        else:
            merged = _merge_list(before, given, field)
        original[key] = _arrange(merged, order, before or [], field.key)


def _check_order(given: list[Any], order: list[Any], key: str) -> None:
    """What a patch gives must come in the order it demands."""
    if not given or not order:
        return
    left = iter(order)
    for item in given:
        if isinstance(item, dict) and _DIRECTIVE in item:
            continue
        if not any(same(_identity(item, key), _identity(other, key)) for other in left):
            raise PatchError(
                f"The order in patch list:\n{given}\n doesn't match $setElementOrder list:\n{order}\n", 500
            )


def _merge_list(original: list[Any], patch: list[Any], field: Field) -> list[Any]:
    if not field.key:
        merged = list(dict.fromkeys([*original, *patch]))
        return _arrange(merged, patch, original, "")
    for item in patch:
        if not isinstance(item, dict):
            raise PatchError(f"cannot merge lists without merge key for {field.name}", 500)
    given = []
    for item in patch:
        directive = item.get(_DIRECTIVE)
        if directive is None:
            given.append(item)
        elif directive == "delete":
            gone = _identity(item, field.key)
            original = [each for each in original if not same(each.get(field.key), gone)]
        elif directive != "replace":
            raise PatchError(f"unknown patch type: {directive} in map: {item}", 500)
    if any(item.get(_DIRECTIVE) == "replace" for item in patch):
        return [_without_directives(item) for item in given]
    merged = list(original)
    for item in given:
        at = _position(merged, _identity(item, field.key), field.key)
        if at is None:
            merged.append(_without_directives(item))
        else:
            merged[at] = _merge_map(clone(merged[at]), item, field.struct)
    return _arrange(merged, given, original, field.key)


def _identity(item: Any, key: str) -> Any:
    """What tells a list's item from the others: its merge key's value, or itself."""
    if not key:
        return item
    if not isinstance(item, dict) or key not in item:
        raise PatchError(f"map: {item} does not contain declared merge key: {key}", 500)
    return item[key]


def _position(items: list[Any], value: Any, key: str) -> int | None:
    for at, item in enumerate(items):
        if same(_identity(item, key), value):
            return at
    return None


def _arrange(merged: list[Any], wanted: list[Any], live: list[Any], key: str) -> list[Any]:
    """Items named in `wanted` in that order, the others in their live order, interleaved by the live order."""
    named: list[tuple[int, Any]] = []
    others = []
    for item in merged:
        at = _position(wanted, _identity(item, key), key)
        if at is None:
            others.append(item)
        else:
            named.append((at, item))
    right = [item for _, item in sorted(named, key=lambda pair: pair[0])]
    left = sorted(others, key=lambda item: _position(live, _identity(item, key), key) or 0)
    arranged = []
    while left and right:
        mine = _position(live, _identity(left[0], key), key)
        theirs = _position(live, _identity(right[0], key), key)
        first = mine is not None and theirs is not None and mine < theirs
        arranged.append(left.pop(0) if first else right.pop(0))
    return [*arranged, *left, *right]


def _without_directives(value: Any) -> Any:
    """A patch value that meets nothing to merge with: directives and nulls in it mean nothing, what has one goes."""
    if isinstance(value, dict):
        if _DIRECTIVE in value:
            return _DROPPED
        items = {key: _without_directives(item) for key, item in value.items() if item is not None}
        return {
            key: item
            for key, item in items.items()
            if item is not _DROPPED and key != _RETAIN and not key.startswith((_ORDER, _DELETE_FROM))
        }
    if isinstance(value, list):
        items_left = (_without_directives(item) for item in value)
        return [item for item in items_left if item is not _DROPPED]
    return value
