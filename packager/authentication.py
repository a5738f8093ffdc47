"""Answers to a registry's challenge: basic, or a bearer token from the realm it names (distribution: auth
spec)."""

from __future__ import annotations

import re
from dataclasses import dataclass

import requests

from packager.credentials import Credentials
from packager.errors import PackagerError
from packager.references import Reference

__all__ = ["Authenticator"]

_TIMEOUT = (10.0, 30.0)
_CHALLENGE = re.compile(r'(basic|bearer)\s*((?:[a-z_]+\s*=\s*(?:"[^"]*"|[^",\s]+)\s*,?\s*)*)', re.IGNORECASE)
_PARAMETER = re.compile(r'([a-z_]+)\s*=\s*(?:"([^"]*)"|([^",\s]+))', re.IGNORECASE)


@dataclass
class Authenticator:
    """Holds what proves who we are to one repository; `actions` are "pull" or "pull,push".

    A token is asked for with every action the work will need from the start: registries give a token for
    what a challenge names, and the first challenge of a push is that of a read.
    """

    reference: Reference
    actions: str
    credentials: Credentials | None
    header: str = ""

    def answer(self, challenge: str, session: requests.Session) -> bool:
        """Make `header` anew for the `WWW-Authenticate` of a 401; False if there is nothing (new) to say."""
        before = self.header
        for scheme, parameters in _CHALLENGE.findall(challenge):
            if scheme.lower() == "bearer":
                fields = {key.lower(): quoted or plain for key, quoted, plain in _PARAMETER.findall(parameters)}
                self.header = self._token(fields, session)
                return bool(self.header)
            if self.credentials is not None:
                self.header = self.credentials.basic
                return self.header != before
        return False

    def _token(self, fields: dict[str, str], session: requests.Session) -> str:
        realm = fields.get("realm", "")
        if not realm.startswith("https://") and not (self.reference.is_loopback and realm.startswith("http://")):
            raise PackagerError(f"{self.reference.registry} sends us for a token to {realm!r}, which is not https")
        query = {"scope": f"repository:{self.reference.repository}:{self.actions}"}
        if fields.get("service"):
            query["service"] = fields["service"]
        headers = {"Authorization": self.credentials.basic} if self.credentials else {}
        try:
            response = session.get(realm, params=query, headers=headers, timeout=_TIMEOUT)
            found = response.json() if response.ok else {}
        except (requests.RequestException, ValueError) as error:
            host = realm.split("/")[2]
            raise PackagerError(f"cannot get a token for {self.reference.registry} from {host}") from error
        token = found.get("token") or found.get("access_token") if isinstance(found, dict) else None
        return f"Bearer {token}" if token else ""
