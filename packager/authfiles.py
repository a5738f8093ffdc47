"""The files in which Docker and podman keep credentials: `auths`, `credHelpers`, `credsStore` (docker/cli, config
file; containers-auth.json(5)).

A file is only read and changed here; what comes from it is checked by whoever signs in with it.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from packager.credentialhelpers import ask_helper, is_installed
from packager.credentials import IDENTITY, Credentials
from packager.errors import PackagerError, from_os_error

__all__ = ["auth_files", "docker_file", "helper_for", "load_auth_file", "read_auth_file", "store_auth_file"]

_DOCKER_HUB = "https://index.docker.io/v1/"  # the key Docker has always used


def docker_file(environ: Mapping[str, str] = os.environ) -> Path:
    """Docker's file: in DOCKER_CONFIG, else in ~/.docker. It need not exist."""
    home = Path(environ.get("HOME") or "~").expanduser()
    return Path(environ.get("DOCKER_CONFIG") or home / ".docker") / "config.json"


def auth_files(environ: Mapping[str, str] = os.environ) -> Iterator[Path]:
    """Where credentials may be, in order: Docker's file, then podman's. They need not exist."""
    yield docker_file(environ)
    home = Path(environ.get("HOME") or "~").expanduser()
    if named := environ.get("REGISTRY_AUTH_FILE"):
        yield Path(named)
    if runtime := environ.get("XDG_RUNTIME_DIR"):
        yield Path(runtime) / "containers" / "auth.json"
    yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "containers" / "auth.json"


def read_auth_file(
    file: Path, registry: str, repository: str = "", environ: Mapping[str, str] = os.environ
) -> Credentials | None:
    """What a file says about `registry`, or about the longest part of REGISTRY/REPOSITORY that it names; None if
    nothing. A helper that the file names is asked."""
    config = load_auth_file(file)
    names = list(_names(registry, repository))
    helpers = config.get("credHelpers")
    if isinstance(helpers, dict):
        for name in names:
            if isinstance(helpers.get(name), str):
                return ask_helper(helpers[name], name, environ)
    entries = config.get("auths")
    if isinstance(entries, dict):
        plain = {_plain(key): entry for key, entry in entries.items()} | entries
        for name in names:
            if found := _entry(plain.get(name), registry, file):
                return found
    store = config.get("credsStore")
    # Of a store that is for everything, the program may be missing, as where a desktop's file is shared with a server.
    if isinstance(store, str) and is_installed(store, environ):
        return ask_helper(store, _key(registry), environ)
    return None


def helper_for(config: Mapping[str, Any], registry: str) -> str:
    """The helper that keeps the credentials for `registry`, or "" if the file itself does."""
    helpers = config.get("credHelpers")
    named = helpers.get(registry) if isinstance(helpers, dict) else None
    return str(named or config.get("credsStore") or "")


def load_auth_file(file: Path) -> dict[str, Any]:
    """A file's content; {} if there is no file. PackagerError if it cannot be read."""
    try:
        config = json.loads(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise PackagerError(f"cannot read {file}: {(error.strerror or '').lower()}") from error
    except ValueError:
        raise PackagerError(f"{file} is not JSON; mend it or set DOCKER_CONFIG to another directory") from None
    return config if isinstance(config, dict) else {}


def store_auth_file(file: Path, registry: str, credentials: Credentials | None) -> bool:
    """Write what is to be known about `registry`, or remove it; whatever else is in the file stays.

    The file is replaced as a whole and only its owner may read it. False if there was nothing to remove.
    """
    config = load_auth_file(file)
    entries = config.get("auths")
    entries = dict(entries) if isinstance(entries, dict) else {}
    kept = {key: entry for key, entry in entries.items() if registry not in (key, _plain(key))}
    if credentials is None and kept == entries:
        return False
    if credentials is not None:
        kept[_key(registry)] = _stored(credentials)
    _replace(file, config | {"auths": kept})
    return True


def _stored(credentials: Credentials) -> dict[str, str]:
    if credentials.identity_token:
        nobody = base64.b64encode(b"00000000-0000-0000-0000-000000000000:").decode("ascii")
        return {"auth": nobody, "identitytoken": credentials.identity_token}
    return {"auth": credentials.basic.removeprefix("Basic ")}


def _replace(file: Path, config: dict[str, Any]) -> None:
    real = Path(os.path.realpath(file))  # a symbolic link stays one
    draft = real.with_name(f".{real.name}.{secrets.token_hex(4)}.draft")
    try:
        real.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w") as opened:
            json.dump(config, opened, indent="\t")
            opened.flush()
            os.fsync(opened.fileno())
        draft.replace(real)
    except OSError as error:
        raise from_os_error(error, f"write {file}") from error
    finally:
        with suppress(OSError):
            draft.unlink()


def _entry(entry: object, registry: str, file: Path) -> Credentials | None:
    if not isinstance(entry, dict):
        return None
    if isinstance(token := entry.get("identitytoken"), str) and token:
        return Credentials(IDENTITY, token)
    if not entry.get("auth"):
        return None
    try:
        username, _, password = base64.b64decode(entry["auth"], validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, TypeError, ValueError):
        raise PackagerError(f"the entry for {registry} in {file} is not base64 of USER:PASSWORD") from None
    return Credentials(username, password.rstrip("\0")) if username and password else None


def _names(registry: str, repository: str) -> Iterator[str]:
    path = f"{registry}/{repository}" if repository else registry
    while path != registry:
        yield path
        path = path.rpartition("/")[0]
    yield registry
    if (key := _key(registry)) != registry:
        yield key


def _key(registry: str) -> str:
    return _DOCKER_HUB if registry in ("docker.io", "index.docker.io", "registry-1.docker.io") else registry


def _plain(key: str) -> str:
    """`https://HOST/v1/` as older tools wrote it, and HOST."""
    scheme, found, rest = key.partition("://")
    return rest.partition("/")[0] if found and scheme in ("http", "https") else key
