"""JSON Patch (RFC 6902) with the API server's texts (evanphx/json-patch v4, as k8s.io/apiserver uses it)."""

from __future__ import annotations

from typing import Any

from emulator.cluster.objects import clone

__all__ = ["PatchError", "apply_json_patch"]


class PatchError(Exception):
    """A patch that cannot be applied; `code` is how the API server answers it.

    400 when it is no patch at all, 422 when it does not apply, 500 when a strategic merge patch contradicts itself.
    """

    def __init__(self, message: str, code: int = 422) -> None:
        super().__init__(message)
        self.code = code


def apply_json_patch(document: Any, patch: Any) -> Any:
    """The document with every operation applied in turn; the document itself is left alone. Raises PatchError."""
    if not isinstance(patch, list):
        raise PatchError("json: cannot unmarshal object into Go value of type jsonpatch.Patch", 400)
    box = {"": clone(document)}
    for operation in patch:
        if not isinstance(operation, dict):
            raise PatchError("a JSON patch is a list of operations, each an object", 400)
        _apply(box, operation)
    return box[""]


def _apply(box: dict[str, Any], operation: dict[str, Any]) -> None:
    kind, path = operation.get("op"), operation.get("path")
    if not isinstance(path, str):
        raise PatchError(f"{kind} operation: unable to decode path: missing path", 400)
    if kind in ("add", "replace", "test") and "value" not in operation:
        if kind == "test":
            operation = operation | {"value": None}
        else:
            raise PatchError(f"{kind} operation does not have a value: missing value", 400)
    match kind:
        case "add":
            _add(box, path, clone(operation["value"]), "add")
        case "remove":
            _remove(box, path, "remove")
        case "replace":
            _replace(box, path, clone(operation["value"]))
        case "test":
            _test(box, path, operation["value"])
        case "move" | "copy":
            origin = operation.get("from")
            if not isinstance(origin, str):
                raise PatchError(f"{kind} operation: unable to decode from: missing from", 400)
            if kind == "move" and (path + "/").startswith(origin + "/") and path != origin:
                raise PatchError(f"move operation: cannot move {origin} into its own child {path}")
            value = clone(_get(box, origin, kind))
            if kind == "move":
                _remove(box, origin, kind)
            _add(box, path, value, kind)
        case _:
            raise PatchError(f"Unexpected kind: {kind}", 400)


def _steps(path: str) -> list[str]:
    if path and not path.startswith("/"):
        raise PatchError(f"a JSON pointer is empty or begins with a slash, unlike {path!r}", 400)
    return [step.replace("~1", "/").replace("~0", "~") for step in path.split("/")]


def _parent(box: dict[str, Any], path: str, kind: str) -> tuple[Any, str]:
    *steps, last = _steps(path)
    here: Any = box
    for step in steps:
        try:
            here = here[_index(here, step, kind, path)] if isinstance(here, list) else here[step]
        except (KeyError, TypeError, IndexError):
            here = None
        if not isinstance(here, dict | list):
            raise PatchError(f"{kind} operation does not apply: doc is missing path: {path}: missing value")
    return here, last


def _index(items: list[Any], step: str, kind: str, path: str, *, adding: bool = False) -> int:
    limit = len(items) + 1 if adding else len(items)
    if adding and step == "-":
        return len(items)
    if not step.isascii() or not step.isdigit() or (len(step) > 1 and step[0] == "0"):
        raise PatchError(f"{kind} operation does not apply: invalid array index {step!r} in {path}")
    if int(step) >= limit:
        raise PatchError(
            f"{kind} operation does not apply: doc is missing path: {path}: Unable to access invalid index: {step}: "
            "invalid index referenced"
        )
    return int(step)


def _get(box: dict[str, Any], path: str, kind: str) -> Any:
    here, last = _parent(box, path, kind)
    if isinstance(here, list):
        return here[_index(here, last, kind, path)]
    if last not in here:
        raise PatchError(f"{kind} operation does not apply: doc is missing key: {path}: missing value")
    return here[last]


def _add(box: dict[str, Any], path: str, value: Any, kind: str) -> None:
    here, last = _parent(box, path, kind)
    if isinstance(here, list):
        here.insert(_index(here, last, kind, path, adding=True), value)
    else:
        here[last] = value


def _remove(box: dict[str, Any], path: str, kind: str) -> None:
    _get(box, path, kind)
    here, last = _parent(box, path, kind)
    if isinstance(here, list):
        del here[int(last)]
    elif here is box:
        here[last] = None
    else:
        del here[last]


def _replace(box: dict[str, Any], path: str, value: Any) -> None:
    _get(box, path, "replace")
    here, last = _parent(box, path, "replace")
    here[int(last) if isinstance(here, list) else last] = value


def _test(box: dict[str, Any], path: str, value: Any) -> None:
    here, last = _parent(box, path, "test")
    found = here[_index(here, last, "test", path)] if isinstance(here, list) else here.get(last)
    if not same(found, value):
        raise PatchError(f"testing value {path} failed: test failed")


def same(left: Any, right: Any) -> bool:
    """Equality of JSON values, in which true is not 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(value, right[key]) for key, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)
