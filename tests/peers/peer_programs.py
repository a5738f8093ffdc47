"""Programs of others, and pods that mount what they pushed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, watch

from conformance.pods import usual_pod

BUILT = Path(__file__).parents[2] / "build" / "peers"

Survey = dict[str, str]
"""What a container sees of its volume, by path: the mode and the kind, then a file's hash or a link's target."""


def find(name: str) -> str:
    """The path of a program; the test is skipped where it is not, unless IMGVOL_PEERS_REQUIRED is set.

    Ours is where this Python is, skopeo is the machine's; of the others, the versions are pinned.
    """
    if name == "imgvol":
        return str(Path(sys.executable).parent / "imgvol")
    found = shutil.which(name) if name == "skopeo" else shutil.which(name, path=BUILT)
    if found is None:
        mend = "apt-get install skopeo" if name == "skopeo" else "make peers"
        missing = f"there is no {name} to check by: {mend}"
        if os.environ.get("IMGVOL_PEERS_REQUIRED"):
            pytest.fail(missing)
        pytest.skip(missing)
    return found


def run(
    name: str, *arguments: object, fails: bool = False, told: str = "", env: Mapping[str, object] | None = None
) -> str:
    """What the program prints; it must succeed, or fail. `told` is what comes by standard input, `env` what its
    environment has besides ours."""
    command = [find(name), *map(str, arguments)]
    environment = {**os.environ, **{key: str(value) for key, value in (env or {}).items()}}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, input=told, env=environment
    )
    assert bool(done.returncode) is fails, f"{name} {' '.join(command[1:])}\n{done.stdout}{done.stderr}"
    return done.stdout or done.stderr


def surveyed(root: Path) -> Survey:
    """What a container must see of a directory that the packager packed."""
    found = {}
    for path in root.rglob("*"):
        if path.is_symlink():
            text = f"Lrwxrwxrwx -> {path.readlink()}"
        elif path.is_dir():
            text = "drwxr-xr-x"
        else:
            mode = 0o755 if path.stat().st_mode & 0o111 else 0o644
            text = f"{stat.filemode(stat.S_IFREG | mode)} {hashlib.sha256(path.read_bytes()).hexdigest()[:8]}"
        found[str(path.relative_to(root))] = text
    return found


class Node:
    """The emulated node, asked through the kubernetes client."""

    def __init__(self, registry: str, kube: client.ApiClient, probe: str) -> None:
        self.registry, self._probe = registry, probe
        self._core = client.CoreV1Api(kube)

    def mounted(self, name: str, reference: str) -> Survey:
        """What a pod sees of the image, once it has run."""
        container = {"args": ["survey", "/content"]}
        pod = usual_pod(name, image=self._probe, reference=reference, container=container)
        self._core.create_namespaced_pod("default", pod)
        try:
            self._until(name, lambda found: found.status.phase == "Succeeded")
            seen = json.loads(self._core.read_namespaced_pod_log(name, "default"))["/content"]
        finally:
            self._core.delete_namespaced_pod(name, "default")
        return {path: _shortened(text) for path, text in seen.items() if path != "."}

    def _until(self, name: str, done: Callable[[Any], bool]) -> None:
        stream = watch.Watch().stream(
            self._core.list_namespaced_pod, "default", field_selector=f"metadata.name={name}", timeout_seconds=60
        )
        found = None
        for event in stream:
            found = event["object"]
            if done(found):
                return
        events = self._core.list_namespaced_event("default", field_selector=f"involvedObject.name={name}").items
        said = "\n".join(f"{event.reason}: {event.message}" for event in events)
        pytest.fail(f"pod {name} did not run:\n{found and found.status}\n{said}")


def _shortened(text: str) -> str:
    """The probe's line without owner, time and size, which are each program's own affair."""
    mode, _owner, _time, *rest = text.split(" = ", maxsplit=1)[0].split()
    return " ".join([mode, *(rest if rest[:1] == ["->"] else rest[1:2])])
