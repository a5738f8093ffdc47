"""Errors as a registry reports them: the specification's codes, in the words of Docker Distribution.

Source: OCI distribution specification 1.1, "Error Codes"; messages and statuses from Docker Distribution 3.1
(`registry/api/errcode/register.go`), which ACR's own texts follow.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

__all__ = ["OciError", "RegistryError", "code_of", "message_of", "respond"]

_NO_DETAIL: Any = object()

_CODES: dict[str, tuple[int, str]] = {
    "BLOB_UNKNOWN": (404, "blob unknown to registry"),
    "BLOB_UPLOAD_INVALID": (404, "blob upload invalid"),
    "BLOB_UPLOAD_UNKNOWN": (404, "blob upload unknown to registry"),
    "DENIED": (403, "requested access to the resource is denied"),
    "DIGEST_INVALID": (400, "provided digest did not match uploaded content"),
    "MANIFEST_BLOB_UNKNOWN": (400, "blob unknown to registry"),
    "MANIFEST_INVALID": (400, "manifest invalid"),
    "MANIFEST_UNKNOWN": (404, "manifest unknown"),
    "NAME_INVALID": (400, "invalid repository name"),
    "NAME_UNKNOWN": (404, "repository name not known to registry"),
    "PAGINATION_NUMBER_INVALID": (400, "invalid number of results requested"),
    "RANGE_INVALID": (416, "invalid content range"),
    "SIZE_INVALID": (400, "provided length did not match content length"),
    "TAG_INVALID": (400, "manifest tag did not match URI"),
    "TOOMANYREQUESTS": (429, "too many requests"),
    "UNAUTHORIZED": (401, "authentication required"),
    "UNKNOWN": (500, "unknown error"),
    "UNSUPPORTED": (405, "The operation is unsupported."),
}


# Of the codes that share a status, the one that says the least.
_USUAL = {
    400: "UNKNOWN",
    401: "UNAUTHORIZED",
    403: "DENIED",
    404: "NAME_UNKNOWN",
    405: "UNSUPPORTED",
    413: "SIZE_INVALID",
    416: "RANGE_INVALID",
    429: "TOOMANYREQUESTS",
}


def code_of(status: int) -> str:
    """The error code that usually comes with a status."""
    return _USUAL.get(status, "UNKNOWN")


def message_of(code: str) -> str:
    """The message that comes with an error code; one that the specification does not know says that it is unknown."""
    return _CODES.get(code, _CODES["UNKNOWN"])[1]


class RegistryError(OSError):
    """The registry cannot do what its owner asked (a taken port, an unusable directory); the text says
    why.
    """


class OciError(Exception):
    """A request the registry refuses.

    `code` is one of the specification's; `detail` is any JSON value, null included, or left out;
    `others` are further (code, detail) pairs of the same body. The status is that of `code` unless given.
    """

    def __init__(
        self,
        code: str,
        detail: Any = _NO_DETAIL,
        *,
        message: str | None = None,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        others: tuple[tuple[str, Any], ...] = (),
    ) -> None:
        super().__init__(code, message or _CODES[code][1])
        self.status = _CODES[code][0] if status is None else status
        self.headers = dict(headers or {})
        self.errors = [_entry(code, detail, message), *(_entry(c, d, None) for c, d in others)]


def _entry(code: str, detail: Any, message: str | None) -> dict[str, Any]:
    entry = {"code": code, "message": message or _CODES[code][1]}
    return entry if detail is _NO_DETAIL else {**entry, "detail": detail}


def respond(error: OciError) -> web.Response:
    """The HTTP answer that carries `error`: `{"errors": [{"code", "message", "detail"}]}`."""
    body = json.dumps({"errors": error.errors}, separators=(",", ":"), ensure_ascii=False) + "\n"
    return web.Response(status=error.status, headers=error.headers, body=body.encode(), content_type="application/json")
