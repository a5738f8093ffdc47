"""Every value of the contract in k8s/deployment.yaml and in the engine's Dockerfile."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def manifests() -> dict[str, Any]:
    documents = yaml.safe_load_all((REPOSITORY / "k8s" / "deployment.yaml").read_text())
    return {document["kind"]: document for document in documents}


@pytest.fixture(scope="module")
def pod(manifests: dict[str, Any]) -> Any:
    return manifests["Deployment"]["spec"]["template"]["spec"]


def test_there_are_exactly_the_deployment_and_the_service(manifests: dict[str, Any]) -> None:
    assert {(kind, m["apiVersion"], m["metadata"]["name"]) for kind, m in manifests.items()} == {
        ("Deployment", "apps/v1", "demo-engine"),
        ("Service", "v1", "demo-engine"),
    }


def test_one_replica_selected_by_its_label(manifests: dict[str, Any]) -> None:
    spec = manifests["Deployment"]["spec"]
    assert spec["replicas"] == 1
    assert spec["selector"] == {"matchLabels": {"app": "demo-engine"}}
    assert spec["template"]["metadata"]["labels"] == {"app": "demo-engine"}


def test_the_content_is_an_image_volume_mounted_read_only(pod: Any) -> None:
    assert pod["volumes"] == [
        {
            "name": "project-content",
            "image": {"reference": "<ACR_LOGIN_SERVER>/project-content:v1.0.0", "pullPolicy": "Always"},
        }
    ]
    [container] = pod["containers"]
    assert container["volumeMounts"] == [{"name": "project-content", "mountPath": "/content", "readOnly": True}]
    assert container["env"] == [{"name": "CONTENT_PATH", "value": "/content"}]


def test_the_engine_container(pod: Any) -> None:
    [container] = pod["containers"]
    assert (container["name"], container["image"]) == ("engine", "<ACR_LOGIN_SERVER>/engine:latest")
    assert container["ports"] == [{"containerPort": 8080}]
    assert container["resources"] == {
        "requests": {"cpu": "100m", "memory": "64Mi"},
        "limits": {"cpu": "500m", "memory": "128Mi"},
    }


@pytest.mark.parametrize(("probe", "delay", "period"), [("readinessProbe", 5, 10), ("livenessProbe", 10, 20)])
def test_the_probes(pod: Any, probe: str, delay: int, period: int) -> None:
    assert pod["containers"][0][probe] == {
        "httpGet": {"path": "/health", "port": 8080},
        "initialDelaySeconds": delay,
        "periodSeconds": period,
    }


def test_the_pod_fits_pod_security_restricted(pod: Any) -> None:
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "fsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert pod["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_the_service(manifests: dict[str, Any]) -> None:
    assert manifests["Service"]["spec"] == {
        "type": "ClusterIP",
        "selector": {"app": "demo-engine"},
        "ports": [{"port": 80, "targetPort": 8080}],
    }


def test_no_other_placeholder_is_left_to_fill_in() -> None:
    text = (REPOSITORY / "k8s" / "deployment.yaml").read_text()
    assert set(re.findall(r"<[A-Z_]+>", text)) == {"<ACR_LOGIN_SERVER>"}


def test_the_dockerfile_ends_in_a_small_image_of_an_ordinary_user() -> None:
    instructions = [
        line.split(maxsplit=1)
        for line in (REPOSITORY / "engine" / "Dockerfile").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    stages = [value for name, value in instructions if name == "FROM"]
    assert len(stages) == 2
    assert stages[0].startswith("golang:")
    assert stages[1] == "gcr.io/distroless/static:nonroot"
    final = dict(instructions[instructions.index(["FROM", stages[1]]) :])
    assert (final["USER"], final["EXPOSE"], final["ENTRYPOINT"]) == ("65532", "8080", '["/engine"]')
    assert final["COPY"] == "--from=build /engine /engine"
