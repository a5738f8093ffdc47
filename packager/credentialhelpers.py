"""Credential helpers: programs that keep secrets for others (docker/docker-credential-helpers, the protocol).

Secrets go over standard input and output, never over a command line.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping

from packager.credentials import Credentials
from packager.errors import PackagerError

__all__ = ["ask_helper", "erase_in_helper", "is_installed", "store_in_helper"]

_TIMEOUT = 120.0  # seconds: a helper may ask its user
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NOT_FOUND = "credentials not found in native keychain"


def is_installed(name: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether there is a `docker-credential-NAME` on PATH."""
    return _program(name, environ) is not None


def ask_helper(name: str, registry: str, environ: Mapping[str, str] = os.environ) -> Credentials | None:
    """What `docker-credential-NAME` knows about `registry`; None if it says that it knows nothing."""
    status, output = _run(name, "get", registry, environ)
    if status:
        if output.strip() == _NOT_FOUND:
            return None
        raise PackagerError(f"docker-credential-{name} failed to give the credentials for {registry}; try it by hand")
    try:
        found = json.loads(output)
        username, secret = found["Username"], found["Secret"]
    except (ValueError, LookupError, TypeError):
        raise PackagerError(f"docker-credential-{name} gave no JSON with Username and Secret for {registry}") from None
    return Credentials(str(username), str(secret)) if username and secret else None


def store_in_helper(
    name: str, registry: str, credentials: Credentials, environ: Mapping[str, str] = os.environ
) -> None:
    """Have `docker-credential-NAME` keep the credentials for `registry`."""
    entry = {"ServerURL": registry, "Username": credentials.username, "Secret": credentials.password}
    if _run(name, "store", json.dumps(entry), environ)[0]:
        raise PackagerError(f"docker-credential-{name} did not store the credentials for {registry}; try it by hand")


def erase_in_helper(name: str, registry: str, environ: Mapping[str, str] = os.environ) -> None:
    """Have `docker-credential-NAME` forget the credentials for `registry`."""
    status, output = _run(name, "erase", registry, environ)
    if status and output.strip() != _NOT_FOUND:
        raise PackagerError(f"docker-credential-{name} did not erase the credentials for {registry}; try it by hand")


def _run(name: str, verb: str, text: str, environ: Mapping[str, str]) -> tuple[int, str]:
    """Exit status and output of a helper. What it says when it fails is not shown: it may hold a secret."""
    program = _program(name, environ)
    if program is None:
        raise PackagerError(f"the credential helper docker-credential-{name} is not on PATH; install it")
    try:
        done = subprocess.run(
            [program, verb],
            input=text,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            env=dict(environ),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise PackagerError(f"docker-credential-{name} did not answer in {_TIMEOUT:.0f} seconds") from None
    except (OSError, UnicodeDecodeError):
        raise PackagerError(f"docker-credential-{name} cannot be run; try it by hand") from None
    return done.returncode, done.stdout


def _program(name: str, environ: Mapping[str, str]) -> str | None:
    return shutil.which(f"docker-credential-{name}", path=environ.get("PATH")) if _NAME.fullmatch(name) else None
