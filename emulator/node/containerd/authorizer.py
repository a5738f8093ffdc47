"""Answering a registry's challenge: basic authentication, and bearer tokens from its token service.

Source: containerd core/remotes/docker/authorizer.go and auth/; distribution's token specification.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from urllib.parse import urlencode

from aiohttp import ClientResponse

from emulator.node.containerd.errors import CriError
from emulator.node.containerd.profile import Profile
from emulator.node.containerd.transport import Transport

__all__ = ["Authorizer", "Credential", "unexpected_status"]

_PARAMETER = re.compile(r'([A-Za-z0-9!#$%&\'*+.^_`|~-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))')
_OAUTH_UNKNOWN = (400, 401, 404, 405)  # registries that know no POST to their token service answer so


@dataclass(frozen=True)
class Credential:
    """A user name and its password."""

    username: str
    password: str

    def __repr__(self) -> str:
        return f"Credential(username={self.username!r})"


class Authorizer:
    """The authorization of one pull: what the registry asked for last, and the answer to it."""

    def __init__(self, transport: Transport, profile: Profile, credential: Credential | None, scope: str) -> None:
        self._transport = transport
        self._profile = profile
        self._credential = credential
        self._scope = scope
        self._challenge: dict[str, str] | None = None
        self._answer = ""

    async def headers(self) -> dict[str, str]:
        """The headers that authorize a request.

        Raises:
            CriError: the token service does not give a token.
        """
        if self._challenge is not None and not self._answer:
            try:
                self._answer = f"Bearer {await self._token(self._challenge)}"
            except CriError as error:
                raise error.wrapped("failed to authorize") from error
        return {"Authorization": self._answer} if self._answer else {}

    def challenged(self, headers: list[str], *, again: bool) -> bool:
        """Take up a 401's WWW-Authenticate headers; whether it is worth asking again.

        `again` says that the very same request was refused before.

        Raises:
            CriError: the registry wants a credential that there is none of, or says no for good.
        """
        challenges = [_parse(header) for header in headers]
        bearer = next((parameters for scheme, parameters in challenges if scheme == "bearer"), None)
        if bearer is not None:
            if refusal := bearer.get("error"):
                if again:
                    self._denied(f"server message: {refusal}: authorization failed")
                self._challenge = None
            if self._challenge is None:
                if "realm" not in bearer:
                    raise CriError.unknown("no realm specified for token auth challenge")
                self._challenge, self._answer = bearer, ""
            return True
        if any(scheme == "basic" for scheme, _ in challenges):
            credential = self._credential
            if credential is None or not (credential.username and credential.password):
                self._denied(self._profile.say("no-basic-credentials"))
            else:
                pair = f"{credential.username}:{credential.password}".encode()
                self._challenge, self._answer = None, f"Basic {base64.b64encode(pair).decode()}"
                return True
        return False

    def _denied(self, text: str) -> None:
        raise CriError.unknown(text).wrapped(self._profile.say("access-denied"))

    async def _token(self, challenge: dict[str, str]) -> str:
        scopes = sorted({self._scope, *challenge.get("scope", "").split()})
        if self._credential is None or not self._credential.password:
            try:
                return await self._get_token(challenge, scopes, None)
            except CriError as error:
                raise error.wrapped("failed to fetch anonymous token") from error
        try:
            token = await self._post_token(challenge, scopes, self._credential)
            return token if token is not None else await self._get_token(challenge, scopes, self._credential)
        except CriError as error:
            raise error.wrapped("failed to fetch oauth token") from error

    async def _post_token(self, challenge: dict[str, str], scopes: list[str], credential: Credential) -> str | None:
        form = {"scope": " ".join(scopes), "service": challenge.get("service", ""), "client_id": "containerd-client"}
        if credential.username:
            form |= {"grant_type": "password", "username": credential.username, "password": credential.password}
        else:
            form |= {"grant_type": "refresh_token", "refresh_token": credential.password}
        response = await self._transport.fetch("POST", challenge["realm"], {}, form)
        async with response:
            if response.status in _OAUTH_UNKNOWN:
                return None
            return await _token_of(response, "access_token")

    async def _get_token(self, challenge: dict[str, str], scopes: list[str], credential: Credential | None) -> str:
        # In the order in which Go writes a query: by key.
        query = [("scope", scope) for scope in scopes]
        query += [("service", challenge["service"])] if challenge.get("service") else []
        headers = {}
        if credential is not None:
            pair = f"{credential.username}:{credential.password}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        separator = "&" if "?" in challenge["realm"] else "?"
        response = await self._transport.fetch("GET", f"{challenge['realm']}{separator}{urlencode(query)}", headers)
        async with response:
            return await _token_of(response, "token", "access_token")


def unexpected_status(response: ClientResponse) -> CriError:
    """What is said of an answer with the wrong status."""
    status = f"{response.status} {response.reason}"
    return CriError.unknown(f"unexpected status from {response.method} request to {response.url}: {status}")


async def _token_of(response: ClientResponse, *keys: str) -> str:
    if not 200 <= response.status < 400:
        raise unexpected_status(response)
    try:
        answer = json.loads(await response.read())
    except ValueError as error:
        raise CriError.unknown(f"unable to decode token response: {error}") from error
    for key in keys:
        if isinstance(answer, dict) and isinstance(answer.get(key), str) and answer[key]:
            return str(answer[key])
    raise CriError.unknown("authorization server did not include a token in the response")


def _parse(header: str) -> tuple[str, dict[str, str]]:
    scheme, _, rest = header.strip().partition(" ")
    parameters = {}
    for match in _PARAMETER.finditer(rest):
        quoted, bare = match[2], match[3]
        parameters[match[1].lower()] = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else bare
    return scheme.lower(), parameters
