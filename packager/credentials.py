"""Who we are to a registry: a user name and a password, from the caller, the environment or Docker's file."""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from packager.errors import PackagerError

__all__ = ["Credentials", "find_credentials"]


@dataclass(frozen=True)
class Credentials:
    """A user name and a password. The password is in no repr."""

    username: str
    password: str = field(repr=False)

    @property
    def basic(self) -> str:
        """The value of an Authorization header (RFC 7617)."""
        pair = f"{self.username}:{self.password}".encode()
        return "Basic " + base64.b64encode(pair).decode("ascii")


def find_credentials(registry: str, environ: Mapping[str, str] = os.environ) -> Credentials | None:
    """The credentials for `registry` that the user has set up, or None to go on without.

    IMGVOL_USERNAME and IMGVOL_PASSWORD first, then the entry of `auths` in Docker's config.json (in
    DOCKER_CONFIG, else ~/.docker). An entry that keeps its secret elsewhere (a helper, an identity token)
    gives none.
    """
    username, password = environ.get("IMGVOL_USERNAME"), environ.get("IMGVOL_PASSWORD")
    if username and password:
        return Credentials(username, password)
    if username or password:
        missing = "IMGVOL_PASSWORD" if username else "IMGVOL_USERNAME"
        raise PackagerError(f"{missing} is not set; set both IMGVOL_USERNAME and IMGVOL_PASSWORD or neither")
    home = environ.get("DOCKER_CONFIG") or str(Path(environ.get("HOME") or "~").expanduser() / ".docker")
    return _from_docker(Path(home) / "config.json", registry)


def _from_docker(file: Path, registry: str) -> Credentials | None:
    try:
        config = json.loads(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise PackagerError(f"cannot read {file}: {(error.strerror or '').lower()}") from error
    except ValueError:
        raise PackagerError(f"{file} is not JSON; mend it or set DOCKER_CONFIG to another directory") from None
    entries = config.get("auths") if isinstance(config, dict) else None
    entry = entries.get(registry) if isinstance(entries, dict) else None
    if not isinstance(entry, dict) or not entry.get("auth") or "identitytoken" in entry:
        return None
    try:
        username, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, TypeError):
        raise PackagerError(f"the entry for {registry} in {file} is not base64 of USER:PASSWORD") from None
    return Credentials(username, password) if username and password else None
