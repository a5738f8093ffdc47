"""Signing in to an Azure Container Registry with a Microsoft Entra identity, without az or Docker.

An Entra token for the registry is exchanged for a refresh token of the registry's (Azure/acr: docs/AAD-OAuth.md),
which then gives access tokens as any identity token does.
"""

from __future__ import annotations

import logging
from typing import Any, Protocol

from packager.credentials import IDENTITY, Credentials
from packager.errors import PackagerError
from packager.references import Reference

__all__ = ["TokenCredential", "azure_credentials", "is_azure"]

_SCOPE = "https://containerregistry.azure.net/.default"
_HOSTS = (".azurecr.io", ".azurecr.cn", ".azurecr.us", ".azurecr.de")
_TIMEOUT = (10.0, 30.0)


class TokenCredential(Protocol):
    """What azure-identity's credentials are: they give Entra tokens (azure.core.credentials.TokenCredential)."""

    def get_token(self, *scopes: str) -> Any:
        """An object with the token in `token`."""


def is_azure(registry: str) -> bool:
    """Whether a registry is an Azure Container Registry, by its name."""
    return registry.endswith(_HOSTS)


def azure_credentials(registry: str, credential: TokenCredential | None = None) -> Credentials | None:
    """An identity token for `registry` in exchange for an Entra token of `credential`.

    Without `credential`, whom `DefaultAzureCredential` finds (environment, workload identity, managed identity, az,
    …); None if azure-identity is not installed or finds nobody. Raises PackagerError if the registry refuses.
    """
    ours = credential or _default()
    if ours is None:
        return None
    try:
        token = ours.get_token(_SCOPE).token
    except Exception as error:
        if credential is None:
            return None  # nobody is signed in: the registry may let anybody read
        raise PackagerError(f"cannot get an Entra token for {registry}: {type(error).__name__}") from None
    return Credentials(IDENTITY, _exchange(Reference(registry, ""), token))


def _exchange(reference: Reference, token: str) -> str:
    import requests

    from packager.answers import TRANSIENT, BrokenError, reason, said

    registry = reference.registry
    form = {"grant_type": "access_token", "service": registry, "access_token": token}
    with requests.Session() as session:
        session.trust_env = not reference.is_loopback
        url = f"{reference.api.partition('/v2/')[0]}/oauth2/exchange"
        try:
            response = session.post(url, data=form, timeout=_TIMEOUT, allow_redirects=False)
        except requests.RequestException as error:
            raise BrokenError(f"cannot reach the registry {registry}: {reason(error)}") from error
    if not response.ok:
        kind = BrokenError if response.status_code in TRANSIENT else PackagerError
        raise kind(
            f"{registry} does not take the Entra token: it answered {response.status_code}{said(response)}; "
            "does this identity have a role there, such as AcrPush?"
        )
    try:
        return str(response.json()["refresh_token"])
    except (ValueError, LookupError, TypeError):
        raise PackagerError(f"{registry} gave no refresh token for the Entra token") from None


def _default() -> TokenCredential | None:
    try:
        from azure.identity import DefaultAzureCredential
    except ImportError:
        return None
    logging.getLogger("azure.identity").setLevel(logging.CRITICAL)  # nobody being signed in is not worth a page
    found: TokenCredential = DefaultAzureCredential()
    return found
