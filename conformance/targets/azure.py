"""Azure as the suite needs it: the cluster and its pools, a kubeconfig, the registry and a token for it.

Source: the REST reference of Microsoft.ContainerService managedClusters (Get, List Cluster User Credentials) and
agentPools (List), of Microsoft.ContainerRegistry registries (List), and of Microsoft.Resources subscriptions (List).
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import requests

from conformance.targets.sign_in import AzureError, SignIn, text_of

__all__ = ["NOBODY", "Azure", "Registry"]

# The user name that goes with a token in place of a password (Azure/acr: docs/AAD-OAuth.md).
NOBODY = "00000000-0000-0000-0000-000000000000"
_CLUSTERS = "2025-05-01"
_REGISTRIES = "2023-07-01"
_SUBSCRIPTIONS = "2022-12-01"
_SECONDS = 60


@dataclass(frozen=True)
class Registry:
    """A container registry: the address it is reached by, whether roles are given by repository (ABAC), and a token."""

    server: str
    abac: bool
    token: str


class Azure:
    """A subscription, as whoever is signed in may use it.

    Methods raise AzureError.
    """

    def __init__(self, who: SignIn) -> None:
        self._who = who
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {who.control_plane()}"
        self._endpoint = who.endpoint
        self._subscription = who.subscription or self._only_subscription()

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
        properties = found.get("properties", {})
        server = text_of(properties, "loginServer")
        abac = properties.get("roleAssignmentMode") == "AbacRepositoryPermissions"
        return Registry(server, abac, self._who.registry(name, server))

    def _only_subscription(self) -> str:
        listed = self._ask("GET", "/subscriptions", _SUBSCRIPTIONS).get("value", [])
        found = [text_of(each, "subscriptionId") for each in listed]
        if len(found) != 1:
            seen = f"sees {len(found)} subscriptions ({', '.join(found)})" if found else "sees no subscription"
            raise AzureError(
                "sign-in", f"whoever is signed in {seen}: set AZURE_SUBSCRIPTION_ID to the one that is meant"
            )
        return found[0]

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
            raise AzureError("sign-in", f"Azure takes the sign-in no more ({_said(answer)}): {self._who.again}")
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
