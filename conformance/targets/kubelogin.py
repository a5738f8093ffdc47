"""What kubelogin does for a cluster that Entra keeps, by the suite's own sign-in: the exec plugin of a kubeconfig.

    python -m conformance.targets.kubelogin --sign-in identity --server-id 6dae42f8-4368-4678-94ff-3960e28e3630

Clients run it whenever their token expires, so that a run may last as long as its sign-in does.
Source: client.authentication.k8s.io ExecCredential; Azure/kubelogin, `get-token`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any

import yaml

from conformance.targets.choice import AKS_SIGN_IN
from conformance.targets.sign_in import AzureError, SignIn, sign_in

__all__ = ["main", "without_kubelogin"]

# The server application of every AKS cluster that Entra keeps.
_AKS = "6dae42f8-4368-4678-94ff-3960e28e3630"
_VERSION = "client.authentication.k8s.io/v1"


def without_kubelogin(kubeconfig: bytes, who: SignIn) -> bytes:
    """The kubeconfig with this program where it calls kubelogin, once a token has been had; else as it is.

    Raises AzureError.
    """
    try:
        found = yaml.safe_load(kubeconfig)
        called = [one["user"]["exec"] for one in found["users"] if _is_kubelogin(one["user"].get("exec"))]
    except (yaml.YAMLError, UnicodeDecodeError, LookupError, TypeError, AttributeError):
        raise AzureError("credentials", "the kubeconfig that Azure gives names no users") from None
    for plugin in called:
        server = _server_id(plugin.get("args") or ())
        who.token(server)
        program = ["-P", "-m", "conformance.targets.kubelogin", "--sign-in", who.way, "--server-id", server]
        version = plugin["apiVersion"]
        plugin.clear()
        plugin |= {"apiVersion": version, "command": sys.executable, "args": program, "interactiveMode": "Never"}
    return yaml.safe_dump(found, sort_keys=False).encode() if called else kubeconfig


def _is_kubelogin(plugin: Any) -> bool:
    return bool(plugin) and PurePath(plugin["command"]).stem == "kubelogin"


def _server_id(arguments: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--server-id", default=_AKS)
    return str(parser.parse_known_args(arguments)[0].server_id)


def main() -> int:
    """Print an ExecCredential; the exit status."""
    parser = argparse.ArgumentParser(prog="kubelogin", description="A token for a cluster that Entra keeps.")
    parser.add_argument("--sign-in", choices=AKS_SIGN_IN, default=AKS_SIGN_IN[0], help="by what (default: %(default)s)")
    parser.add_argument("--server-id", default=_AKS, metavar="ID", help="the cluster's application (default: AKS's)")
    arguments = parser.parse_args()
    try:
        token = sign_in(arguments.sign_in).token(arguments.server_id)
    except AzureError as error:
        print(error, file=sys.stderr)
        return 1
    expires = datetime.fromtimestamp(token.expires, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    asked = json.loads(os.environ.get("KUBERNETES_EXEC_INFO", "{}"))
    status = {"token": token.text, "expirationTimestamp": expires}
    print(json.dumps({"apiVersion": asked.get("apiVersion", _VERSION), "kind": "ExecCredential", "status": status}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
