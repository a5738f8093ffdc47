"""Who we are to a registry: from the caller, the environment, what other tools have stored, or Azure."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from packager.errors import PackagerError
from packager.references import Reference

__all__ = ["IDENTITY", "Credentials", "credentials_for", "find_credentials"]

IDENTITY = "<token>"
"""The user name that stands for nobody: the password is an identity token (Docker's credential helpers)."""

_NOBODY = "00000000-0000-0000-0000-000000000000"  # the same at ACR: `az acr login --expose-token`


@dataclass(frozen=True)
class Credentials:
    """A user name and a password. The password is in no repr.

    With the user name `<token>` the password is an identity token: a refresh token, as `az acr login` stores it.
    """

    username: str
    password: str = field(repr=False)

    @property
    def identity_token(self) -> str:
        """What tokens are asked for with instead of name and password; "" if there is none."""
        return self.password if self.username == IDENTITY else ""

    @property
    def who(self) -> str:
        """Whom a sentence is about; "" where the user name is nobody's and a token is all that is known."""
        return "" if self.username in (IDENTITY, _NOBODY) else repr(self.username)

    @property
    def basic(self) -> str:
        """The value of an Authorization header (RFC 7617)."""
        pair = f"{self.username}:{self.password}".encode()
        return "Basic " + base64.b64encode(pair).decode("ascii")


def find_credentials(
    registry: str, environ: Mapping[str, str] = os.environ, *, repository: str = ""
) -> Credentials | None:
    """The credentials for `registry` that the user has set up, or None to go on without.

    In this order: IMGVOL_USERNAME and IMGVOL_PASSWORD; Docker's config.json (in DOCKER_CONFIG, else ~/.docker);
    podman's auth.json, which may say something for `repository` alone; for an Azure Container Registry, whom
    azure-identity finds, where that is installed (`imgvol[azure]`).
    """
    username, password = environ.get("IMGVOL_USERNAME"), environ.get("IMGVOL_PASSWORD")
    if username and password:
        return Credentials(username, password)
    if username or password:
        missing = "IMGVOL_PASSWORD" if username else "IMGVOL_USERNAME"
        raise PackagerError(f"{missing} is not set; set both IMGVOL_USERNAME and IMGVOL_PASSWORD or neither")
    from packager.authfiles import auth_files, read_auth_file

    for file in auth_files(environ):
        if found := read_auth_file(file, registry, repository, environ):
            return found
    from packager.entra import azure_credentials, is_azure

    return azure_credentials(registry) if is_azure(registry) else None


def credentials_for(
    reference: Reference, auth: Credentials | None, environ: Mapping[str, str] = os.environ
) -> Credentials | None:
    """`auth` if there is one, else what the user has set up for where the reference leads."""
    return auth or find_credentials(reference.registry, environ, repository=reference.repository)
