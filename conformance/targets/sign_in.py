"""Who the suite is to Azure: whoever is signed in to az, or whom azure-identity finds (`imgvol[azure]`).

Source: `az account get-access-token`, `az cloud show`, `az acr login`; azure-mgmt-core, `get_arm_endpoints`, for the
addresses of clouds; Azure Service Operator, controller settings, for AZURE_RESOURCE_MANAGER_ENDPOINT and _AUDIENCE.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from packager import PackagerError, azure_credentials
from packager.entra import default_credential, refusal

__all__ = ["AzureError", "SignIn", "Token", "sign_in", "text_of"]

_SECONDS = 120
_AUTHORITY = "login.microsoftonline.com"
# By the host that gives tokens: where the control plane is, and for whom its tokens are.
_CLOUDS = {
    _AUTHORITY: ("https://management.azure.com", "https://management.azure.com"),
    "login.microsoftonline.us": ("https://management.usgovcloudapi.net", "https://management.core.usgovcloudapi.net"),
    "login.chinacloudapi.cn": ("https://management.chinacloudapi.cn", "https://management.chinacloudapi.cn"),
    "login.partner.microsoftonline.cn": ("https://management.chinacloudapi.cn", "https://management.chinacloudapi.cn"),
}
_ENDPOINT, _AUDIENCE = "AZURE_RESOURCE_MANAGER_ENDPOINT", "AZURE_RESOURCE_MANAGER_AUDIENCE"
# Tokens go out by https, or do not leave this machine.
_SAFE = ("https://", "http://127.0.0.1:", "http://localhost:")


class AzureError(Exception):
    """Azure does not give what is asked for; check: what that tells of, e.g. `sign-in`. The text is a sentence."""

    def __init__(self, check: str, message: str) -> None:
        super().__init__(message)
        self.check = check


@dataclass(frozen=True)
class Token:
    """An access token of Entra, and when it expires in seconds since 1970. It is in no repr."""

    text: str = field(repr=False)
    expires: int


class SignIn(Protocol):
    """Somebody whom Azure knows, asked for what is needed when it is needed. What is had by asking raises AzureError.

    way: the value of --aks-sign-in. says: who it is, for the report. again: what to do when the sign-in has expired.
    """

    way: str
    says: str
    again: str

    @property
    def subscription(self) -> str:
        """The subscription's id, empty where it is not settled."""

    @property
    def endpoint(self) -> str:
        """The control plane's URL, without a slash at its end."""

    def control_plane(self) -> str:
        """A token for Azure's control plane."""

    def token(self, application: str) -> Token:
        """A token for an application of Entra, by its id."""

    def registry(self, name: str, server: str) -> str:
        """A refresh token of an Azure Container Registry, by its name and its address."""


def sign_in(way: str) -> SignIn:
    """Sign in as --aks-sign-in says; `auto` is az where that is on the PATH, else azure-identity.

    Raises AzureError, which names both ways where there is neither.
    """
    if way == "az" or (way == "auto" and shutil.which("az")):
        return _Az()
    return _Identity(asked=way == "identity")


class _Az:
    way, says, again = "az", "az is signed in", "az login"

    @cached_property
    def _account(self) -> dict[str, Any]:
        return _az("account", "get-access-token")

    @property
    def subscription(self) -> str:
        return text_of(self._account, "subscription")

    @cached_property
    def endpoint(self) -> str:
        # Its own address in every cloud: Azure's, China's, the government's.
        return text_of(_az("cloud", "show"), "endpoints", "resourceManager").rstrip("/")

    def control_plane(self) -> str:
        return text_of(self._account, "accessToken")

    def token(self, application: str) -> Token:
        return _token(_az("account", "get-access-token", "--resource", application, check="credentials"))

    def registry(self, name: str, server: str) -> str:
        return text_of(_az("acr", "login", "--name", name, "--expose-token", check="registry"), "accessToken")


class _Identity:
    way, says = "identity", "azure-identity finds who is signed in"
    again = "renew what azure-identity signs in by"

    def __init__(self, *, asked: bool) -> None:
        try:
            found = default_credential()
        except PackagerError as error:
            raise AzureError("sign-in", str(error)) from None
        if found is None:
            missing = "azure-identity is not installed" if asked else "there is neither az nor azure-identity"
            other = "" if asked else "install the Azure CLI and run az login, or "
            raise AzureError("sign-in", f"{missing}, by which --aks signs in: {other}pip install 'imgvol[azure]'")
        self._credential = found
        self.subscription = os.environ.get("AZURE_SUBSCRIPTION_ID", "")

    @property
    def endpoint(self) -> str:
        return _cloud(os.environ)[0]

    def control_plane(self) -> str:
        return self._get(_cloud(os.environ)[1], "sign-in").text

    def token(self, application: str) -> Token:
        return self._get(application, "credentials")

    def registry(self, name: str, server: str) -> str:
        try:
            found = azure_credentials(server, self._credential)
        except PackagerError as error:
            raise AzureError("registry", str(error)) from None
        if found is None:
            raise AzureError("registry", f"azure-identity gives no token for {server}")
        return found.identity_token

    def _get(self, audience: str, check: str) -> Token:
        try:
            found = self._credential.get_token(f"{audience}/.default")
        except Exception as error:
            why = refusal(error, self._credential)
            raise AzureError(check, f"azure-identity gives no token for {audience}: {why}") from None
        return Token(found.token, int(found.expires_on))


def _cloud(environ: Mapping[str, str]) -> tuple[str, str]:
    """URL and audience of the control plane that goes with who gives tokens, or that the environment names."""
    endpoint = environ.get(_ENDPOINT, "").rstrip("/")
    if endpoint:
        if not endpoint.startswith(_SAFE):
            raise AzureError("sign-in", f"{_ENDPOINT} must begin with https://, and is {endpoint}")
        return endpoint, environ.get(_AUDIENCE, "").rstrip("/") or endpoint
    authority = environ.get("AZURE_AUTHORITY_HOST") or _AUTHORITY
    try:
        return _CLOUDS[authority.removeprefix("https://").partition("/")[0]]
    except KeyError:
        told = (
            f"AZURE_AUTHORITY_HOST={authority} is in no cloud of Azure's: say in {_ENDPOINT} where the control plane is"
        )
        raise AzureError("sign-in", told) from None


def _az(*words: str, check: str = "sign-in") -> dict[str, Any]:
    """What an az command prints."""
    command = f"az {' '.join(words[:2])}"
    try:
        done = subprocess.run(
            ["az", *words, "--output", "json"], capture_output=True, text=True, check=False, timeout=_SECONDS
        )
    except FileNotFoundError:
        raise AzureError("sign-in", "az is not installed: --aks-sign-in=identity signs in without it") from None
    except subprocess.TimeoutExpired:
        raise AzureError(check, f"{command} did not answer within {_SECONDS} s") from None
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


def _token(found: Mapping[str, Any]) -> Token:
    expires = found.get("expires_on")
    if not isinstance(expires, int):
        raise AzureError("credentials", "az account get-access-token gives no expires_on: az 2.54 or later is needed")
    return Token(text_of(found, "accessToken"), expires)


def text_of(found: Mapping[str, Any], *keys: str) -> str:
    """The text at these keys of an answer. Raises AzureError if there is none."""
    value: Any = found
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    if not isinstance(value, str) or not value:
        raise AzureError("control-plane", f"an answer of Azure has no {'.'.join(keys)}")
    return value
