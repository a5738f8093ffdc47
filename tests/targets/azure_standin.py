"""A stand-in for Azure: its control plane over HTTP, in the shapes of the public REST reference, and `az` beside it.

    python tests/targets/azure_standin.py KUBECONFIG REGISTRY TOKEN POOL...     serve one until standard input ends

prints, a line each, what to export for `pytest conformance --aks --acr demo`.
"""

from __future__ import annotations

import base64
import json
import re
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

SUBSCRIPTION = "00000000-1111-2222-3333-444444444444"
BIN = Path(__file__).parent / "azure_bin"
GROUP, CLUSTER, ACR = "rg-oci-artifact-demo", "aks-oci-demo", "demo"
_GROUP_PATH = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"
_CLUSTER_PATH = f"{_GROUP_PATH}/providers/Microsoft.ContainerService/managedClusters/{CLUSTER}"


def cluster(**properties: Any) -> dict[str, Any]:
    """A managed cluster as GET gives it, less what the suite does not read."""
    return {
        "id": _CLUSTER_PATH,
        "location": "swedencentral",
        "name": CLUSTER,
        "type": "Microsoft.ContainerService/ManagedClusters",
        "sku": {"name": "Base", "tier": "Free"},
        "properties": {
            "provisioningState": "Succeeded",
            "powerState": {"code": "Running"},
            "kubernetesVersion": "1.36",
            "currentKubernetesVersion": "1.36.3",
            "dnsPrefix": "aks-oci-demo",
            "fqdn": "aks-oci-demo-0a1b2c3d.hcp.swedencentral.azmk8s.io",
            "nodeResourceGroup": f"MC_{GROUP}_{CLUSTER}_swedencentral",
            "enableRBAC": True,
            "securityProfile": {},
            **properties,
        },
    }


def pool(name: str, **properties: Any) -> dict[str, Any]:
    """An agent pool as the list has it."""
    return {
        "id": f"{_CLUSTER_PATH}/agentPools/{name}",
        "name": name,
        "type": "Microsoft.ContainerService/managedClusters/agentPools",
        "properties": {
            "count": 1,
            "vmSize": "Standard_D2s_v3",
            "osType": "Linux",
            "osSKU": "AzureLinux",
            "mode": "User",
            "type": "VirtualMachineScaleSets",
            "provisioningState": "Succeeded",
            "powerState": {"code": "Running"},
            "currentOrchestratorVersion": "1.36.3",
            "nodeImageVersion": "AKSAzureLinux-V3gen2-202606.08.1",
            **properties,
        },
    }


class Standin:
    """A subscription with one cluster and one registry; `environment` leads az and the suite to it."""

    def __init__(self, directory: Path, kubeconfig: bytes, server: str, token: str) -> None:
        self.cluster = cluster()
        self.pools: list[dict[str, Any]] = []
        self.kubeconfig = kubeconfig
        self.registry: dict[str, Any] = {"loginServer": server, "roleAssignmentMode": "LegacyRegistryPermissions"}
        self.error: tuple[int, str, str] | None = None
        self.asked: list[str] = []
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"standin": self}))
        self._file = directory / "standin.json"
        self.state: dict[str, Any] = {
            "endpoint": f"http://127.0.0.1:{self._http.server_port}",
            "registries": {ACR: {"server": server, "token": token}},
        }
        self.save()
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        self.environment = {"AZURE_STANDIN": str(self._file)}

    def save(self) -> None:
        self._file.write_text(json.dumps(self.state))

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def answer(self, method: str, path: str, query: str) -> tuple[int, dict[str, Any]]:
        self.asked.append(f"{method} {path}?{query}")
        if self.error:
            status, code, message = self.error
            return status, {"error": {"code": code, "message": message}}
        if not re.fullmatch(r"api-version=20\d\d-\d\d-\d\d(&format=exec)?", query):
            return 400, {"error": {"code": "MissingApiVersionParameter", "message": "The api-version is required."}}
        registries = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.ContainerRegistry/registries"
        if (method, path) == ("GET", _CLUSTER_PATH):
            return 200, self.cluster
        if (method, path) == ("GET", f"{_CLUSTER_PATH}/agentPools"):
            return 200, {"value": self.pools}
        if (method, path) == ("POST", f"{_CLUSTER_PATH}/listClusterUserCredential"):
            value = base64.b64encode(self.kubeconfig).decode()
            return 200, {"kubeconfigs": [{"name": "clusterUser", "value": value}]}
        if (method, path) == ("GET", registries):
            return 200, {"value": [{"name": ACR, "sku": {"name": "Standard"}, "properties": self.registry}]}
        message = f"The Resource '{path.rpartition('/providers/')[2]}' under resource group '{GROUP}' was not found."
        return 404, {"error": {"code": "ResourceNotFound", "message": message}}


class JsonHandler(BaseHTTPRequestHandler):
    """Answers in JSON, and logs nothing."""

    def tell(self, status: int, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


class _Handler(JsonHandler):
    standin: Standin

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if self.headers["Authorization"] != "Bearer entra-token":
            status, body = 401, {"error": {"code": "AuthenticationFailed", "message": "Authentication failed."}}
        else:
            status, body = self.standin.answer(self.command, path, query)
        self.tell(status, body)

    do_POST = do_GET


def main() -> None:
    kubeconfig, server, token, *pools = sys.argv[1:]
    with tempfile.TemporaryDirectory() as directory:
        standin = Standin(Path(directory), Path(kubeconfig).read_bytes(), server, token)
        standin.pools = [pool(name) for name in pools]
        for name, value in standin.environment.items():
            print(f"export {name}={value}", flush=True)
        print(f"export PATH={BIN}:$PATH", flush=True)
        sys.stdin.read()
        standin.close()


if __name__ == "__main__":
    main()
