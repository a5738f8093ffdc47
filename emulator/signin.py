"""How a registry has people sign in, and how the nodes do: the options of `imgvol up` and `imgvol registry`."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import ssl

    from emulator.node.kubelet.providers import CredentialProviders
    from emulator.registry import Registry
    from emulator.registry.acr import AcrConfig

__all__ = [
    "NODE",
    "BasicSignIn",
    "NodeSignIn",
    "RegistryAuth",
    "add_basic_options",
    "add_node_options",
    "add_registry_options",
    "listen",
]

NODE = "node"
"""The client id of the nodes' identity."""

_USER = "imgvol"
_USUAL = """
identities:
  developer: {roles: [AcrPush]}
"""


@dataclass(frozen=True)
class RegistryAuth:
    """`none`, `basic`, or `acr` by a configuration file, or by one that has an identity `developer` with AcrPush."""

    kind: Literal["none", "acr", "basic"] = "none"
    config: Path | None = None

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> RegistryAuth:
        """What the options of a command say."""
        return cls("acr" if arguments.acr_config else arguments.registry_auth, arguments.acr_config)

    def acr(self, node_identity: str = "acrpull") -> AcrConfig | None:
        """The ACR to play, None if none; ScenarioError if its configuration is wrong."""
        from emulator.registry.acr import load_config, parse_config

        if self.kind != "acr":
            return None
        config = load_config(self.config) if self.config else parse_config(_USUAL, "the usual registry")
        if node_identity == "none":
            return config.with_identity(NODE, [])
        return config if NODE in config.identities else config.with_identity(NODE, ["AcrPull"])


@dataclass(frozen=True)
class BasicSignIn:
    """One user of a registry and a password: given, or `made_up`."""

    username: str
    password: str = field(repr=False)
    made_up: bool = False

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> BasicSignIn | None:
        """What the options of `imgvol registry` say; None if not this.

        Raises:
            ValueError: they contradict each other, or no password comes.
        """
        if RegistryAuth.of(arguments).kind != "basic":
            if arguments.username or arguments.password_stdin:
                raise ValueError("--username and --password-stdin go with --registry-auth basic")
            return None
        username = arguments.username or _USER
        if not arguments.password_stdin:
            import secrets

            return cls(username, secrets.token_urlsafe(24), made_up=True)
        # The first line only: what comes after it, and when it ends, is another option's affair.
        if password := sys.stdin.readline().rstrip("\r\n"):
            return cls(username, password)
        raise ValueError("--password-stdin was given, and there is no password on standard input")

    def keep(self, path: Path) -> None:
        """Write the password to a new file for its owner alone."""
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            stream.write(f"{self.password}\n")


@dataclass(frozen=True)
class NodeSignIn:
    """How nodes get credentials of their own: by the identity they have, or by providers that somebody else wrote."""

    identity: Literal["acrpull", "none"] = "acrpull"
    config: Path | None = None
    programs: Path | None = None

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> NodeSignIn:
        """What the options of `imgvol up` say.

        Raises:
            ValueError: of two options that go together there is one.
        """
        config, programs = arguments.image_credential_provider_config, arguments.image_credential_provider_bin_dir
        if (config is None) != (programs is None):
            raise ValueError("--image-credential-provider-config and --image-credential-provider-bin-dir go together")
        return cls(arguments.node_identity, config, programs)

    def providers(self, place: Path, registry: str | None, control: str, clock: Any) -> CredentialProviders | None:
        """The providers of one node, which keeps what it needs of them below `place`.

        `registry` is the one that plays ACR, if one does. Raises ProviderConfigError.
        """
        from emulator.acr_credential_provider import install
        from emulator.node.kubelet.providers import CredentialProviders, read_config

        if self.config is not None and self.programs is not None:
            return CredentialProviders(read_config(self.config), self.programs, clock)
        if registry is None:
            return None
        metadata = f"{control}/metadata/identity/oauth2/token"
        config, programs = install(place, registry=registry, metadata=metadata, identity=NODE)
        return CredentialProviders(read_config(config), programs, clock)


def add_registry_options(parser: argparse.ArgumentParser, *, basic: bool = False) -> None:
    """Add the options that say how people sign in to a registry; `basic`: with a user name and a password, too."""
    told = "basic: one user with a password; " if basic else ""
    parser.add_argument(
        "--registry-auth",
        "--auth",
        choices=("none", "basic", "acr") if basic else ("none", "acr"),
        default="none",
        help=f"{told}acr: sign-in, scopes and permissions as of Azure Container Registry (docs/registry.md; default: "
        "none)",
    )
    parser.add_argument(
        "--acr-config",
        type=Path,
        metavar="FILE",
        help="the identities, tokens and ways of that registry, in YAML; implies --registry-auth acr",
    )


def add_basic_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say who the one user is."""
    parser.add_argument("--username", type=_user, metavar="NAME", help=f"the user of basic (default: {_USER})")
    parser.add_argument(
        "--password-stdin",
        action="store_true",
        help="read that user's password from the first line of standard input (default: one is made up, and kept in a "
        "file for its owner alone, which the line on standard output names)",
    )


def _user(text: str) -> str:
    if not text or ":" in text:
        raise argparse.ArgumentTypeError("a user name is not empty and has no colon")
    return text


def add_node_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how nodes sign in."""
    parser.add_argument(
        "--node-identity",
        choices=("acrpull", "none"),
        default="acrpull",
        help="what the nodes' identity may do in the registry that plays ACR (default: acrpull)",
    )
    parser.add_argument(
        "--image-credential-provider-config",
        type=Path,
        metavar="FILE",
        help="a kubelet's CredentialProviderConfig, for credential providers of your own",
    )
    parser.add_argument(
        "--image-credential-provider-bin-dir", type=Path, metavar="DIR", help="where the programs of these are"
    )


async def listen(
    registry: Registry,
    config: AcrConfig | None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    basic: BasicSignIn | None = None,
    tls: ssl.SSLContext | None = None,
) -> str:
    """Serve a registry with the sign-in that is asked for; its `HOST:PORT`."""
    if config is None:
        user = (basic.username, basic.password) if basic else None
        return await registry.listen(host=host, port=port, basic_auth=user, tls=tls)
    # A name, as Azure storage has: crane follows no redirect to an address that is private.
    storage = "localhost" if host == "127.0.0.1" else ""
    return await registry.listen_as_acr(config, host=host, port=port, storage=storage, tls=tls)
