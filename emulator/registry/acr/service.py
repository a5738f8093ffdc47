"""The token service: `POST /oauth2/exchange`, and `GET` and `POST /oauth2/token`.

An Entra access token becomes a refresh token, and that an access token with scopes. Signing in with a password is for
`GET` with basic authentication: the user is a token's name, or the null GUID with a refresh token for a password.
Clients try `POST` with `grant_type=password` first, which answers 400, as the registry it plays does.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from emulator.faults import ActiveFaults
from emulator.registry.acr.rights import AcrConfig, Identity
from emulator.registry.acr.tokens import Signer, TokenError
from emulator.registry.errors import OciError

__all__ = ["AUDIENCE", "NULL_GUID", "TokenService", "unauthorized"]

NULL_GUID = "00000000-0000-0000-0000-000000000000"
AUDIENCE = "https://containerregistry.azure.net"
_ENTRA_LIFETIME = 24 * 3600.0
_MESSAGE = "authentication required, visit https://aka.ms/acr/authorization for more information."
_ISSUER = "Azure Container Registry"


def unauthorized(detail: Any = None, *, headers: dict[str, str] | None = None, denied: bool = False) -> OciError:
    """A 401 in the registry's words; `denied` of somebody who is known and may not."""
    if denied:
        error = OciError("DENIED", status=401, headers=headers, others=(("UNAUTHORIZED", detail),))
        error.errors[1]["message"] = _MESSAGE
        return error
    return OciError("UNAUTHORIZED", detail, message=_MESSAGE, headers=headers)


class TokenService:
    """Who signs in, and with what."""

    def __init__(self, config: AcrConfig, signer: Signer, faults: ActiveFaults) -> None:
        self._config = config
        self._signer = signer
        self._faults = faults

    def entra_token(self, client_id: str, resource: str) -> str | None:
        """An access token as Entra gives an identity one for a resource; None if there is no such identity."""
        if client_id not in self._config.identities:
            return None
        return self._signer.sign("entra", client_id, _ENTRA_LIFETIME, aud=resource.rstrip("/"), appid=client_id)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a request below /oauth2/."""
        match request.path, request.method:
            case "/oauth2/exchange", "POST":
                return await self._exchange(request)
            case "/oauth2/token", "POST":
                return await self._post(request)
            case "/oauth2/token", "GET":
                return self._get(request)
            case "/oauth2/exchange" | "/oauth2/token", _:
                raise OciError("UNSUPPORTED")
            case _:
                raise OciError("UNSUPPORTED", message="page not found", status=404)

    def identify(self, user: str, password: str) -> Identity:
        """Who signs in by a user name and a password; TokenError if nobody does."""
        if user == NULL_GUID:
            return self._refreshing(password)
        known = self._config.tokens.get(user)
        if known is None or not hmac.compare_digest(known.password.encode(), password.encode()):
            raise TokenError("this is no user, or another's password")
        return known

    def bearer(self, token: str) -> tuple[str, list[dict[str, Any]]]:
        """Who an access token is for, and its access records; TokenError if it is not valid."""
        claims = self._signer.read("access_token", token)
        return claims["sub"], claims["access"]

    async def _exchange(self, request: web.Request) -> web.Response:
        form = await request.post()
        if form.get("grant_type") not in ("access_token", "access_token_refresh_token"):
            raise OciError("UNSUPPORTED", message="unsupported grant type", status=400)
        try:
            claims = self._signer.read("entra", str(form.get("access_token", "")))
        except TokenError:
            raise unauthorized() from None
        identity = self._config.identities.get(claims["sub"])
        if claims["aud"] != AUDIENCE or identity is None or not identity.may_enter:
            raise unauthorized()
        lifetime = self._lifetime(self._faults.refresh_token, self._config.refresh_token)
        return web.json_response(
            {
                "refresh_token": self._signer.sign(
                    "refresh_token", identity.name, lifetime, iss=_ISSUER, aud=request.host
                )
            }
        )

    async def _post(self, request: web.Request) -> web.Response:
        form = await request.post()
        if form.get("grant_type") != "refresh_token":
            raise OciError("UNSUPPORTED", message="unsupported grant type", status=400)
        try:
            identity = self._refreshing(str(form.get("refresh_token", "")))
        except TokenError:
            raise unauthorized() from None
        return self._token(request, identity, [str(scope) for scope in form.getall("scope", [])])

    def _get(self, request: web.Request) -> web.Response:
        given = credentials(request)
        try:
            identity = self._config.anonymous if given is None else self.identify(*given)
        except TokenError:
            raise unauthorized() from None
        if given is None and not identity.may_enter:
            raise unauthorized()
        return self._token(request, identity, request.query.getall("scope", []))

    def _token(self, request: web.Request, identity: Identity, scopes: Sequence[str]) -> web.Response:
        """An access token for what is asked and allowed, which may be nothing."""
        access = []
        for scope in " ".join(scopes).split():
            kind, _, rest = scope.partition(":")
            name, _, actions = rest.rpartition(":")
            allowed = identity.allowed(kind, name, actions.split(","))
            access.append({"type": kind, "name": name, "actions": allowed})
        lifetime = self._lifetime(self._faults.access_token, self._config.access_token)
        token = self._signer.sign(
            "access_token", identity.name, lifetime, iss=_ISSUER, aud=request.host, access=access, version="1.0"
        )
        return web.json_response({"access_token": token})

    def _refreshing(self, token: str) -> Identity:
        claims = self._signer.read("refresh_token", token)
        if (identity := self._config.identities.get(claims["sub"])) is None:
            raise TokenError("the identity is gone")
        return identity

    @staticmethod
    def _lifetime(fault: float | None, usual: float) -> float:
        return usual if fault is None else fault


def credentials(request: web.Request) -> tuple[str, str] | None:
    """The user name and password of a request's basic authentication."""
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, _, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return "", ""
    return user, password
