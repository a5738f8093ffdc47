"""Answers to a registry's challenge: basic, or a bearer token from the realm it names (distribution: auth spec)."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import requests

from packager.answers import PASSING, TRANSIENT, BrokenError, reason, said
from packager.credentials import Credentials
from packager.errors import PackagerError
from packager.references import Reference

__all__ = ["Authenticator", "bearer_parameters"]

_TIMEOUT = (10.0, 30.0)
_CHALLENGE = re.compile(r'(basic|bearer)\s*((?:[a-z_]+\s*=\s*(?:"[^"]*"|[^",\s]+)\s*,?\s*)*)', re.IGNORECASE)
_PARAMETER = re.compile(r'([a-z_]+)\s*=\s*(?:"([^"]*)"|([^",\s]+))', re.IGNORECASE)
_SPENT = 0.9  # of a token's life: then it is time for the next
_REFUSED = {400, 401, 403}  # who we are, or what we want to do, is what the token service minds


@dataclass
class Authenticator:
    """Holds what proves who we are to one repository; `actions` are "pull" or "pull,push".

    A token is asked for with every action the work will need from the start: registries give a token for
    what a challenge names, and the first challenge of a push is that of a read. What a later challenge names is
    added, and a token about to expire is renewed before it is used.
    """

    reference: Reference
    actions: str
    credentials: Credentials | None
    header: str = ""
    now: Callable[[], float] = time.monotonic
    _scopes: dict[str, set[str]] = field(default_factory=dict)
    _fields: dict[str, str] = field(default_factory=dict, repr=False)
    _renew_at: float = float("inf")

    def __post_init__(self) -> None:
        if self.reference.repository:
            self._scopes[self.reference.api.partition("/v2/")[2]] = set(self.actions.split(","))

    @property
    def scopes(self) -> list[str]:
        """What tokens are asked for: `repository:NAME:ACTIONS` each."""
        return [f"repository:{name}:{','.join(sorted(actions))}" for name, actions in self._scopes.items()]

    def also_pull(self, repository: str) -> None:
        """Ask for reading another repository, too; a token that lacks it is not used any more."""
        if repository not in self._scopes:
            self._scopes[repository] = {"pull"}
            self._renew_at = self.now()

    def no_longer_pull(self, repository: str) -> None:
        """Do not ask for it any more: a token service may give nothing at all to who asks for too much."""
        if self._scopes.pop(repository, None):
            self._renew_at = self.now()

    def current(self, session: requests.Session) -> str:
        """The Authorization to send; a token that is about to expire is renewed first. "" before any challenge."""
        if self._fields and self.now() >= self._renew_at:
            self.header = self._token(session) or self.header
        return self.header

    def answer(self, challenge: str, session: requests.Session) -> bool:
        """Make `header` anew for the `WWW-Authenticate` of a 401; False if there is nothing (new) to say."""
        before = self.header
        for scheme, parameters in _CHALLENGE.findall(challenge):
            if scheme.lower() == "bearer":
                self._fields = _read(parameters)
                self._widen(self._fields.get("scope", ""))
                self.header = self._token(session)
                return bool(self.header)
            if self.credentials is not None and not self.credentials.identity_token:
                self.header = self.credentials.basic
                return self.header != before
        return False

    def _widen(self, scope: str) -> None:
        for one in scope.split():
            kind, _, rest = one.partition(":")
            name, _, actions = rest.rpartition(":")
            if kind == "repository" and name in self._scopes:
                self._scopes[name] |= {action for action in actions.split(",") if action}

    def _token(self, session: requests.Session) -> str:
        realm, service = self._fields.get("realm", ""), self._fields.get("service", "")
        if not realm.startswith("https://") and not (self.reference.is_loopback and realm.startswith("http://")):
            raise PackagerError(f"{self.reference.registry} sends us for a token to {realm!r}, which is not https")
        user = self.credentials
        failure = f"cannot get a token for {self.reference.registry} from {realm.split('/')[2]}"
        common = {"service": service} if service else {}
        try:
            if user is not None and user.identity_token:
                form = common | {"grant_type": "refresh_token", "refresh_token": user.identity_token}
                form |= {"client_id": "imgvol", "scope": " ".join(self.scopes)}
                response = session.post(realm, data=form, timeout=_TIMEOUT, allow_redirects=False)
            else:
                headers = {"Authorization": user.basic} if user else {}
                query = common | {"scope": self.scopes}
                response = session.get(realm, params=query, headers=headers, timeout=_TIMEOUT)
            found = response.json() if response.ok else {}
        except requests.JSONDecodeError as error:
            raise BrokenError(f"{failure}: its answer is not JSON") from error
        except PASSING as error:
            raise BrokenError(f"{failure}: {reason(error)}") from error
        except requests.RequestException as error:
            raise PackagerError(f"{failure}: {reason(error)}") from error
        status = response.status_code
        if status in TRANSIENT:
            raise BrokenError(f"{failure}: it answered {status}", response.headers.get("Retry-After", ""))
        if status in _REFUSED:
            return ""
        if not response.ok:
            raise PackagerError(f"{failure}: it answered {status}{said(response)}")
        token = found.get("token") or found.get("access_token") if isinstance(found, dict) else None
        if not token:
            raise PackagerError(f"{failure}: there is none in its answer")
        lifetime = found.get("expires_in")
        self._renew_at = self.now() + _SPENT * lifetime if isinstance(lifetime, int | float) else float("inf")
        return f"Bearer {token}"


def bearer_parameters(challenge: str) -> dict[str, str]:
    """The parameters of the bearer challenge in a `WWW-Authenticate`, by lower-case name; none if there is none."""
    for scheme, parameters in _CHALLENGE.findall(challenge):
        if scheme.lower() == "bearer":
            return _read(parameters)
    return {}


def _read(parameters: str) -> dict[str, str]:
    return {key.lower(): quoted or plain for key, quoted, plain in _PARAMETER.findall(parameters)}
