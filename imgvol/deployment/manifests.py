"""The manifests in k8s/, with what is left open in them filled in."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from imgvol.deployment.errors import DeploymentError
from imgvol.deployment.programs import find
from imgvol.deployment.settings import ROOT

__all__ = ["DEPLOYMENT", "SERVICE", "VOLUME", "Object", "production", "sample"]

Object = dict[str, Any]

DEPLOYMENT = "demo-engine"
SERVICE = "demo-engine"
VOLUME = "project-content"
"""What the manifests call the Deployment, the Service and the image volume."""

_FOLDER = ROOT / "k8s"
_CONTENT = "project-content:v1.0.0"
_OPEN = re.compile(r"<[A-Z_]+>")


def sample(registry: str, project_tag: str) -> list[Object]:
    """The objects of k8s/deployment.yaml: content by tag, from a registry as nodes call it."""
    text = (_FOLDER / "deployment.yaml").read_text()
    text = text.replace(f"<ACR_LOGIN_SERVER>/{_CONTENT}", f"<ACR_LOGIN_SERVER>/{project_tag}")
    return _objects(text, {"<ACR_LOGIN_SERVER>": registry})


def production(registry: str, repository: str, content: str, engine: str) -> list[Object]:
    """The objects of k8s/kustomization.yaml, with the digests of content and engine. Raises DeploymentError."""
    text = _rendered(_FOLDER).replace("<ACR_LOGIN_SERVER>/project-content@", f"<ACR_LOGIN_SERVER>/{repository}@")
    return _objects(text, {"<ACR_LOGIN_SERVER>": registry, "<CONTENT_DIGEST>": content, "<ENGINE_DIGEST>": engine})


def _rendered(folder: Path) -> str:
    """What kustomize makes of a folder."""
    program = find("kubectl", "kustomize")
    verb = "build" if Path(program).name == "kustomize" else "kustomize"
    ended = subprocess.run([program, verb, str(folder)], capture_output=True, text=True, check=False)
    if ended.returncode:
        raise DeploymentError(f"{Path(program).name} {verb} {folder} failed: {ended.stderr.strip()}")
    return ended.stdout


def _objects(text: str, values: Mapping[str, str]) -> list[Object]:
    for name, value in values.items():
        text = text.replace(name, value)
    objects = [each for each in yaml.safe_load_all(text) if each]
    if left := sorted(set(_OPEN.findall(yaml.safe_dump(objects)))):
        raise DeploymentError(f"the manifests in {_FOLDER} leave {', '.join(left)} open, which nothing fills in")
    return objects
