"""The sample system's engine, serving the mounted tree."""

from __future__ import annotations

import json

from conformance.claims import claim
from conformance.engine import (
    DEPLOYMENT,
    PROJECT_CONTENT,
    content_image,
    deploy,
    engine_image,
    is_ready,
    served,
    tree_of,
)
from conformance.kube import Object
from conformance.lab import Lab

_CONTRACT = "project: the engine's contract"


@claim("engine/serves-health", source=_CONTRACT)
def test_health(lab: Lab) -> None:
    """GET /health answers {"status":"ok"}."""
    content_image(lab, PROJECT_CONTENT)
    deploy(lab)
    code, body = lab.cluster.fetch_service(DEPLOYMENT, "/health")
    assert (code, json.loads(body)) == (200, {"status": "ok"})


@claim("engine/tree-has-the-promised-shape", source=_CONTRACT)
def test_shape(lab: Lab) -> None:
    """Every node of /tree has name, path and is_dir, and children unless it has none; the root is content at /."""
    deploy(lab, content_image(lab, PROJECT_CONTENT))
    tree = served(lab)
    assert (tree["name"], tree["path"], tree["is_dir"]) == ("content", "/", True)

    def check(node: Object, parent: str) -> int:
        assert set(node) - {"children"} == {"name", "path", "is_dir"}, node
        assert node.get("children") != [], node
        if parent:
            assert node["path"] == f"{parent.rstrip('/')}/{node['name']}", node
        return 1 + sum(check(child, node["path"]) for child in node.get("children", []))

    assert check(tree, "") > 5


@claim("engine/tree-equals-the-content", source=_CONTRACT)
def test_tree(lab: Lab) -> None:
    """/tree shows exactly what was packaged."""
    deploy(lab, content_image(lab, PROJECT_CONTENT))
    assert served(lab) == tree_of(PROJECT_CONTENT)


@claim("engine/unreadable-content-answers-500", source=_CONTRACT)
def test_unreadable(lab: Lab) -> None:
    """/tree answers 500, beginning "failed to read content path: ", when the content cannot be read."""
    pod = _engine_pod(lab, "blind", {"name": "CONTENT_PATH", "value": "/nowhere"})
    lab.cluster.create("pods", pod)
    lab.cluster.wait("pods", "blind", is_ready, "to be ready")
    code, body = lab.cluster.fetch("blind", 8080, "/tree")
    assert code == 500, body
    assert body.decode().startswith("failed to read content path: "), body


@claim("engine/ends-by-itself-on-sigterm", source="project: a roll-out must not wait for the grace period")
def test_sigterm(lab: Lab, evidence: list[str]) -> None:
    """The engine ends with exit code 0 when its pod is deleted, without being killed."""
    pod = _engine_pod(lab, "polite", {"name": "DRAIN_SECONDS", "value": "0"})
    lab.cluster.create("pods", pod)
    ready = lab.cluster.wait("pods", "polite", is_ready, "to be ready")
    ended: list[int] = []

    def has_ended(found: Object) -> bool:
        states = [status["state"] for status in found["status"].get("containerStatuses", [])]
        ended.extend(state["terminated"]["exitCode"] for state in states if "terminated" in state)
        return bool(ended)

    lab.cluster.kube.delete(f"/api/v1/namespaces/{lab.cluster.namespace}/pods/polite")
    lab.cluster.wait("pods", "polite", has_ended, "to end", since=ready)
    evidence.append(f"exit code {ended}")
    assert ended == [0]


def _engine_pod(lab: Lab, name: str, variable: Object) -> Object:
    return {
        "metadata": {"name": name},
        "spec": {
            "terminationGracePeriodSeconds": 30,
            "automountServiceAccountToken": False,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "fsGroup": 65532},
            "containers": [
                {
                    "name": "engine",
                    "image": engine_image(lab),
                    "env": [variable],
                    "readinessProbe": {"httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 1},
                    "volumeMounts": [{"name": "project-content", "mountPath": "/content"}],
                }
            ],
            "volumes": [{"name": "project-content", "image": {"reference": content_image(lab, PROJECT_CONTENT)}}],
        },
    }
