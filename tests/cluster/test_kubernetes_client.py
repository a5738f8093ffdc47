"""The official Kubernetes client, unmodified, over HTTPS."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import kubernetes
import pytest
from kubernetes.client import ApiException


@pytest.fixture
def client(server) -> Iterator[Any]:
    client = kubernetes.config.new_client_from_config_dict(server.https.kubeconfig)
    yield client
    client.close()


@pytest.fixture
def core(client) -> Any:
    return kubernetes.client.CoreV1Api(client)


@pytest.fixture
def apps(client) -> Any:
    return kubernetes.client.AppsV1Api(client)


def config(name: str, **labels: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}, "data": {"a": "b"}}


def failure(call: Any, *arguments: Any, **named: Any) -> tuple[int, dict[str, Any]]:
    with pytest.raises(ApiException) as caught:
        call(*arguments, **named)
    return caught.value.status, json.loads(caught.value.body)


def test_version_and_discovery(client):
    version = kubernetes.client.VersionApi(client).get_code()
    assert (version.git_version, version.major, version.minor) == ("v1.36.3", "1", "36")
    assert version.git_tree_state == "emulator"
    assert kubernetes.client.CoreApi(client).get_api_versions().versions == ["v1"]
    groups = [group.name for group in kubernetes.client.ApisApi(client).get_api_versions().groups]
    assert groups == ["apps", "authorization.k8s.io", "coordination.k8s.io", "discovery.k8s.io", "policy"]
    names = {resource.name for resource in kubernetes.client.CoreV1Api(client).get_api_resources().resources}
    assert {"pods", "pods/log", "pods/proxy", "services/proxy", "namespaces/finalize", "events"} <= names
    for api in ("AppsV1Api", "CoordinationV1Api", "DiscoveryV1Api"):
        assert getattr(kubernetes.client, api)(client).get_api_resources().resources


def test_the_dynamic_client(client):
    dynamic = kubernetes.dynamic.DynamicClient(client)
    maps = dynamic.resources.get(api_version="v1", kind="ConfigMap")
    maps.create(body=config("x"), namespace="default")
    assert maps.get(name="x", namespace="default").data.a == "b"
    assert dynamic.resources.get(api_version="apps/v1", kind="Deployment").name == "deployments"


def test_create_get_replace_patch_delete(core):
    made = core.create_namespaced_config_map("default", config("x"))
    assert core.read_namespaced_config_map("x", "default").metadata.uid == made.metadata.uid
    made.data = {"a": "c"}
    assert core.replace_namespaced_config_map("x", "default", made).data == {"a": "c"}
    status, body = failure(core.replace_namespaced_config_map, "x", "default", made)
    assert (status, body["reason"]) == (409, "Conflict")
    assert body["message"].startswith('Operation cannot be fulfilled on configmaps "x": the object has been modified')
    for content_type, patch in (
        ("application/json-patch+json", [{"op": "add", "path": "/data/json", "value": "1"}]),
        ("application/merge-patch+json", {"data": {"merge": "2"}}),
        ("application/strategic-merge-patch+json", {"data": {"strategic": "3"}}),
    ):
        core.patch_namespaced_config_map("x", "default", patch, _content_type=content_type)
    data = core.read_namespaced_config_map("x", "default").data
    assert data == {"a": "c", "json": "1", "merge": "2", "strategic": "3"}
    deleted = core.delete_namespaced_config_map("x", "default")
    details = {"name": "x", "kind": "configmaps", "uid": made.metadata.uid}
    assert (deleted["status"], deleted["details"]) == ("Success", details)
    assert failure(core.read_namespaced_config_map, "x", "default") == (
        404,
        {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": 'configmaps "x" not found',
            "reason": "NotFound",
            "details": {"name": "x", "kind": "configmaps"},
            "code": 404,
        },
    )


def test_server_side_apply_is_refused_by_name(core):
    core.create_namespaced_config_map("default", config("x"))
    status, body = failure(
        core.patch_namespaced_config_map,
        "x",
        "default",
        config("x"),
        field_manager="me",
        _content_type="application/apply-patch+yaml",
    )
    assert (status, body["message"]) == (415, "the emulator does not model server-side apply")


def test_lists_come_in_chunks_of_one_moment(core):
    for name in "abcde":
        core.create_namespaced_config_map("default", config(name))
    first = core.list_namespaced_config_map("default", limit=2)
    assert [item.metadata.name for item in first.items] == ["a", "b"]
    assert first.metadata.remaining_item_count == 3
    core.create_namespaced_config_map("default", config("f"))
    second = core.list_namespaced_config_map("default", limit=2, _continue=first.metadata._continue)
    third = core.list_namespaced_config_map("default", limit=2, _continue=second.metadata._continue)
    assert [item.metadata.name for item in second.items + third.items] == ["c", "d", "e"]
    assert third.metadata._continue is None
    assert {chunk.metadata.resource_version for chunk in (second, third)} == {first.metadata.resource_version}
    status, body = failure(core.list_namespaced_config_map, "default", _continue="unknown")
    assert (status, body["reason"]) == (410, "Expired")


def test_selectors_and_delete_collection(core):
    core.create_namespaced_config_map("default", config("a", app="x"))
    core.create_namespaced_config_map("default", config("b", app="y"))
    listed = core.list_config_map_for_all_namespaces(label_selector="app in (x,z)")
    assert [item.metadata.name for item in listed.items] == ["a"]
    listed = core.list_namespaced_config_map("default", field_selector="metadata.name=b")
    assert [item.metadata.name for item in listed.items] == ["b"]
    core.delete_collection_namespaced_config_map("default", label_selector="app=x")
    assert [item.metadata.name for item in core.list_namespaced_config_map("default").items] == ["b"]


def test_watch(core):
    core.create_namespaced_config_map("default", config("before"))
    listed = core.list_namespaced_config_map("default")
    watch = kubernetes.watch.Watch()
    stream = watch.stream(
        core.list_namespaced_config_map,
        "default",
        resource_version=listed.metadata.resource_version,
        timeout_seconds=20,
    )
    threading.Timer(0.05, lambda: core.create_namespaced_config_map("default", config("after"))).start()
    event = next(stream)
    assert (event["type"], event["object"].metadata.name) == ("ADDED", "after")
    core.delete_namespaced_config_map("before", "default")
    event = next(stream)
    assert (event["type"], event["object"].metadata.name) == ("DELETED", "before")
    watch.stop()


def test_a_watch_without_a_version_begins_with_what_is_there(core):
    core.create_namespaced_config_map("default", config("x"))
    watch = kubernetes.watch.Watch()
    stream = watch.stream(core.list_namespaced_config_map, "default", timeout_seconds=1)
    assert [(event["type"], event["object"].metadata.name) for event in stream] == [("ADDED", "x")]


def test_a_watch_ends_at_its_timeout_with_a_bookmark(core):
    listed = core.list_namespaced_config_map("default")
    stream = kubernetes.watch.Watch().stream(
        core.list_namespaced_config_map,
        "default",
        resource_version=listed.metadata.resource_version,
        allow_watch_bookmarks=True,
        timeout_seconds=1,
    )
    (event,) = list(stream)
    assert event["type"] == "BOOKMARK"
    version = event["raw_object"]["metadata"]["resourceVersion"]
    assert int(version) >= int(listed.metadata.resource_version)


def test_a_watch_from_too_long_ago_says_gone(server, core):
    def fill() -> None:
        server.api.create("configmaps", config("x"))
        for number in range(8200):
            server.api.patch("configmaps", "x", {"data": {"n": str(number)}}, kind="merge")

    server.call(fill)
    with pytest.raises(ApiException) as caught:
        list(kubernetes.watch.Watch().stream(core.list_namespaced_config_map, "default", resource_version="2"))
    assert caught.value.status == 410
    assert "too old resource version: 2 (" in caught.value.reason


def test_initial_events_are_refused_as_without_the_feature(core):
    status, body = failure(
        core.list_namespaced_config_map,
        "default",
        watch=True,
        send_initial_events=True,
        resource_version_match="NotOlderThan",
    )
    assert status == 422
    assert "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled" in body["message"]


def test_a_pod_is_deleted_with_grace(core, make_pod):
    core.create_namespaced_pod("default", make_pod())
    target = kubernetes.client.V1ObjectReference(kind="Node", name="node")
    binding = kubernetes.client.V1Binding(metadata=kubernetes.client.V1ObjectMeta(name="p"), target=target)
    core.create_namespaced_pod_binding("p", "default", binding, _preload_content=False)
    going = core.delete_namespaced_pod("p", "default", grace_period_seconds=7)
    assert going.metadata.deletion_grace_period_seconds == 7
    assert core.read_namespaced_pod("p", "default").spec.node_name == "node"
    core.delete_namespaced_pod("p", "default", grace_period_seconds=0)
    assert core.list_namespaced_pod("default").items == []


def test_eviction(core, make_pod):
    core.create_namespaced_pod("default", make_pod())
    eviction = kubernetes.client.V1Eviction(metadata=kubernetes.client.V1ObjectMeta(name="p"))
    core.create_namespaced_pod_eviction("p", "default", eviction)
    assert core.list_namespaced_pod("default").items == []


def test_an_eviction_asks_the_budget_of_the_pod(core, client, make_pod):
    policy = kubernetes.client.PolicyV1Api(client)
    spec = {"selector": {}, "minAvailable": 1}
    budget = {"metadata": {"name": "guard"}, "spec": spec}
    policy.create_namespaced_pod_disruption_budget("default", budget)
    core.create_namespaced_pod("default", make_pod())
    ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    core.patch_namespaced_pod_status("p", "default", {"status": ready})
    eviction = kubernetes.client.V1Eviction(metadata=kubernetes.client.V1ObjectMeta(name="p"))

    def told(allowed):
        counts = {"currentHealthy": 1 + allowed, "desiredHealthy": 1, "expectedPods": 1}
        status = {"observedGeneration": 1, "disruptionsAllowed": allowed, **counts}
        policy.patch_namespaced_pod_disruption_budget_status("guard", "default", {"status": status})

    told(0)
    status, body = failure(core.create_namespaced_pod_eviction, "p", "default", eviction)
    assert (status, body["reason"]) == (429, "TooManyRequests")
    assert body["message"] == "Cannot evict pod as it would violate the pod's disruption budget."
    said = "The disruption budget guard needs 1 healthy pods and has 1 currently"
    assert body["details"]["causes"] == [{"reason": "DisruptionBudget", "message": said}]
    told(1)
    core.create_namespaced_pod_eviction("p", "default", eviction, dry_run="All")
    assert policy.read_namespaced_pod_disruption_budget("guard", "default").status.disruptions_allowed == 1
    core.create_namespaced_pod_eviction("p", "default", eviction)
    assert core.list_namespaced_pod("default").items == []
    assert policy.read_namespaced_pod_disruption_budget("guard", "default").status.disruptions_allowed == 0


def test_invalid_objects(core, make_pod):
    status, body = failure(core.create_namespaced_pod, "default", make_pod(restartPolicy="x"))
    assert (status, body["reason"]) == (422, "Invalid")
    assert body["details"]["causes"] == [
        {
            "reason": "FieldValueNotSupported",
            "message": 'Unsupported value: "x": supported values: "Always", "OnFailure", "Never"',
            "field": "spec.restartPolicy",
        }
    ]


def test_status_and_scale(apps):
    labels = {"app": "x"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "x:1"}]}}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    apps.create_namespaced_deployment("default", {"metadata": {"name": "d"}, "spec": spec})
    apps.patch_namespaced_deployment_scale("d", "default", {"spec": {"replicas": 4}})
    scale = apps.read_namespaced_deployment_scale("d", "default")
    assert (scale.spec.replicas, scale.status.selector) == (4, "app=x")
    scale.spec.replicas = 2
    assert apps.replace_namespaced_deployment_scale("d", "default", scale).spec.replicas == 2
    status = apps.patch_namespaced_deployment_status(
        "d", "default", {"status": {"replicas": 1, "readyReplicas": 1}}
    ).status
    assert status.ready_replicas == 1
    assert apps.read_namespaced_deployment("d", "default").spec.template.spec.containers[0].image == "x:1"
    deleted = apps.delete_namespaced_deployment("d", "default", propagation_policy="Foreground")
    assert deleted["kind"] == "Deployment", "it is still there, so it is what comes back"
    assert apps.read_namespaced_deployment("d", "default").metadata.finalizers == ["foregroundDeletion"]


def test_leases_and_slices(client):
    leases = kubernetes.client.CoordinationV1Api(client)
    leases.create_namespaced_lease("default", {"metadata": {"name": "l"}, "spec": {"holderIdentity": "me"}})
    assert leases.read_namespaced_lease("l", "default").spec.holder_identity == "me"
    slices = kubernetes.client.DiscoveryV1Api(client)
    body = {"metadata": {"name": "s"}, "addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}], "ports": []}
    slices.create_namespaced_endpoint_slice("default", body)
    assert slices.list_namespaced_endpoint_slice("default").items[0].endpoints[0].addresses == ["10.0.0.1"]


# Logs


@pytest.fixture
def running(server, core, make_pod) -> str:
    containers = [{"name": name, "image": "x"} for name in ("one", "two")]
    server.call(lambda: server.api.create("pods", make_pod(containers=containers)))
    server.call(
        lambda: server.api.update(
            "pods", {"metadata": {"name": "p"}, "target": {"name": "node"}}, subresource="binding"
        )
    )
    status = {"status": {"podIP": "10.244.0.2", "phase": "Running"}}
    server.call(lambda: server.api.patch("pods", "p", status, kind="merge", subresource="status"))
    return "p"


def test_logs(server, core, running):
    server.kubelet.lines["one"] = ["first", "second"]
    text = core.read_namespaced_pod_log(
        running,
        "default",
        container="one",
        tail_lines=5,
        timestamps=True,
        since_seconds=9,
        limit_bytes=99,
        previous=True,
    )
    assert text == "first\nsecond\n"
    asked = server.kubelet.asked[-1]
    assert (asked.tail_lines, asked.timestamps, asked.since_seconds, asked.limit_bytes) == (5, True, 9, 99)
    assert (asked.previous, asked.follow) == (True, False)


def test_logs_that_cannot_be_had(core, running):
    assert failure(core.read_namespaced_pod_log, running, "default")[1]["message"] == (
        "a container name must be specified for pod p, choose one of: [one two]"
    )
    assert failure(core.read_namespaced_pod_log, running, "default", container="three")[1]["message"] == (
        "container three is not valid for pod p"
    )
    assert failure(core.read_namespaced_pod_log, running, "default", container="one") == (
        400,
        {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": 'container "one" in pod "p" is waiting to start: ContainerCreating',
            "reason": "BadRequest",
            "code": 400,
        },
    )
    status, body = failure(core.read_namespaced_pod_log, running, "default", container="one", tail_lines=-1)
    assert (status, body["message"]) == (
        422,
        'PodLogOptions "p" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0',
    )


def test_following_a_log(server, core, running):
    server.kubelet.lines["one"] = ["first"]
    stream = kubernetes.watch.Watch().stream(core.read_namespaced_pod_log, running, "default", container="one")
    assert next(stream) == "first"
    server.call(server.kubelet.more["one"].set)
    assert list(stream) == ["the end"]


# The proxy


class Echo(BaseHTTPRequestHandler):
    """Answers with what it was asked."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(length)
        told = {
            "method": self.command,
            "path": self.path,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "body": body.decode(),
        }
        if self.path.startswith("/chunked"):
            self.send_response(200, "Fine")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for piece in (b"one", b"two"):
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
            return
        if self.path.startswith("/close"):
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(b"until the end")
            self.close_connection = True
            return
        data = json.dumps(told).encode()
        if self.path.startswith("/untyped"):
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"hi")
            return
        self.send_response(418 if self.path.startswith("/teapot") else 200)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Answer", "yes")
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = answer

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture
def echo(server, running) -> Iterator[int]:
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    server.kubelet.ports["p", 8080] = httpd.server_port
    yield httpd.server_port
    httpd.shutdown()
    httpd.server_close()
    thread.join(5)


def request(client: Any, method: str, path: str, **options: Any) -> tuple[int, str, dict[str, str]]:
    """A request with the client's own connection and credentials; `path` below the default namespace."""
    url = f"{client.configuration.host}/api/v1/namespaces/default/{path}"
    headers = {"Authorization": client.configuration.auth_settings()["BearerToken"]["value"]}
    headers |= options.pop("headers", {})
    response = client.rest_client.pool_manager.request(method, url, headers=headers, redirect=False, **options)
    return response.status, response.data.decode(), dict(response.headers)


@pytest.mark.parametrize("name", ["p:8080", "http:p:8080"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH"])
def test_any_method_path_and_query_reach_a_pod(client, echo, name, method):
    body = None if method == "GET" else b"hello"
    status, text, headers = request(client, method, f"pods/{name}/proxy/a%2Fb/c?x=1&y=%20", body=body)
    told = json.loads(text)
    assert (status, headers["X-Answer"]) == (200, "yes")
    assert (told["method"], told["path"], told["body"]) == (method, "/a%2Fb/c?x=1&y=%20", "hello" if body else "")
    assert "authorization" not in told["headers"]
    assert told["headers"]["x-forwarded-uri"] == f"/api/v1/namespaces/default/pods/{name}/proxy/a%2Fb/c"


def test_answers_pass_as_they_are(client, echo):
    assert request(client, "GET", "pods/p:8080/proxy/teapot")[0] == 418
    assert request(client, "GET", "pods/p:8080/proxy/chunked")[:2] == (200, "onetwo")
    assert request(client, "GET", "pods/p:8080/proxy/close")[:2] == (200, "until the end")
    assert request(client, "GET", "pods/p:8080/proxy/untyped")[2]["Content-Type"] == "text/plain; charset=utf-8"
    status, _, headers = request(client, "GET", "pods/p:8080/proxy")
    assert (status, headers["Location"]) == (301, "/api/v1/namespaces/default/pods/p:8080/proxy/")


def test_a_pod_that_does_not_listen(client, running):
    status, text, _ = request(client, "GET", "pods/p:81/proxy/")
    body = json.loads(text)
    assert (status, body["reason"]) == (503, "ServiceUnavailable")
    assert body["message"] == "error trying to reach service: dial tcp 10.244.0.2:81: connect: connection refused"


def test_names_that_are_none(client, running):
    status, text, _ = request(client, "GET", "pods/a:b:c:d/proxy/")
    assert (status, json.loads(text)["message"]) == (400, 'invalid pod request "a:b:c:d"')
    status, text, _ = request(client, "GET", "services/ftp:x:1/proxy/")
    assert (status, json.loads(text)["message"]) == (400, 'invalid service request "ftp:x:1"')
    assert request(client, "GET", "services/none/proxy/")[0] == 404


def _service(server, *addresses: str) -> None:
    ports = [{"name": "web", "port": 80, "targetPort": 8080}]
    server.api.create("services", {"metadata": {"name": "s"}, "spec": {"ports": ports, "selector": {"a": "b"}}})
    target = {"kind": "Pod", "name": "p", "namespace": "default"}
    listed = [{"ip": ip, "targetRef": target} for ip in addresses]
    subsets = [{"addresses": listed, "ports": [{"name": "web", "port": 8080}]}] if listed else []
    server.api.create("endpoints", {"metadata": {"name": "s"}, "subsets": subsets})


@pytest.mark.parametrize("name", ["s:80", "s:web", "http:s:80", "http:s:web"])
def test_a_service_is_reached_by_name_and_port(server, client, core, echo, name):
    server.call(lambda: _service(server, "10.244.0.2"))
    status, text, _ = request(client, "GET", f"services/{name}/proxy/health")
    assert (status, json.loads(text)["path"]) == (200, "/health")
    assert "/tree" in core.connect_get_namespaced_service_proxy_with_path("s:80", "default", "tree")


def test_a_service_without_endpoints(server, client, running):
    server.call(lambda: _service(server))
    status, text, _ = request(client, "GET", "services/s/proxy/")
    body = json.loads(text)
    assert (status, body["message"]) == (503, 'no endpoints available for service "s"')
    status, text, _ = request(client, "GET", "services/none/proxy/")
    assert (status, json.loads(text)["message"]) == (404, 'endpoints "none" not found')
    status, text, _ = request(client, "GET", "services/s:81/proxy/")
    assert (status, json.loads(text)["message"]) == (503, 'no service port 81 found for service "s"')


def test_a_named_port_has_to_be_named(server, client, echo):
    """The API server looks for an endpoint port without a name, where none is given."""
    server.call(lambda: _service(server, "10.244.0.2"))
    status, text, _ = request(client, "GET", "services/s/proxy/")
    assert (status, json.loads(text)["message"]) == (503, 'no endpoints available for service "s"')


def test_a_large_body_passes_in_both_directions(client, echo):
    body = b"0123456789abcdef" * 300_000
    status, text, _ = request(client, "POST", "pods/p:8080/proxy/", body=body)
    assert status == 200
    assert json.loads(text)["body"] == body.decode()


# Pod Security


def test_pod_security_is_enforced_with_its_own_text(server, core, make_pod):
    server.namespace("strict", **{"pod-security.kubernetes.io/enforce": "restricted"})
    status, body = failure(core.create_namespaced_pod, "strict", make_pod())
    assert (status, body["reason"]) == (403, "Forbidden")
    assert body["message"] == (
        'pods "p" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false '
        '(container "probe" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities '
        '(container "probe" must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or '
        'container "probe" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container "probe" '
        'must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")'
    )
    pod = make_pod(securityContext={"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}})
    pod["spec"]["containers"][0]["securityContext"] = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    core.create_namespaced_pod("strict", pod)


def test_pod_security_warns_in_a_header(server, core, make_pod):
    server.namespace("careful", **{"pod-security.kubernetes.io/warn": "baseline"})
    pod = make_pod()
    pod["spec"]["containers"][0]["securityContext"] = {"capabilities": {"add": ["SYS_ADMIN"]}}
    _, status, headers = core.create_namespaced_pod_with_http_info("careful", pod)
    assert status == 201
    assert headers["Warning"] == (
        '299 - "would violate PodSecurity \\"baseline:latest\\": non-default capabilities (container \\"probe\\" must '
        'not include \\"SYS_ADMIN\\" in securityContext.capabilities.add)"'
    )


def test_policy_labels_must_be_ones(core):
    labels = {"pod-security.kubernetes.io/enforce": "strict"}
    status, body = failure(core.create_namespace, {"metadata": {"name": "x", "labels": labels}})
    assert (status, body["message"]) == (
        422,
        (
            'Namespace "x" is invalid: metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "strict": '
            "must be one of privileged, baseline, restricted"
        ),
    )
