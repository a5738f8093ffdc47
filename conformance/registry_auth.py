"""Who the suite is to a registry: nobody, a user with a password, or the bearer of a token that the registry names."""

from __future__ import annotations

import re
from typing import Any

import requests
from requests.auth import AuthBase

from packager import Credentials

__all__ = ["RegistryAuth"]

_TIMEOUT = 30
_ACTIONS = "pull,push,delete"
_LOOPBACK = ("https://", "http://127.0.0.1:", "http://localhost:")
_PARAMETER = re.compile(r'([a-z_]+)="([^"]*)"')


class RegistryAuth(AuthBase):
    """Answers a registry's challenge for one repository, or for one scope that is written out.

    Source: Distribution, "Token Authentication Specification".
    """

    def __init__(self, repository: str, username: str, password: str) -> None:
        self._repository = repository
        self._basic = Credentials(username, password).basic if username else ""
        self._header = ""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Prove who we are as the last challenge asked, and be told of the next."""
        if self._header:
            request.headers["Authorization"] = self._header
        request.register_hook("response", self._answer)  # type: ignore[no-untyped-call]
        return request

    def _answer(self, response: requests.Response, **options: Any) -> requests.Response:
        challenge = response.headers.get("WWW-Authenticate", "")
        if response.status_code != requests.codes.unauthorized:
            return response
        header = self._token(challenge) if challenge.lower().startswith("bearer") else self._basic
        if not header or header == response.request.headers.get("Authorization"):
            return response
        self._header = header
        response.close()
        again = response.request.copy()
        again.headers["Authorization"] = header
        again.hooks["response"] = []
        return response.connection.send(again, **options)

    def _token(self, challenge: str) -> str:
        """A token from the realm that the challenge names; credentials go there by https or stay on loopback."""
        fields = dict(_PARAMETER.findall(challenge))
        realm = fields.get("realm", "")
        # A scope that is written out already, as `registry:catalog:*`, or the name of a repository.
        scope = self._repository if ":" in self._repository else f"repository:{self._repository}:{_ACTIONS}"
        asked = {"service": fields.get("service", ""), "scope": scope}
        headers = {"Authorization": self._basic} if self._basic and realm.startswith(_LOOPBACK) else {}
        answer = requests.get(realm, params=asked, headers=headers, timeout=_TIMEOUT)
        answer.raise_for_status()
        found = answer.json()
        return f"Bearer {found.get('token') or found['access_token']}"
