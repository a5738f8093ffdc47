"""imgvol login, logout: who we are to a registry."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from packager.commands.parsing import Subparsers, add_command, credentials, signing_in

if TYPE_CHECKING:
    from packager.console import Console
    from packager.credentials import Credentials

__all__ = ["COMMANDS", "add_parsers"]

COMMANDS = {
    "login": "check a user name and password at a registry, and store them for later",
    "logout": "remove what is stored for a registry",
}


def add_parsers(subparsers: Subparsers[Any]) -> None:
    """Add the parsers."""
    example = (
        "imgvol login registry.example:5000 --username ci --password-stdin < password\n"
        "  az acr login --name myregistry --expose-token --output tsv --query accessToken | \\\n"
        "      imgvol login myregistry.azurecr.io --username 00000000-0000-0000-0000-000000000000 --password-stdin"
    )
    login = add_command(subparsers, "login", COMMANDS["login"], example, _login)
    login.add_argument("registry", metavar="REGISTRY", help="HOST[:PORT]")
    signing_in(login)

    logout = add_command(subparsers, "logout", COMMANDS["logout"], "imgvol logout registry.example:5000", _logout)
    logout.add_argument("registry", metavar="REGISTRY", help="HOST[:PORT]")


def _login(arguments: argparse.Namespace, console: Console) -> int:
    from packager.signing_in import check_registry, login

    check_registry(arguments.registry)  # before anybody types a password
    done = login(arguments.registry, _asked(arguments))
    if not done.checked:
        console.warn([f"{done.registry} asks nobody who they are, so that the password could not be checked"])
    console.show(asdict(done), [("registry", done.registry), ("user", done.username), ("stored in", done.stored)])
    return 0


def _logout(arguments: argparse.Namespace, console: Console) -> int:
    from packager.signing_in import logout

    removed = logout(arguments.registry)
    words = "removed" if removed else "nothing was stored"
    console.show({"registry": arguments.registry, "removed": removed}, [("registry", f"{arguments.registry}: {words}")])
    return 0


def _asked(arguments: argparse.Namespace) -> Credentials:
    """The options and the environment; who sits at a terminal is asked for what is missing."""
    from packager.credentials import Credentials
    from packager.errors import UsageError

    username = arguments.username or os.environ.get("IMGVOL_USERNAME", "")
    if arguments.password_stdin or os.environ.get("IMGVOL_PASSWORD"):
        found = credentials(argparse.Namespace(username=username or None, password_stdin=arguments.password_stdin))
        if found is None:
            raise UsageError("IMGVOL_PASSWORD needs a user name, too: give --username or set IMGVOL_USERNAME")
        return found
    if not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask for a password; give --username and --password-stdin")
    import getpass

    if not username:
        print("user name: ", end="", file=sys.stderr, flush=True)
        username = sys.stdin.readline().strip()
    password = getpass.getpass("password: ")
    if not username or not password:
        raise UsageError("a user name and a password are needed")
    return Credentials(username, password)
