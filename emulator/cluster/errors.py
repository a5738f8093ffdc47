"""The API server's errors: a metav1.Status each, with the server's own texts.

Source: k8s.io/apimachinery pkg/api/errors/errors.go and pkg/util/validation/field/errors.go.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from emulator.cluster.objects import Object
from emulator.cluster.resources import ResourceType

__all__ = [
    "ApiError",
    "FieldError",
    "already_exists",
    "bad_request",
    "conflict",
    "duplicate",
    "failure",
    "forbidden",
    "forbidden_field",
    "gone",
    "internal_error",
    "invalid",
    "invalid_options",
    "invalid_value",
    "method_not_allowed",
    "not_acceptable",
    "not_found",
    "not_found_value",
    "not_supported",
    "quote",
    "required",
    "service_unavailable",
    "too_long",
    "unauthorized",
    "unknown_path",
    "unsupported_media_type",
]

MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"
UNMODELLED = "the emulator does not model this field"


class ApiError(Exception):
    """A request the API server refuses: `status` is the metav1.Status it answers with, `code` its HTTP code."""

    def __init__(self, status: Object, code: int) -> None:
        super().__init__(status.get("message", ""))
        self.status = status
        self.code = code

    @property
    def reason(self) -> str:
        """The machine-readable reason, such as NotFound."""
        return str(self.status.get("reason", ""))


def failure(code: int, reason: str, message: str, details: Object | None = None) -> ApiError:
    """An error of any kind, for what has no constructor of its own."""
    status: Object = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
    }
    if reason:
        status["reason"] = reason
    if details is not None:
        status["details"] = {key: value for key, value in details.items() if value not in ("", None, [])}
    status["code"] = code
    return ApiError(status, code)


def _details(resource: ResourceType, name: str = "") -> Object:
    return {"name": name, "group": resource.group, "kind": resource.plural}


def quote(text: str) -> str:
    """A string as Go's %q prints it."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\x7f")


def not_found(resource: ResourceType, name: str) -> ApiError:
    """404: no object of that name."""
    message = f"{resource.qualified} {quote(name)} not found"
    return failure(404, "NotFound", message, _details(resource, name))


def unknown_path() -> ApiError:
    """404 of a path that leads to no resource."""
    return failure(404, "NotFound", "the server could not find the requested resource", {})


def already_exists(resource: ResourceType, name: str) -> ApiError:
    """409: an object of that name is there."""
    message = f"{resource.qualified} {quote(name)} already exists"
    return failure(409, "AlreadyExists", message, _details(resource, name))


def conflict(resource: ResourceType, name: str, detail: str = MODIFIED) -> ApiError:
    """409: the object is not what the caller last saw."""
    message = f"Operation cannot be fulfilled on {resource.qualified} {quote(name)}: {detail}"
    return failure(409, "Conflict", message, _details(resource, name))


def forbidden(resource: ResourceType, name: str, detail: str, causes: Sequence[Object] = ()) -> ApiError:
    """403 by authorization or admission."""
    subject = f"{resource.qualified} {quote(name)}" if name else resource.qualified
    details = _details(resource, name) | {"causes": list(causes)}
    return failure(403, "Forbidden", f"{subject} is forbidden: {detail}", details)


def unauthorized() -> ApiError:
    """401: a credential was sent and is not known."""
    return failure(401, "Unauthorized", "Unauthorized")


def bad_request(message: str) -> ApiError:
    """400: the request cannot be understood."""
    return failure(400, "BadRequest", message)


def gone(message: str) -> ApiError:
    """410: the resourceVersion asked for is too old (reason Expired)."""
    return failure(410, "Expired", message)


def method_not_allowed(resource: ResourceType | None = None, action: str = "") -> ApiError:
    """405: the resource does not have this verb."""
    if resource is None:
        return failure(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {})
    message = f"{action} is not supported on resources of kind {quote(resource.qualified)}"
    return failure(405, "MethodNotAllowed", message, {"group": resource.group, "kind": resource.plural})


def not_acceptable(accepted: Sequence[str]) -> ApiError:
    """406: no representation the client accepts."""
    message = "only the following media types are accepted: " + ", ".join(accepted)
    return failure(406, "NotAcceptable", message)


def unsupported_media_type(accepted: Sequence[str]) -> ApiError:
    """415: a body, or a patch, in a format that is not understood."""
    message = "the body of the request was in an unknown format - accepted media types include: "
    return failure(415, "UnsupportedMediaType", message + ", ".join(accepted))


def service_unavailable(message: str) -> ApiError:
    """503: what the request needs is not there now."""
    return failure(503, "ServiceUnavailable", message)


def internal_error(message: str) -> ApiError:
    """500."""
    details = {"causes": [{"message": message}]}
    return failure(500, "InternalError", f"Internal error occurred: {message}", details)


@dataclass(frozen=True)
class FieldError:
    """One violation: `type` is the cause type (FieldValueInvalid …), `body` the text without the field's name."""

    type: str
    field: str
    body: str

    def __str__(self) -> str:
        return f"{self.field}: {self.body}"


def _show(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str):
        return quote(value)
    if value is None:
        return "null"
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=False)


def _with_detail(body: str, detail: str) -> str:
    return f"{body}: {detail}" if detail else body


def required(field: str, detail: str = "") -> FieldError:
    """A value that must be there is not."""
    return FieldError("FieldValueRequired", field, _with_detail("Required value", detail))


def invalid_value(field: str, value: Any, detail: str) -> FieldError:
    """A malformed value."""
    return FieldError("FieldValueInvalid", field, _with_detail(f"Invalid value: {_show(value)}", detail))


def not_supported(field: str, value: Any, supported: Iterable[str]) -> FieldError:
    """A value outside an enumeration; `supported` in the order to print."""
    detail = "supported values: " + ", ".join(quote(item) for item in supported)
    return FieldError("FieldValueNotSupported", field, _with_detail(f"Unsupported value: {_show(value)}", detail))


def forbidden_field(field: str, detail: str = UNMODELLED) -> FieldError:
    """A value not permitted here; by default, one the emulator does not model."""
    return FieldError("FieldValueForbidden", field, _with_detail("Forbidden", detail))


def not_found_value(field: str, value: Any) -> FieldError:
    """A reference to something that does not exist."""
    return FieldError("FieldValueNotFound", field, f"Not found: {_show(value)}")


def duplicate(field: str, value: Any) -> FieldError:
    """A value that must be unique is not."""
    return FieldError("FieldValueDuplicate", field, f"Duplicate value: {_show(value)}")


def too_long(field: str, limit: int) -> FieldError:
    """A string above `limit` bytes."""
    return FieldError("FieldValueTooLong", field, f"Too long: may not be more than {limit} bytes")


def invalid(resource: ResourceType, name: str, causes: Sequence[FieldError]) -> ApiError:
    """422 with every violation."""
    texts = list(dict.fromkeys(str(cause) for cause in causes))
    message = f"{resource.qualified_kind} {quote(name)} is invalid"
    if texts:
        message += ": " + (texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]")
    details: Object = {"name": name, "group": resource.group, "kind": resource.kind}
    details["causes"] = [{"reason": c.type, "message": c.body, "field": c.field} for c in causes]
    return failure(422, "Invalid", message, details)


def invalid_options(kind: str, causes: Sequence[FieldError], name: str = "") -> ApiError:
    """422 for options of a call, such as DeleteOptions, rather than for an object."""
    group = "" if kind == "PodLogOptions" else "meta.k8s.io"
    return invalid(ResourceType("", kind, group=group), name, causes)
