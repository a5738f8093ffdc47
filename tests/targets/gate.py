"""A proxy before an API server, which refuses as authorization and admission of a real cluster do, and changes pods as
a mutating webhook does; everything else passes, watches too."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import urllib3
import yaml

from emulator.cluster.http.paths import Target, parse

USER = "6f6e6c79-2d61-4e74-8573-742d75736572"
# What the authorizer of AKS adds where Azure RBAC decides (Azure/guard: authz/providers/azure).
AZURE = "User does not have access to the resource in Azure. Update role assignment to allow access."
_REVIEWS = "selfsubjectaccessreviews"

Admission = Callable[[dict[str, Any]], str]


def safeguards(pod: dict[str, Any]) -> str:
    """Why the Gatekeeper of Azure Policy refuses a pod whose volumes are images; empty if it does not."""
    if not any("image" in volume for volume in pod["spec"].get("volumes", ())):
        return ""
    return (
        'admission webhook "validation.gatekeeper.sh" denied the request: [azurepolicy-k8sazurev3allowedvolumetypes-'
        f'0a1b2c3d4e5f6a7b8c9d] One of the volume types {{"image"}} is not allowed, pod: {pod["metadata"]["name"]}. '
        'Allowed volume types: ["configMap", "emptyDir", "projected", "secret", "downwardAPI", "persistentVolumeClaim"]'
    )


class Gate:
    """`kubeconfig` leads through it.

    denied: (verb, resource) that the user lacks, e.g. ("create", "namespaces") or ("get", "pods/log"). reviews: whether
    it can be asked what a user may do. admit: why a pod is refused, empty if it is not; code: the status of that.
    change: what is done to a pod before.
    """

    def __init__(self, kubeconfig: Path) -> None:
        self.denied: set[tuple[str, str]] = set()
        self.reviews = True
        self.admit: Admission = lambda _: ""
        self.code, self.reason = 403, "Forbidden"
        self.change: Callable[[dict[str, Any]], None] = lambda _: None
        config = yaml.safe_load(kubeconfig.read_text())
        cluster = config["clusters"][0]["cluster"]
        authority = base64.b64decode(cluster.pop("certificate-authority-data")).decode()
        context = ssl.create_default_context(cadata=authority)
        self._behind = urllib3.PoolManager(ssl_context=context, maxsize=32, block=False, retries=False)
        self._server = cluster["server"]
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"gate": self}))
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        cluster["server"] = f"http://127.0.0.1:{self._http.server_port}"
        self.kubeconfig = yaml.safe_dump(config).encode()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._behind.clear()

    def answer(self, method: str, path: str, headers: Any, body: bytes) -> tuple[int, dict[str, str], Iterator[bytes]]:
        plain, _, query = path.partition("?")
        asked = parse(method, plain, {"watch": "1"} if "watch=" in query else {})
        if asked and (refused := self._refused(asked, body)):
            return refused["code"], {"Content-Type": "application/json"}, iter([json.dumps(refused).encode()])
        if asked and asked.plural == _REVIEWS and self._lacks(json.loads(body)):
            told = {**json.loads(body), "status": {"allowed": False, "reason": AZURE}}
            return 201, {"Content-Type": "application/json"}, iter([json.dumps(told).encode()])
        if asked and _makes_a_pod(asked):
            pod = json.loads(body)
            self.change(pod)
            body = json.dumps(pod).encode()
        sent = {name: value for name, value in headers.items() if name not in {"Host", "Content-Length", "Connection"}}
        found = self._behind.request(method, self._server + path, body=body, headers=sent, preload_content=False)
        kept = {name: value for name, value in found.headers.items() if name.lower() == "content-type"}
        return found.status, kept, found.stream(None, decode_content=False)

    def _refused(self, asked: Target, body: bytes) -> dict[str, Any] | None:
        resource = "/".join(filter(None, (asked.plural, asked.subresource)))
        if asked.plural == _REVIEWS:
            return (
                None if self.reviews else _status(404, "NotFound", "the server could not find the requested resource")
            )
        if (asked.verb, resource) in self.denied:
            where = f'in the namespace "{asked.namespace}"' if asked.namespace else "at the cluster scope"
            subject = f'{asked.plural} "{asked.name}"' if asked.name else asked.plural
            return _status(
                403,
                "Forbidden",
                f'{subject} is forbidden: User "{USER}" cannot {asked.verb} resource "{resource}" in API group '
                f'"{asked.group}" {where}: {AZURE}',
            )
        if _makes_a_pod(asked) and (why := self.admit(json.loads(body))):
            return _status(self.code, self.reason, why)
        return None

    def _lacks(self, review: dict[str, Any]) -> bool:
        asked = review["spec"]["resourceAttributes"]
        resource = "/".join(filter(None, (asked["resource"], asked.get("subresource"))))
        return (asked["verb"], resource) in self.denied


def _makes_a_pod(asked: Target) -> bool:
    return (asked.verb, asked.plural, asked.subresource) == ("create", "pods", "")


def _status(code: int, reason: str, message: str) -> dict[str, Any]:
    whole = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    return {**whole, "message": message, "reason": reason, "code": code}


class _Handler(BaseHTTPRequestHandler):
    gate: Gate
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, headers, chunks = self.gate.answer(self.command, self.path, self.headers, body)
        self.send_response(status)
        self.send_header("Transfer-Encoding", "chunked")  # so that clients read what there is at once
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            for chunk in filter(None, chunks):
                self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            self.wfile.write(b"0\r\n\r\n")
        except (OSError, urllib3.exceptions.HTTPError):
            self.close_connection = True
        finally:
            if close := getattr(chunks, "close", None):
                close()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def log_message(self, *_: object) -> None:
        pass
