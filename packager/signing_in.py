"""Signing in to a registry and out: what `docker login` stores, but checked first and for nobody else to read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from packager.authfiles import docker_file, helper_for, load_auth_file, store_auth_file
from packager.credentialhelpers import erase_in_helper, store_in_helper
from packager.credentials import Credentials
from packager.errors import UsageError
from packager.references import Reference

__all__ = ["SignedIn", "check_registry", "login", "logout"]


@dataclass(frozen=True)
class SignedIn:
    """Where the credentials for `registry` are now. `checked` is False if the registry asks nobody who they are."""

    registry: str
    username: str
    stored: str
    checked: bool


def login(registry: str, credentials: Credentials, *, environ: Mapping[str, str] = os.environ) -> SignedIn:
    """Have `registry` check the credentials, then store them where Docker does: with its credential helper, else in
    its config.json (in DOCKER_CONFIG, else ~/.docker), replaced as a whole, mode 0600.

    Raises PackagerError, and then nothing is stored.
    """
    from packager.registries import RegistryClient

    reference = check_registry(registry)
    file = docker_file(environ)
    config = load_auth_file(file)
    client = RegistryClient(reference, credentials)
    with client.session:
        checked = client.ping()
    if helper := helper_for(config, reference.registry):
        store_in_helper(helper, reference.registry, credentials, environ)
        return SignedIn(reference.registry, credentials.username, f"docker-credential-{helper}", checked)
    store_auth_file(file, reference.registry, credentials)
    return SignedIn(reference.registry, credentials.username, str(file), checked)


def logout(registry: str, *, environ: Mapping[str, str] = os.environ) -> bool:
    """Remove what is stored for `registry`; False if the file had nothing and no helper keeps it."""
    reference = check_registry(registry)
    file = docker_file(environ)
    helper = helper_for(load_auth_file(file), reference.registry)
    if helper:
        erase_in_helper(helper, reference.registry, environ)
    return store_auth_file(file, reference.registry, None) or bool(helper)


def check_registry(text: str) -> Reference:
    """A registry, without any repository. Raises UsageError for what is none."""
    try:
        found = Reference.parse(f"{text.rstrip('/')}/x")
    except UsageError:
        found = Reference("", "")
    if found.repository != "x":
        raise UsageError(f"{text!r} is not a registry; write HOST[:PORT], for example myregistry.azurecr.io")
    return Reference(found.registry, "")
