"""Stand-ins for Entra as azure-identity meets it, and for the API server of a cluster that Entra keeps."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import requests
import yaml
from azure_standin import JsonHandler

from emulator.certificates import issue

TENANT = "55555555-6666-7777-8888-999999999999"
SERVER = "6dae42f8-4368-4678-94ff-3960e28e3630"
SECRET = "s3cret-0f-the-service-principal"
_REGISTRY = "https://containerregistry.azure.net"


class Entra:
    """Gives tokens to service principals over HTTPS, and to a machine's identity over HTTP, for `lifetime` seconds.

    Tokens for a registry are those of `control`, an emulator's; of the control plane's there is one, which
    azure_standin.py takes; any other is a new one each time. `refuses` says why by audience; `given` by audience what
    was given.
    """

    def __init__(self, directory: Path, endpoint: str, control: str) -> None:
        self.lifetime = 3600
        self.refuses: dict[str, str] = {}
        self.given: dict[str, list[str]] = {}
        self._endpoint, self._control = endpoint, control
        context, authority = issue("stand-in")
        bundle = directory / "entra.pem"
        bundle.write_bytes(authority)
        self._machine = _serve(type("Machine", (_Machine,), {"entra": self}))
        self._authority = _serve(type("Authority", (_Authority,), {"entra": self}), context)
        self.service_principal = {
            "AZURE_AUTHORITY_HOST": f"https://127.0.0.1:{self._authority.server_port}",
            "AZURE_TENANT_ID": TENANT,
            "AZURE_CLIENT_ID": "suite",
            "AZURE_CLIENT_SECRET": SECRET,
            "AZURE_RESOURCE_MANAGER_ENDPOINT": endpoint,
            "REQUESTS_CA_BUNDLE": str(bundle),
        }
        self.machine = {
            "AZURE_POD_IDENTITY_AUTHORITY_HOST": f"http://127.0.0.1:{self._machine.server_port}",
            "AZURE_CLIENT_ID": "suite",
            "AZURE_RESOURCE_MANAGER_ENDPOINT": endpoint,
        }

    def close(self) -> None:
        for server in (self._machine, self._authority):
            server.shutdown()
            server.server_close()

    def token(self, audience: str, identity: str) -> str:
        given = self.given.setdefault(audience, [])
        if audience == _REGISTRY:
            query = {"client_id": identity, "resource": audience, "api-version": "2018-02-01"}
            url = f"{self._control}/metadata/identity/oauth2/token"
            answer = requests.get(url, params=query, headers={"Metadata": "true"}, timeout=30)
            given.append(answer.json()["access_token"])
        else:
            given.append("entra-token" if audience == self._endpoint else f"t0ken-{len(given)}-for-{audience}")
        return given[-1]


class Kept:
    """The API server of a kubeconfig's cluster, as one that lets in whoever has a token of Entra's for it alone.

    From a request on whose method and path meet `until`, all that Entra gave has expired, and it gives no more.
    """

    def __init__(self, entra: Entra, kubeconfig: bytes) -> None:
        found = yaml.safe_load(kubeconfig)
        (cluster,), (user,) = found["clusters"], found["users"]
        self.entra, self.seen, self.until = entra, [], None
        self._address = urlsplit(cluster["cluster"]["server"])
        self._inner = ssl.create_default_context(
            cadata=base64.b64decode(cluster["cluster"]["certificate-authority-data"]).decode()
        )
        self._token = user["user"]["token"]
        context, authority = issue("stand-in")
        self._server = _serve(type("Door", (_Door,), {"kept": self}), context)
        cluster["cluster"] = {
            "server": f"https://127.0.0.1:{self._server.server_port}",
            "certificate-authority-data": base64.b64encode(authority).decode(),
        }
        words = ["get-token", "--environment", "AzurePublicCloud", "--server-id", SERVER]
        words += ["--client-id", "80faf920-1908-4b52-b5ef-a8e7bedfc67a", "--tenant-id", TENANT, "--login", "devicecode"]
        user["user"] = {
            "exec": {
                "apiVersion": "client.authentication.k8s.io/v1beta1",
                "args": words,
                "command": "kubelogin",
                "env": None,
                "installHint": "kubelogin is not installed which is required to connect to AAD enabled cluster.",
                "provideClusterInfo": False,
            }
        }
        self.kubeconfig = yaml.safe_dump(found).encode()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def inner(self) -> ssl.SSLSocket:
        address = (self._address.hostname, self._address.port)
        return self._inner.wrap_socket(socket.create_connection(address, 60), server_hostname=address[0])

    def authorization(self, asked: str, request: str) -> str:
        """What to ask the API server with, of somebody whom Entra knows; empty for somebody else."""
        if self.until and self.until(request):
            self.entra.refuses[SERVER] = "AADSTS70043: The refresh token has expired."
            self.entra.given[SERVER] = []
        token = asked.removeprefix("Bearer ")
        if token not in self.entra.given.get(SERVER, ()):
            return ""
        self.seen.append(token)
        return f"Bearer {self._token}"


def _serve(handler: type[BaseHTTPRequestHandler], context: ssl.SSLContext | None = None) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if context:
        # Hands are shaken by the thread that reads, so that a silent client keeps nobody waiting.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class _Machine(JsonHandler):
    """The metadata service: GET /metadata/identity/oauth2/token."""

    entra: Entra

    def do_GET(self) -> None:
        asked = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        audience = asked.get("resource", "").rstrip("/")
        if self.headers.get("Metadata") != "true" or not self.path.startswith("/metadata/identity/oauth2/token?"):
            self.tell(400, {"error": "invalid_request", "error_description": "Required metadata header not specified"})
        elif why := self.entra.refuses.get(audience):
            self.tell(400, {"error": "invalid_request", "error_description": why})
        else:
            expires = {
                "expires_in": str(self.entra.lifetime),
                "expires_on": str(int(time.time()) + self.entra.lifetime),
            }
            token = self.entra.token(audience, asked.get("client_id", ""))
            self.tell(200, {"access_token": token, "resource": audience, "token_type": "Bearer", **expires})


class _Authority(JsonHandler):
    """A tenant's OpenID configuration, and its token endpoint for client credentials."""

    entra: Entra

    def do_GET(self) -> None:
        here = f"https://{self.headers['Host']}/{TENANT}"
        if self.path != f"/{TENANT}/v2.0/.well-known/openid-configuration":
            self.tell(404, {"error": "not_found"})
            return
        ends = {name: f"{here}/oauth2/v2.0/{name}" for name in ("token", "authorize", "devicecode")}
        self.tell(
            200,
            {
                "issuer": f"{here}/v2.0",
                "token_endpoint": ends["token"],
                "authorization_endpoint": ends["authorize"],
                "device_authorization_endpoint": ends["devicecode"],
            },
        )

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        asked = {name: values[0] for name, values in form.items()}
        audience = asked["scope"].removesuffix("/.default")
        if (asked["grant_type"], asked["client_secret"]) != ("client_credentials", SECRET):
            self.tell(
                401, {"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret provided."}
            )
        elif why := self.entra.refuses.get(audience):
            self.tell(401, {"error": "invalid_client", "error_description": why})
        else:
            token = self.entra.token(audience, asked["client_id"])
            expires = {"expires_in": self.entra.lifetime, "ext_expires_in": self.entra.lifetime}
            self.tell(200, {"token_type": "Bearer", **expires, "access_token": token})


class _Door(JsonHandler):
    """Passes a request on if it may, and the answer back as it comes: watches stream."""

    kept: Kept

    def do_GET(self) -> None:
        authorization = self.kept.authorization(self.headers.get("Authorization", ""), f"{self.command} {self.path}")
        if not authorization:
            self.tell(401, {"kind": "Status", "status": "Failure", "message": "Unauthorized", "code": 401})
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        kept = {name.title(): value for name, value in self.headers.items()}
        headers = kept | {"Authorization": authorization, "Connection": "close"}
        lines = [
            f"{self.command} {self.path} HTTP/1.1",
            *(f"{name}: {value}" for name, value in headers.items()),
            "",
            "",
        ]
        # Whoever has seen enough of a watch hangs up.
        with self.kept.inner() as inner, contextlib.suppress(OSError):
            inner.sendall("\r\n".join(lines).encode() + body)
            while content := inner.recv(65536):
                self.wfile.write(content)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET
