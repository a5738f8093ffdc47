"""Signing in to an Azure Container Registry with a Microsoft Entra identity, without az or Docker.

An Entra token for the registry is exchanged for a refresh token of the registry's (Azure/acr: docs/AAD-OAuth.md),
which then gives access tokens as any identity token does.
"""

from __future__ import annotations

import logging
import os
import re
from typing import Any, Protocol

from packager.credentials import IDENTITY, Credentials
from packager.errors import PackagerError
from packager.references import Reference

__all__ = ["TokenCredential", "azure_credentials", "default_credential", "is_azure", "refusal"]

_SCOPE = "https://containerregistry.azure.net/.default"
_HOSTS = (".azurecr.io", ".azurecr.cn", ".azurecr.us", ".azurecr.de")
# Who gives tokens in Microsoft's clouds. About any other MSAL asks the first of them, which a private cloud cannot.
_AUTHORITIES = ("login.microsoftonline.com", "login.microsoftonline.us", ".chinacloudapi.cn", ".microsoftonline.cn")
# An error code with its sentences; what follows is for Microsoft's support.
_SAID = re.compile(r"AADSTS\d+: .+?(?=\s*(?:Trace ID:|\n|$))")
_NOBODY = (
    "nobody is signed in: it looks for AZURE_TENANT_ID and AZURE_CLIENT_ID with AZURE_CLIENT_SECRET or "
    "AZURE_FEDERATED_TOKEN_FILE, then for a managed identity, then for a sign-in by az or azd"
)
_ATTEMPT = re.compile(r"^\t(\w+): (.+)$", re.MULTILINE)


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
    ours = credential or default_credential()
    if ours is None:
        return None
    try:
        token = ours.get_token(_SCOPE).token
    except Exception as error:
        if credential is None:
            return None  # nobody is signed in: the registry may let anybody read
        raise PackagerError(f"cannot get an Entra token for {registry}: {refusal(error, ours)}") from None
    return Credentials(IDENTITY, _exchange(Reference(registry, ""), token))


def _exchange(reference: Reference, token: str) -> str:
    from packager.answers import TRANSIENT, BrokenError, said
    from packager.registries import RegistryClient

    registry = reference.registry
    form = {"grant_type": "access_token", "service": registry, "access_token": token}
    client = RegistryClient(reference)
    with client.session:
        response = client.do_request(f"{reference.api.partition('/v2/')[0]}/oauth2/exchange", "POST", data=form)
    answered = f"it answered {response.status_code}{said(response)}"
    if response.status_code in TRANSIENT:
        raise BrokenError(f"{registry} cannot exchange the Entra token: {answered}")
    if not response.ok:
        raise PackagerError(
            f"{registry} does not take the Entra token: {answered}; "
            "does this identity have a role there, such as AcrPush?"
        )
    try:
        return str(response.json()["refresh_token"])
    except (ValueError, LookupError, TypeError):
        raise PackagerError(f"{registry} gave no refresh token for the Entra token") from None


def default_credential() -> TokenCredential | None:
    """`DefaultAzureCredential`, as the environment sets it up; None if azure-identity is not installed.

    Raises PackagerError for an environment that it cannot make sense of.
    """
    try:
        from azure.identity import DefaultAzureCredential
    except ImportError:
        return None
    logging.getLogger("azure.identity").setLevel(logging.CRITICAL)  # nobody being signed in is not worth a page
    authority = os.environ.get("AZURE_AUTHORITY_HOST") or _AUTHORITIES[0]
    private = not authority.removeprefix("https://").partition("/")[0].endswith(_AUTHORITIES)
    try:
        found: TokenCredential = DefaultAzureCredential(**({"disable_instance_discovery": True} if private else {}))
    except ValueError as error:
        raise PackagerError(f"azure-identity does not take what the environment says: {error}") from None
    return found


def refusal(error: Exception, credential: TokenCredential) -> str:
    """Why a credential of azure-identity gave no token, in one line without secrets.

    That is what Entra says (`AADSTS…`), or the reason of the credential at which a chain stopped, or that a chain found
    nobody who is signed in; for errors of others it is their kind.
    """
    try:
        from azure.core.exceptions import AzureError
    except ImportError:
        return type(error).__name__
    if not isinstance(error, AzureError):
        return type(error).__name__
    if code := _SAID.search(error.message):
        return code[0]
    attempts = _ATTEMPT.findall(error.message)
    if not attempts:
        return error.message.partition("\n")[0]
    # A chain stops at a credential that is there and fails; it goes through all of them where none is there.
    if 1 < len(attempts) == len(getattr(credential, "credentials", ())):
        return _NOBODY
    name, said = attempts[-1]
    return said if said.startswith(name) else f"{name}: {said}"
