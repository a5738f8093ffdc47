"""How a registry has people sign in, and how the nodes do: the options of `imgvol up` and `imgvol registry`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from emulator.node.kubelet.providers import CredentialProviders
    from emulator.registry import Registry
    from emulator.registry.acr import AcrConfig

__all__ = ["NODE", "NodeSignIn", "RegistryAuth", "add_node_options", "add_registry_options", "listen"]

NODE = "node"
"""The client id of the nodes' identity."""

_USUAL = """
identities:
  developer: {roles: [AcrPush]}
"""


@dataclass(frozen=True)
class RegistryAuth:
    """`none`, or `acr` by a configuration file, or by one that has an identity `developer` with AcrPush."""

    kind: Literal["none", "acr"] = "none"
    config: Path | None = None

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> RegistryAuth:
        """What the options of a command say."""
        return cls("acr" if arguments.acr_config else arguments.registry_auth, arguments.acr_config)

    def acr(self, node_identity: str = "acrpull") -> AcrConfig | None:
        """The registry to play; ScenarioError if its configuration is wrong."""
        from emulator.registry.acr import load_config, parse_config

        if self.kind == "none":
            return None
        config = load_config(self.config) if self.config else parse_config(_USUAL, "the usual registry")
        if node_identity == "none":
            return config.with_identity(NODE, [])
        return config if NODE in config.identities else config.with_identity(NODE, ["AcrPull"])


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


def add_registry_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how people sign in to a registry."""
    parser.add_argument(
        "--registry-auth",
        "--auth",
        choices=("none", "acr"),
        default="none",
        help="acr: sign-in, scopes and permissions as of Azure Container Registry (docs/registry.md; default: none)",
    )
    parser.add_argument(
        "--acr-config",
        type=Path,
        metavar="FILE",
        help="the identities, tokens and ways of that registry, in YAML; implies --registry-auth acr",
    )


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


async def listen(registry: Registry, config: AcrConfig | None, *, host: str = "127.0.0.1", port: int = 0) -> str:
    """Serve a registry with the sign-in that is asked for; its `HOST:PORT`."""
    if config is None:
        return await registry.listen(host=host, port=port)
    # Another name, so that clients keep their credentials from it, as they do from Azure storage.
    storage = "127.0.0.2" if host == "127.0.0.1" else ""
    return await registry.listen_as_acr(config, host=host, port=port, storage=storage)
