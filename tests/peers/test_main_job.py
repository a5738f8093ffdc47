"""The main job against `imgvol up` by clients that this project did not write: skopeo and the kubernetes client."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client, watch
from peer_programs import run

import emulator
import packager
from conformance.engine import PROJECT_CONTENT, tree_of
from fixtures import program

K8S = Path(__file__).parents[2] / "k8s" / "deployment.yaml"
NAMESPACE = "default"


def push(layout: Path, image: str) -> str:
    """Push an OCI layout with skopeo, all its platforms; the digest it now has."""
    run("skopeo", "copy", "--all", "--dest-tls-verify=false", f"oci:{layout}", f"docker://{image}")
    raw = run("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{image}")
    assert json.loads(raw)["manifests"], "not an index"
    return "sha256:" + hashlib.sha256(raw.encode()).hexdigest()


def wait_rolled_out(apps: client.AppsV1Api, name: str) -> None:
    for event in watch.Watch().stream(apps.list_namespaced_deployment, NAMESPACE, timeout_seconds=30):
        found = event["object"]
        status = found.status
        if (
            found.metadata.name == name
            and status.observed_generation == found.metadata.generation
            and (status.updated_replicas == status.available_replicas == status.replicas == found.spec.replicas)
        ):
            return
    pytest.fail(f"deployment {name} was not rolled out")


def test_skopeo_and_the_kubernetes_client_do_the_main_job(
    running: emulator.Emulator, kube: Any, tmp_path: Path
) -> None:
    core, apps = client.CoreV1Api(kube), client.AppsV1Api(kube)
    next_content = tmp_path / "next"
    shutil.copytree(PROJECT_CONTENT, next_content, symlinks=True)
    (next_content / "NEWS.txt").write_text("news\n")
    packager.pack_program(
        {f"linux/{each}": program("engine", each) for each in ("amd64", "arm64")},
        tmp_path / "engine", entrypoint="/engine", user="65532", ports=[8080],
    )  # fmt: skip
    packager.pack(PROJECT_CONTENT, tmp_path / "v1")
    packager.pack(next_content, tmp_path / "v2")

    registry = running.registry
    push(tmp_path / "engine", f"{registry}/engine:latest")
    push(tmp_path / "v1", f"{registry}/project-content:v1.0.0")
    second = push(tmp_path / "v2", f"{registry}/project-content:v2.0.0")
    tags = json.loads(run("skopeo", "list-tags", "--tls-verify=false", f"docker://{registry}/project-content"))["Tags"]
    assert tags == ["v1.0.0", "v2.0.0"]

    deployment, service = yaml.safe_load_all(K8S.read_text().replace("<ACR_LOGIN_SERVER>", registry))
    apps.create_namespaced_deployment(NAMESPACE, deployment)
    core.create_namespaced_service(NAMESPACE, service)
    wait_rolled_out(apps, "demo-engine")
    assert served(core) == tree_of(PROJECT_CONTENT)

    volume = {"name": "project-content", "image": {"reference": f"{registry}/project-content@{second}"}}
    patch = {"spec": {"template": {"spec": {"volumes": [volume]}}}}
    apps.patch_namespaced_deployment("demo-engine", NAMESPACE, patch)
    wait_rolled_out(apps, "demo-engine")
    assert served(core) == tree_of(next_content)

    pods = core.list_namespaced_pod(NAMESPACE, label_selector="app=demo-engine").items
    (pod,) = [found for found in pods if not found.metadata.deletion_timestamp]
    assert pod.status.container_statuses[0].ready
    assert "serving" in core.read_namespaced_pod_log(pod.metadata.name, NAMESPACE)
    apps.delete_namespaced_deployment("demo-engine", NAMESPACE)


def served(core: client.CoreV1Api) -> Any:
    body = core.connect_get_namespaced_service_proxy_with_path(
        "demo-engine:80", NAMESPACE, "tree", _preload_content=False
    )
    return json.loads(body.data)
