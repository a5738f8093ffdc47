"""Who may use a listener.

Each listener has one `Authenticator`; it sees every request before anything else looks at it.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import Any, Protocol

from aiohttp import web

from emulator.registry.errors import OciError
from emulator.registry.routes import Target, locate

__all__ = ["Anyone", "Authenticator", "Basic"]

_ACTIONS = {
    "GET": ("pull",),
    "HEAD": ("pull",),
    "POST": ("pull", "push"),
    "PUT": ("pull", "push"),
    "PATCH": ("pull", "push"),
    "DELETE": ("delete",),
}


class Authenticator(Protocol):
    """Decides about a request."""

    async def authenticate(self, request: web.Request) -> str:
        """The user's name, empty for an anonymous one; or raise `OciError` (UNAUTHORIZED with its
        challenge, DENIED).
        """


class Anyone:
    """Lets everybody do everything."""

    async def authenticate(self, request: web.Request) -> str:
        """Nobody in particular."""
        return ""


class Basic:
    """HTTP basic authentication (RFC 7617) with one user, answering as Docker Distribution's htpasswd
    does.
    """

    def __init__(self, user: str, password: str, realm: str = "basic-realm") -> None:
        self._user = user
        self._expected = f"{user}:{password}".encode()
        self._challenge = {"WWW-Authenticate": f'Basic realm="{realm}"'}

    async def authenticate(self, request: web.Request) -> str:
        """The user, or UNAUTHORIZED: no credentials and wrong ones are told apart by nothing, not even by
        time.
        """
        scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
        try:
            given = base64.b64decode(encoded.strip(), validate=True)
        except (binascii.Error, ValueError):
            given = b""
        right = hmac.compare_digest(given, self._expected)
        if not right or scheme.lower() != "basic":
            raise OciError("UNAUTHORIZED", _access(request), headers=self._challenge)
        return self._user


def _access(request: web.Request) -> list[dict[str, Any]] | None:
    """What the request would need, as Docker Distribution lists it in the detail of a 401."""
    match locate(request.path):
        case Target(kind="catalog"):
            return [_record("registry", "catalog", "*")]
        case Target(repository=str(name)) if name:
            records = [_record("repository", name, action) for action in _ACTIONS.get(request.method, ())]
            if source := request.query.get("from"):
                records.append(_record("repository", source, "pull"))
            return records
    return None


def _record(kind: str, name: str, action: str) -> dict[str, Any]:
    return {"Type": kind, "Class": "", "Name": name, "Action": action}
