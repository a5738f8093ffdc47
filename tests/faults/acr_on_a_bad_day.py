"""A registry that plays ACR, whose clock its requests move, and how clients sign in to it."""

import json
import urllib.request
from types import SimpleNamespace

from faulty_promises import OPERATIONS
from hypothesis import strategies as st

import packager
from emulator.clock import Clock
from emulator.registry.acr import NULL_GUID

PASSWORD = "c4n4ry-t0-be-seen-n0where"
ACR = f"""
identities:
  developer: {{roles: [AcrPush]}}
  reader: {{roles: [AcrPull]}}
tokens:
  narrow: {{password: {PASSWORD}, repositories: {{"*": content/read}}}}
  ci: {{password: {PASSWORD}, repositories: {{"*": [content/read, content/write, metadata/read]}}}}
"""
SIGN_IN = ["exchange", "token"]
PUSHING = [*SIGN_IN, *OPERATIONS]
PULLING = [*SIGN_IN, "blob-get", "blob-download", "manifest-get", "*"]
# In looks at the registry's clock, of which every request takes a few.
LIFETIMES = st.fixed_dictionaries({}, optional={"access": st.integers(0, 60), "refresh": st.integers(0, 120)})


class Ticking(Clock):
    """Every look at it takes a second: what expires does so after so many requests, however busy the machine is."""

    def __init__(self):
        super().__init__()
        self._seconds = 0

    def now(self):
        self._seconds += 1
        return self._seconds

    async def sleep(self, seconds):
        self._seconds += seconds


class _Entra:
    """Stands in for one of azure-identity's credentials."""

    def __init__(self, control, identity):
        self._control, self._identity = control, identity

    def get_token(self, *scopes):
        (scope,) = scopes
        url = f"{self._control}/metadata/identity/oauth2/token?client_id={self._identity}&resource={scope[:-9]}"
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Metadata": "true"}), timeout=30) as answer:
            return SimpleNamespace(token=json.load(answer)["access_token"])


def _identity(served, name="developer"):
    return packager.azure_credentials(served.host, _Entra(served.control, name))


WAYS = {
    "identity": _identity,
    "exposed token": lambda served: packager.Credentials(NULL_GUID, _identity(served).password),
    "password": lambda _: packager.Credentials("ci", PASSWORD),
}
NARROW = {
    "reader": lambda served: _identity(served, "reader"),
    "narrow": lambda _: packager.Credentials("narrow", PASSWORD),
}


def bad_day(served, faults, lifetimes):
    tokens = {"tokens": {kind: f"{seconds}s" for kind, seconds in lifetimes.items()}}
    served.faults(*faults, **(tokens if lifetimes else {}))
