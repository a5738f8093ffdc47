"""Azure as the suite needs it: who is signed in (az), the cluster and its pools (two ARM calls), the registry's token.

Source: the REST reference of Microsoft.ContainerService managedClusters (Get, List Cluster User Credentials) and
agentPools (List), and of Microsoft.ContainerRegistry registries (List), and `az account`, `az cloud`, `az acr login`.
"""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests

__all__ = ["NOBODY", "Azure", "AzureError", "Registry"]

# The user name that goes with a token in place of a password (Azure/acr: docs/AAD-OAuth.md).
NOBODY = "00000000-0000-0000-0000-000000000000"
_CLUSTERS = "2025-05-01"
_REGISTRIES = "2023-07-01"
_SECONDS = 60


class AzureError(Exception):
    """Azure does not give what is asked for; check: what that tells of, e.g. `sign-in`. The text is a sentence."""

    def __init__(self, check: str, message: str) -> None:
        super().__init__(message)
        self.check = check


@dataclass(frozen=True)
class Registry:
    """A container registry: the address it is reached by, whether roles are given by repository (ABAC), and a token."""

    server: str
    abac: bool
    token: str


class Azure:
    """A subscription, as whoever is signed in to az may use it.

    Methods raise AzureError.
    """

    def __init__(self) -> None:
        found = _az("account", "get-access-token")
        self._subscription = _text(found, "subscription")
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {_text(found, 'accessToken')}"
        # Its own address in every cloud: Azure's, China's, the government's.
        self._endpoint = _text(_az("cloud", "show"), "endpoints", "resourceManager").rstrip("/")

    def cluster(self, group: str, name: str) -> dict[str, Any]:
        """The managed cluster as Azure describes it, with its pools as `agentPools`."""
        path = self._path(group, name)
        found = self._ask("GET", path, _CLUSTERS)
        found["agentPools"] = self._ask("GET", f"{path}/agentPools", _CLUSTERS).get("value", [])
        return found

    def kubeconfig(self, group: str, name: str) -> bytes:
        """The kubeconfig of the cluster's user; where Entra keeps the cluster it calls kubelogin."""
        path = f"{self._path(group, name)}/listClusterUserCredential"
        found = self._ask("POST", path, _CLUSTERS, format="exec")
        try:
            return base64.b64decode(found["kubeconfigs"][0]["value"], validate=True)
        except (KeyError, IndexError, TypeError, ValueError):
            raise AzureError("credentials", f"Azure gives no kubeconfig for {name}") from None

    def registry(self, name: str) -> Registry:
        """The registry of this name, and a token for it."""
        path = f"/subscriptions/{self._subscription}/providers/Microsoft.ContainerRegistry/registries"
        registries = self._ask("GET", path, _REGISTRIES).get("value", [])
        found = next((each for each in registries if each.get("name", "").lower() == name.lower()), None)
        if found is None:
            raise AzureError("registry", f"there is no registry {name} in the subscription {self._subscription}")
        token = _az("acr", "login", "--name", name, "--expose-token", check="registry")
        properties = found.get("properties", {})
        abac = properties.get("roleAssignmentMode") == "AbacRepositoryPermissions"
        return Registry(_text(properties, "loginServer"), abac, _text(token, "accessToken"))

    def _path(self, group: str, name: str) -> str:
        where = f"/subscriptions/{self._subscription}/resourceGroups/{group}"
        return f"{where}/providers/Microsoft.ContainerService/managedClusters/{name}"

    def _ask(self, method: str, path: str, version: str, **query: str) -> dict[str, Any]:
        asked = {"api-version": version, **query}
        try:
            answer = self._session.request(method, self._endpoint + path, params=asked, timeout=_SECONDS)
        except requests.RequestException as error:
            raise AzureError("control-plane", f"{self._endpoint} does not answer: {error}") from None
        what = path.rpartition("/providers/")[2]
        if answer.status_code == requests.codes.unauthorized:
            raise AzureError("sign-in", f"Azure takes the sign-in no more ({_said(answer)}): az login")
        if answer.status_code == requests.codes.forbidden:
            raise AzureError("permissions", f"whoever is signed in may not ask for {what}: {_said(answer)}")
        if not answer.ok:
            raise AzureError("control-plane", f"{what}: {answer.status_code}: {_said(answer)}")
        try:
            found = answer.json()
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise AzureError("control-plane", f"{what}: the answer is no JSON object")
        return found


def _said(answer: requests.Response) -> str:
    """What Azure says of an error: `{"error": {"code", "message"}}`, or for older services the two alone."""
    try:
        told = answer.json()
        told = told.get("error", told)
        return " ".join(f"{told['code']}: {told['message']}".split())
    except (ValueError, KeyError, AttributeError, TypeError):
        return answer.reason


def _az(*words: str, check: str = "sign-in") -> dict[str, Any]:
    """What an az command prints."""
    command = f"az {' '.join(words[:2])}"
    try:
        done = subprocess.run(
            ["az", *words, "--output", "json"], capture_output=True, text=True, check=False, timeout=2 * _SECONDS
        )
    except FileNotFoundError:
        raise AzureError("sign-in", "az is not installed: --aks signs in by the Azure CLI") from None
    except subprocess.TimeoutExpired:
        raise AzureError(check, f"{command} did not answer within {2 * _SECONDS} s") from None
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        said = " ".join(line.removeprefix("ERROR: ") for line in lines if not line.startswith("WARNING"))
        advice = "" if "az login" in said else "; if the sign-in has expired: az login"
        raise AzureError(check, f"{command}: {said or f'it ended with status {done.returncode}'}{advice}")
    try:
        found = json.loads(done.stdout)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise AzureError(check, f"{command} printed no JSON object")
    return found


def _text(found: Mapping[str, Any], *keys: str) -> str:
    value: Any = found
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    if not isinstance(value, str) or not value:
        raise AzureError("control-plane", f"an answer of Azure has no {'.'.join(keys)}")
    return value
