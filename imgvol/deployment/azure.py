"""Azure, through its own command line: which registry and cluster are meant, and how to get in.

Only these calls are made: az account show, az acr show, az acr login --expose-token, az aks get-credentials (and, for
the engine, az acr build). Names come from the environment, else from Terraform's outputs, else from its defaults.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgvol.deployment.errors import DeploymentError, UsageError
from imgvol.deployment.programs import output
from imgvol.deployment.saying import say
from imgvol.deployment.settings import Settings

if TYPE_CHECKING:
    from packager import Credentials

__all__ = ["Names", "account", "credentials", "kubeconfig", "login_server", "names", "subscription"]

_GROUP, _CLUSTER = "rg-oci-artifact-demo", "aks-oci-demo"
_NOBODY = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True)
class Names:
    """What the resources are called."""

    acr: str
    group: str
    aks: str


def names(settings: Settings) -> Names:
    """The names of registry, resource group and cluster. Raises UsageError if nothing says which registry."""
    outputs = {} if settings.acr_name and settings.resource_group and settings.aks_name else _outputs(settings)
    acr = settings.acr_name or outputs.get("acr_name", "")
    if not acr:
        raise UsageError("ACR_NAME is not set: say which registry, ACR_NAME=myregistry make …")
    return Names(
        acr,
        settings.resource_group or outputs.get("resource_group_name", _GROUP),
        settings.aks_name or outputs.get("aks_name", _CLUSTER),
    )


def account() -> str:
    """The subscription that az works in, for people. Raises DeploymentError if nobody is signed in."""
    name, identity = subscription()
    return f"{name} ({identity})"


def subscription() -> tuple[str, str]:
    """Name and id of the subscription that az works in. Raises DeploymentError if nobody is signed in."""
    found = _json("az", "account", "show", "--output", "json")
    return str(found.get("name", "")), str(found.get("id", ""))


def login_server(names: Names) -> str:
    """The registry's address. Raises DeploymentError."""
    return str(_json("az", "acr", "show", "--name", names.acr, "--output", "json")["loginServer"])


def credentials(names: Names) -> Credentials | None:
    """A token for the registry, without Docker; None where IMGVOL_USERNAME and IMGVOL_PASSWORD say who we are."""
    from packager import Credentials

    if os.environ.get("IMGVOL_USERNAME"):
        return None
    found = _json("az", "acr", "login", "--name", names.acr, "--expose-token", "--output", "json")
    return Credentials(_NOBODY, str(found["accessToken"]))


def kubeconfig(names: Names, path: Path) -> Path:
    """The cluster's kubeconfig, written anew. Raises DeploymentError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    say(f"kubeconfig of {names.aks} in {names.group}: {path}")
    output(
        *("az", "aks", "get-credentials", "--resource-group", names.group, "--name", names.aks),
        *("--file", str(path), "--overwrite-existing"),
    )
    return path


def _json(*command: str) -> dict[str, Any]:
    text = output(*command)
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise DeploymentError(f"{' '.join(command[:3])} printed no JSON object")
    return found


def _outputs(settings: Settings) -> dict[str, str]:
    """Terraform's outputs, if it is here and has made something; a state elsewhere is Terraform's to find."""
    directory = settings.terraform
    if not shutil.which("terraform") or not (directory / ".terraform").is_dir():
        return {}
    found = _json("terraform", f"-chdir={directory}", "output", "-json")
    return {name: str(each["value"]) for name, each in found.items() if isinstance(each, dict) and "value" in each}
