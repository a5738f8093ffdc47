"""The credential provider of an AKS node, as a program: asks the machine's identity for a token, and the registry for
a refresh token in exchange. A kubelet runs it by the v1 plugin protocol, with the path of its configuration.

Source: kubernetes-sigs/cloud-provider-azure, pkg/credentialprovider/azure_credentials.go.
"""

from __future__ import annotations

import json
import shlex
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

__all__ = ["install", "main"]

_NAME = "acr-credential-provider"
_API = "credentialprovider.kubelet.k8s.io/v1"
_NULL_GUID = "00000000-0000-0000-0000-000000000000"
_RESOURCE = "https://containerregistry.azure.net/"
_TIMEOUT = 30
_CONFIG = """\
apiVersion: kubelet.config.k8s.io/v1
kind: CredentialProviderConfig
providers:
  - name: {name}
    apiVersion: {api}
    defaultCacheDuration: 10m
    matchImages: [{registry}]
    args: [{azure}]
"""


def install(directory: Path, *, registry: str, metadata: str, identity: str) -> tuple[Path, Path]:
    """Put the program and its configuration on a node, as AKS does.

    `registry` is the `HOST:PORT` that it signs in to (on AKS it is `*.azurecr.io` and its like), `metadata` the URL of
    the metadata service, `identity` the client id of the node's identity. The results are what a kubelet is given:
    `--image-credential-provider-config` and `--image-credential-provider-bin-dir`.
    """
    programs = directory / "bin"
    programs.mkdir(parents=True)
    program = programs / _NAME
    # A script that names this very Python: the node's PATH may have another one, or none.
    root = shlex.quote(str(Path(__file__).parents[1]))
    started = f"PYTHONPATH={root} exec {shlex.quote(sys.executable)} -m {__name__}"
    program.write_text(f'#!/bin/sh\n{started} "$@"\n')
    program.chmod(0o755)
    azure = directory / "azure.json"
    azure.write_text(
        json.dumps(
            {"userAssignedIdentityID": identity, "metadata": metadata, "registry": registry, "tenantId": "imgvol"}
        )
    )
    config = directory / "credential-provider-config.yaml"
    config.write_text(_CONFIG.format(name=_NAME, api=_API, registry=json.dumps(registry), azure=json.dumps(str(azure))))
    return config, programs


def main(arguments: list[str], request: str) -> int:
    """Answer a request for credentials on standard output; the result is the exit status."""
    try:
        config = json.loads(Path(arguments[0]).read_text())
        asked = json.loads(request)
        registry = str(asked["image"]).partition("/")[0]
    except (OSError, ValueError, LookupError, TypeError) as error:
        return _failed(f"wrong configuration or request: {type(error).__name__}")
    auth: dict[str, dict[str, str]] = {}
    if registry == config["registry"]:
        try:
            refresh = _exchange(registry, config)
        except (OSError, ValueError, LookupError) as error:
            return _failed(f"failed to get credentials from ACR for {registry}: {_told(error)}")
        auth[registry] = {"username": _NULL_GUID, "password": refresh}
        # An empty entry besides, for registries that let everybody pull: *.azurecr.* on AKS.
        host, _, port = registry.partition(":")
        auth[".".join("*" for _ in host.split(".")) + (f":{port}" if port else "")] = {"username": "", "password": ""}
    response: dict[str, Any] = {
        "kind": "CredentialProviderResponse",
        "apiVersion": _API,
        "cacheKeyType": "Registry",
        "cacheDuration": "60m" if auth else "0s",
        "auth": auth,
    }
    print(json.dumps(response))
    return 0


def _exchange(registry: str, config: dict[str, Any]) -> str:
    query = urllib.parse.urlencode(
        {"api-version": "2018-02-01", "resource": _RESOURCE, "client_id": config["userAssignedIdentityID"]}
    )
    identity = urllib.request.Request(f"{config['metadata']}?{query}", headers={"Metadata": "true"})  # noqa: S310
    form = {
        # Deprecated by the registry, and what the provider still sends.
        "grant_type": "access_token_refresh_token",
        "service": registry,
        "tenant": config["tenantId"],
        "access_token": _ask(identity)["access_token"],
    }
    exchange = urllib.request.Request(
        f"http://{registry}/oauth2/exchange", data=urllib.parse.urlencode(form).encode(), method="POST"
    )
    return str(_ask(exchange)["refresh_token"])


def _ask(request: urllib.request.Request) -> dict[str, Any]:
    # What is on this machine needs no proxy, whatever the environment says.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=_TIMEOUT) as answer:
        return dict(json.load(answer))


def _told(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        with error:
            return f"{error.url.partition('?')[0]} answered {error.code} {error.reason}"
    return type(error).__name__ if not isinstance(error, OSError) else str(error)


def _failed(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdin.read()))
