"""Terraform, in terraform/: makes the resources, and removes them."""

from __future__ import annotations

import os

from imgvol.deployment.azure import subscription
from imgvol.deployment.errors import DeploymentError, UsageError
from imgvol.deployment.programs import find, run
from imgvol.deployment.saying import say
from imgvol.deployment.settings import Settings

__all__ = ["apply", "destroy"]


def apply(settings: Settings) -> None:
    """Make or change the resources; Terraform shows its plan and asks. Raises DeploymentError."""
    _run(settings, "apply")


def destroy(settings: Settings) -> None:
    """Remove the resources; Terraform shows its plan and asks. Raises DeploymentError."""
    _run(settings, "destroy")


def _run(settings: Settings, verb: str) -> None:
    if settings.target != "aks":
        raise UsageError(f"TARGET={settings.target} has nothing for Terraform; `make up` and `make down` are for it")
    if not settings.acr_name:
        raise UsageError(f"ACR_NAME is not set: name the registry, ACR_NAME=myregistry make tf-{verb}")
    find("terraform")
    if not list(settings.terraform.glob("*.tf")):
        raise DeploymentError(f"{settings.terraform} has no Terraform configuration")
    doing = "makes or changes" if verb == "apply" else "removes"
    name, identity = subscription()
    # azurerm takes the sign-in from az, but not the subscription.
    chosen = os.environ.setdefault("ARM_SUBSCRIPTION_ID", identity)
    where = f"{name} ({identity})" if chosen == identity else f"{chosen}, which ARM_SUBSCRIPTION_ID names"
    say(f"terraform {verb} {doing} the resources of {settings.terraform.name}/ in the subscription {where}")
    say("it shows its plan and asks first" if not settings.auto_approve else "AUTO_APPROVE: it does not ask")
    here = f"-chdir={settings.terraform}"
    run("terraform", here, "init", "-input=false")
    variables = [f"-var=acr_name={settings.acr_name}"]
    if settings.resource_group:
        variables.append(f"-var=resource_group_name={settings.resource_group}")
    if settings.aks_name:
        variables.append(f"-var=aks_name={settings.aks_name}")
    run("terraform", here, verb, *variables, *(["-auto-approve"] if settings.auto_approve else []))
