# ruff: noqa: E501  (the texts stand as the API server writes them)
"""What the server says to those it does not let in, and to requests it cannot read."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from emulator.cluster import Api, ApiServer

Answer = tuple[int, dict[str, str], Any]
Ask = Callable[..., Answer]


@pytest.fixture
def ask(server) -> Ask:
    """A request: method, path, body and headers; with the token unless `token` says otherwise."""
    authority = base64.b64decode(server.https.kubeconfig["clusters"][0]["cluster"]["certificate-authority-data"])
    context = ssl.create_default_context(cadata=authority.decode())
    own = server.https.kubeconfig["users"][0]["user"]["token"]

    def ask(method: str, path: str, body: Any = None, *, token: str | None = own, **headers: str) -> Answer:
        host, port = server.https.address.split(":")
        connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=10)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        connection.request(method, path, data, sent)
        response = connection.getresponse()
        text = response.read()
        connection.close()
        json_sent = response.headers.get_content_type() == "application/json"
        return response.status, dict(response.headers), json.loads(text) if json_sent else text.decode()

    return ask


@pytest.mark.parametrize("token", ["wrong", ""])
def test_a_wrong_token_is_unauthorized(ask, token):
    assert ask("GET", "/api/v1/pods", token=token)[::2] == (
        401,
        {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": "Unauthorized",
            "reason": "Unauthorized",
            "code": 401,
        },
    )


@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        ("GET", "/api/v1/pods", 'pods is forbidden: User "system:anonymous" cannot list resource "pods" in API group "" at the cluster scope'),
        ("GET", "/api/v1/namespaces/default/pods/x", 'pods "x" is forbidden: User "system:anonymous" cannot get resource "pods" in API group "" in the namespace "default"'),
        ("GET", "/api/v1/pods?watch=1", 'pods is forbidden: User "system:anonymous" cannot watch resource "pods" in API group "" at the cluster scope'),
        ("POST", "/apis/apps/v1/namespaces/default/deployments", 'deployments.apps is forbidden: User "system:anonymous" cannot create resource "deployments" in API group "apps" in the namespace "default"'),
        ("GET", "/api/v1/namespaces/default/pods/x/log", 'pods "x" is forbidden: User "system:anonymous" cannot get resource "pods/log" in API group "" in the namespace "default"'),
        ("GET", "/apis", 'forbidden: User "system:anonymous" cannot get path "/apis"'),
    ],
)  # fmt: skip
def test_nobody_in_particular_is_forbidden(ask, method, path, message):
    status, _, body = ask(method, path, token=None)
    assert (status, body["reason"], body["message"]) == (403, "Forbidden", message)


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz"])
def test_health_is_public(ask, path):
    assert ask("GET", path, token=None)[::2] == (200, "ok")


def test_the_version_is_public(ask):
    assert ask("GET", "/version", token=None)[2]["gitVersion"] == "v1.36.3"


def test_each_server_has_a_token_of_its_own():
    async def tokens() -> set[str]:
        found = set()
        for _ in range(2):
            server = ApiServer(Api())
            await server.start()
            found.add(server.kubeconfig["users"][0]["user"]["token"])
            await server.stop()
        return found

    assert len(asyncio.run(tokens())) == 2


def test_the_certificate_is_trusted_through_the_kubeconfig_only(server):
    host, port = server.https.address.split(":")
    connection = http.client.HTTPSConnection(host, int(port), context=ssl.create_default_context(), timeout=10)
    with pytest.raises(ssl.SSLCertVerificationError):
        connection.request("GET", "/version")
    connection.close()


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "message"),
    [
        ("GET", "/api/v1/nothings", None, {}, 404, "the server could not find the requested resource"),
        ("GET", "/apis/batch/v1/jobs", None, {}, 404, "the server could not find the requested resource"),
        ("GET", "/openapi/v2", None, {}, 404, "the emulator does not serve OpenAPI v2 documents"),
        ("POST", "/api/v1/namespaces/default/pods/x/exec", None, {}, 501, "the emulator does not model pods/exec"),
        ("GET", "/api/v1/namespaces/default/pods/x/attach", None, {}, 501, "the emulator does not model pods/attach"),
        ("GET", "/api/v1/namespaces/default/pods/x/portforward", None, {}, 501, "the emulator does not model pods/portforward"),
        ("POST", "/api/v1/pods", {}, {}, 405, "the server does not allow this method on the requested resource"),
        ("DELETE", "/api/v1/namespaces", None, {}, 405, "the server does not allow this method on the requested resource"),
        ("POST", "/api/v1/namespaces", b"{", {}, 400, "json parse error"),
        ("POST", "/api/v1/namespaces", b"[]", {}, 400, "the body is not a JSON object"),
        ("POST", "/api/v1/namespaces", b"x", {"Content_Type": "application/vnd.kubernetes.protobuf"}, 415, "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml"),
        ("GET", "/api/v1/namespaces", None, {"Accept": "application/vnd.kubernetes.protobuf"}, 406, "only the following media types are accepted: application/json"),
        ("GET", "/api/v1/namespaces?limit=x", None, {}, 400, 'limit: strconv.ParseInt: parsing "x": invalid syntax'),
        ("GET", "/api/v1/namespaces?resourceVersion=99999999", None, {}, 504, "Too large resource version: 99999999"),
        ("GET", "/api/v1/namespaces?watch=1&resourceVersion=x", None, {}, 400, 'invalid resource version "x"'),
        ("POST", "/api/v1/namespaces?dryRun=Some", {"metadata": {"name": "x"}}, {}, 422, "dryRun: Unsupported value"),
        ("DELETE", "/api/v1/namespaces/x?propagationPolicy=Never", None, {}, 422, 'propagationPolicy: Unsupported value: "Never"'),
        ("PATCH", "/api/v1/namespaces/default", {}, {"Content_Type": "application/json"}, 415, "application/strategic-merge-patch+json"),
        ("PUT", "/api/v1/namespaces/default", {"metadata": {"name": "other"}}, {}, 400, "the name of the object (other) does not match the name on the URL (default)"),
        ("POST", "/api/v1/namespaces/default/configmaps", {"metadata": {"name": "x", "namespace": "other"}}, {}, 400, "the namespace of the provided object does not match the namespace sent on the request"),
    ],
)  # fmt: skip
def test_requests_that_cannot_be_served(ask, method, path, body, headers, status, message):
    code, _, document = ask(method, path, body, **headers)
    assert code == status, document
    assert message in document["message"]
    assert document["kind"] == "Status"


def test_tables_are_answered_with_plain_lists_where_the_client_takes_them(ask):
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
    assert ask("GET", "/api/v1/namespaces", Accept=accept)[2]["kind"] == "NamespaceList"
    assert ask("GET", "/api/v1/namespaces", Accept="application/json;as=Table;v=v1;g=meta.k8s.io")[0] == 406


def test_yaml_bodies(ask):
    body = b"metadata: {name: x, annotations: {when: '2001-01-01T00:00:00Z'}}\n"
    status, _, made = ask("POST", "/api/v1/namespaces", body, Content_Type="application/yaml")
    assert (status, made["metadata"]["annotations"]) == (201, {"when": "2001-01-01T00:00:00Z"})


def test_a_dry_run_over_http(ask):
    assert ask("POST", "/api/v1/namespaces?dryRun=All", {"metadata": {"name": "x"}})[0] == 201
    assert ask("GET", "/api/v1/namespaces/x")[0] == 404


def test_a_replace_may_create_an_event_but_no_pod(ask):
    body = {"metadata": {"name": "x"}, "involvedObject": {"namespace": "default"}}
    assert ask("PUT", "/api/v1/namespaces/default/events/x", body)[0] == 201
    assert ask("PUT", "/api/v1/namespaces/default/configmaps/x", {"metadata": {"name": "x"}})[0] == 404


def test_a_body_of_more_than_three_megabytes(ask):
    body = {"metadata": {"name": "x"}, "data": {"a": "x" * (3 * 1024 * 1024)}}
    status, _, document = ask("POST", "/api/v1/namespaces/default/configmaps", body)
    assert (status, document["reason"]) == (413, "RequestEntityTooLarge")


def test_a_taken_port_is_said_at_the_start(server):
    port = int(server.https.address.split(":")[1])

    async def start() -> None:
        await ApiServer(Api(), port=port).start()

    with pytest.raises(OSError, match="address already in use"):
        asyncio.run(start())


def test_stopping_ends_watches_at_once(server):
    host, port = server.https.address.split(":")
    token = server.https.kubeconfig["users"][0]["user"]["token"]
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=10)
    connection.request("GET", "/api/v1/pods?watch=1", headers={"Authorization": f"Bearer {token}"})
    response = connection.getresponse()
    began = time.monotonic()
    server.wait(server.https.stop())
    assert response.read() == b""
    assert time.monotonic() - began < 8  # well before the client gives up
    connection.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=5)


def test_a_server_is_ready_in_a_fraction_of_a_second_of_its_imports():
    program = (
        "import asyncio, time, aiohttp.web, emulator.certificates, emulator.cluster.http.dispatch\n"
        "from emulator.cluster import Api, ApiServer\n"
        "async def main():\n"
        "    began = time.perf_counter()\n"
        "    server = ApiServer(Api())\n"
        "    await server.start()\n"
        "    print(time.perf_counter() - began)\n"
        "    await server.stop()\n"
        "asyncio.run(main())\n"
    )
    runs = [
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True) for _ in range(3)
    ]
    assert min(float(run.stdout) for run in runs) < 0.3


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kubectl(server, tmp_path):
    config = tmp_path / "kubeconfig"
    config.write_text(yaml.safe_dump(server.https.kubeconfig))

    def kubectl(*arguments: str, given: str | None = None) -> str:
        command = ["kubectl", f"--kubeconfig={config}", f"--cache-dir={tmp_path}/cache", *arguments]
        run = subprocess.run(command, capture_output=True, text=True, input=given, timeout=60, check=False)
        assert run.returncode == 0, run.stderr
        return run.stdout

    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a": "b"}}
    assert kubectl("apply", "-f", "-", given=json.dumps(manifest)) == "configmap/x created\n"
    manifest["data"] = {"a": "c"}
    assert kubectl("apply", "-f", "-", given=json.dumps(manifest)) == "configmap/x configured\n"
    assert kubectl("get", "cm", "x", "-o", "jsonpath={.data.a}") == "c"
    assert "default" in kubectl("get", "ns")
    assert kubectl("label", "cm", "x", "seen=yes") == "configmap/x labeled\n"
    assert kubectl("delete", "cm", "-l", "seen=yes").startswith('configmap "x" deleted')


def test_a_user_is_told_that_everything_is_allowed(ask):
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    spec = {"resourceAttributes": {"group": "apps", "resource": "deployments", "verb": "create"}}
    asked = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec}
    status, _, body = ask("POST", path, asked)
    assert (status, body) == (201, {**asked, "metadata": {}, "status": {"allowed": True}})
    assert ask("GET", path)[0] == 405
    listed = ask("GET", "/apis/authorization.k8s.io/v1")[2]["resources"]
    assert [(one["name"], one["verbs"]) for one in listed] == [("selfsubjectaccessreviews", ["create"])]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({}, "spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified"),
        (
            {"resourceAttributes": {"verb": "get"}, "nonResourceAttributes": {"path": "/", "verb": "get"}},
            'spec.nonResourceAttributes: Invalid value: {"path":"/","verb":"get"}: cannot be specified in combination with resourceAttributes',
        ),
    ],
)  # fmt: skip
def test_a_question_of_rights_is_about_one_thing(ask, spec, message):
    status, _, body = ask("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {"spec": spec})
    assert status == 422
    assert body["message"] == f'SelfSubjectAccessReview.authorization.k8s.io "" is invalid: {message}'
