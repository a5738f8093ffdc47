"""The sample system on a target: the engine's image, content as images, and k8s/deployment.yaml."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

import packager
from conformance.kube import Object
from conformance.lab import Lab
from conformance.oci import Repository
from conformance.targets import Target
from fixtures import program

__all__ = [
    "DEPLOYMENT",
    "PROJECT_CONTENT",
    "content_image",
    "deploy",
    "engine_image",
    "is_ready",
    "prepare",
    "served",
    "tree_of",
    "updated",
]

_ROOT = Path(__file__).parents[1]
PROJECT_CONTENT = _ROOT / "project-content"
_MANIFESTS = _ROOT / "k8s" / "deployment.yaml"
DEPLOYMENT = "demo-engine"


def prepare(target: Target, shared: str) -> None:
    """Push the engine's image for both architectures, straight from the binaries."""
    repository = Repository(target.registry, f"{shared}/engine")
    packager.push_program(
        {f"linux/{architecture}": program("engine", architecture) for architecture in ("amd64", "arm64")},
        f"{repository.address}:latest",
        entrypoint="/engine",
        user="65532",
        ports=[8080],
        auth=repository.credentials,
    )


def engine_image(lab: Lab) -> str:
    """The reference of the engine's image."""
    return f"{lab.target.registry.name}/{lab.shared}/engine:latest"


def content_image(lab: Lab, directory: Path, tag: str = "v1.0.0") -> str:
    """Package and push a directory as project content; its reference by digest."""
    repository = lab.repository("project-content")
    pushed = packager.push(directory, f"{repository.address}:{tag}", auth=repository.credentials)
    return f"{repository.reference}@{pushed.digest}"


def _manifests(lab: Lab) -> list[Object]:
    """The objects of k8s/deployment.yaml, with the registry filled in as a deploy does."""
    text = _MANIFESTS.read_text().replace("<ACR_LOGIN_SERVER>/engine:latest", engine_image(lab))
    text = text.replace("<ACR_LOGIN_SERVER>", f"{lab.target.registry.name}/{lab.prefix}")
    return [document for document in yaml.safe_load_all(text) if document]


def deploy(lab: Lab, reference: str = "") -> Object:
    """Create what k8s/deployment.yaml says, perhaps with another content reference, and wait for it to be up."""
    for document in _manifests(lab):
        if document["kind"] == "Deployment" and reference:
            volume = document["spec"]["template"]["spec"]["volumes"][0]
            volume["image"] = {"reference": reference, "pullPolicy": "IfNotPresent"}
        lab.cluster.create(document["kind"].lower() + "s", document)
    return updated(lab)


def is_ready(pod: Object) -> bool:
    """Whether a pod says that it is ready."""
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))


def updated(lab: Lab) -> Object:
    """Wait until the deployment runs its newest template and nothing else."""

    def done(found: Object) -> bool:
        status, wanted = found.get("status", {}), found["spec"]["replicas"]
        return bool(
            status.get("observedGeneration", 0) >= found["metadata"]["generation"]
            and status.get("updatedReplicas", 0) == wanted
            and status.get("replicas", 0) == wanted
            and status.get("availableReplicas", 0) == wanted
        )

    return lab.cluster.wait("deployments", DEPLOYMENT, done, "to be rolled out")


def tree_of(directory: Path, name: str = "content") -> Any:
    """The tree that the engine must serve of a directory, computed here and apart from it."""

    def node(path: Path) -> dict[str, Any]:
        relative = path.relative_to(directory)
        root = not relative.parts
        found: dict[str, Any] = {
            "name": name if root else path.name,
            "path": "/" if root else f"/{relative.as_posix()}",
            "is_dir": path.is_dir(),
        }
        if path.is_dir():
            children = [node(child) for child in sorted(path.iterdir(), key=lambda child: child.name.encode())]
            if children:
                found["children"] = children
        return found

    return node(directory)


def served(lab: Lab) -> Any:
    """The tree that the service serves now."""
    code, body = lab.cluster.fetch_service(DEPLOYMENT, "/tree")
    assert code == 200, body
    return json.loads(body)
