"""The registry as Azure Container Registry signs people in: Entra identities, tokens, scopes and their rights.

Source: Azure/acr docs/AAD-OAuth.md and Token-BasicAuth.md; the distribution project's token specification.
"""

from emulator.registry.acr.authenticator import AcrAuthenticator
from emulator.registry.acr.downloads import Downloads
from emulator.registry.acr.rights import AcrConfig, Grant, Identity, load_config, parse_config
from emulator.registry.acr.service import NULL_GUID, TokenService
from emulator.registry.acr.tokens import Signer, TokenError

__all__ = [
    "NULL_GUID",
    "AcrAuthenticator",
    "AcrConfig",
    "Downloads",
    "Grant",
    "Identity",
    "Signer",
    "TokenError",
    "TokenService",
    "load_config",
    "parse_config",
]
