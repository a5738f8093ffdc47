"""The volumes of a pod on the node's disk, and where a container mounts them.

Source: Kubernetes pkg/kubelet/kubelet_pods.go (makeMounts), pkg/volume/{emptydir,configmap,secret}.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulator.cluster import Api, ApiError
from emulator.node.kubelet.expansion import expand_strictly
from emulator.node.kubelet.failures import StartFailure

__all__ = ["PodVolumes", "VolumeError", "sub_path"]

Object = dict[str, Any]

_SOURCES = ("configMap", "emptyDir", "image", "secret")


class VolumeError(Exception):
    """A volume cannot be set up; the text is that of the FailedMount event."""


@dataclass(frozen=True)
class PodVolumes:
    """The directories of a pod's volumes, other than image volumes, below `root`."""

    root: Path
    owned: bool
    """Whether this process may give files to other users."""

    def set_up(self, api: Api, pod: Object) -> None:
        """Make the directories and write what config maps and secrets hold.

        Raises:
            VolumeError: a config map or a secret is missing, or the kind of volume is not modelled.
        """
        namespace = pod["metadata"]["namespace"]
        group = (pod["spec"].get("securityContext") or {}).get("fsGroup")
        for volume in pod["spec"].get("volumes") or ():
            name = volume["name"]
            kind = next((source for source in _SOURCES if source in volume), None)
            if kind is None:
                kinds = ", ".join(sorted(set(volume) - {"name"}))
                raise VolumeError(f'MountVolume.SetUp failed for volume "{name}" : the emulator does not model {kinds}')
            if kind == "image":
                continue
            directory = self.root / name
            fresh = not directory.exists()
            directory.mkdir(parents=True, exist_ok=True)
            if kind in ("configMap", "secret"):
                self._write(directory, _content(api, kind, volume[kind], namespace, name), volume[kind])
            if fresh:
                self._give(directory, group)

    def path(self, volume: str) -> Path:
        """The directory of a volume."""
        return self.root / volume

    @staticmethod
    def _write(directory: Path, content: Mapping[str, bytes], source: Object) -> None:
        mode = source.get("defaultMode", 0o644)
        items = source.get("items")
        chosen = (
            {item["path"]: (content[item["key"]], item.get("mode", mode)) for item in items if item["key"] in content}
            if items
            else {key: (value, mode) for key, value in content.items()}
        )
        for name, (value, bits) in chosen.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(value)
            path.chmod(bits)

    def _give(self, directory: Path, group: int | None) -> None:
        """An emptyDir is open to all; a pod's fsGroup owns its volumes, with the set-gid bit."""
        directory.chmod(0o777)
        if group is not None and self.owned:
            os.chown(directory, -1, group)
            directory.chmod(0o2777)


def sub_path(mount: Object, environment: Mapping[str, str]) -> str:
    """The subPath of a mount, its `subPathExpr` expanded.

    Raises:
        StartFailure: a variable is missing or empty, or the path leaves the volume.
    """
    path: str = mount.get("subPath") or ""
    if expression := mount.get("subPathExpr"):
        try:
            path = expand_strictly(expression, {key: value for key, value in environment.items() if value})
        except KeyError as error:
            missing = ", ".join(sorted(set(error.args[0])))
            raise StartFailure("CreateContainerConfigError", f"missing value for {missing}") from None
    if path.startswith("/"):
        raise StartFailure("CreateContainerConfigError", f"error SubPath `{path}` must not be an absolute path")
    if ".." in path.split("/"):
        raise StartFailure("CreateContainerConfigError", f"unable to provision SubPath `{path}`: must not contain '..'")
    return path


def _content(api: Api, kind: str, source: Object, namespace: str, volume: str) -> dict[str, bytes]:
    name = source["name"] if kind == "configMap" else source["secretName"]
    try:
        found = api.get("configmaps" if kind == "configMap" else "secrets", name, namespace)
    except ApiError as error:
        if error.code == 404 and source.get("optional"):
            return {}
        word = "configmap" if kind == "configMap" else "secret"
        raise VolumeError(f'MountVolume.SetUp failed for volume "{volume}" : {word} "{name}" not found') from None
    binary = {key: base64.b64decode(value) for key, value in (found.get("binaryData") or {}).items()}
    data = found.get("data") or {}
    if kind == "secret":
        return {key: base64.b64decode(value) for key, value in data.items()}
    return binary | {key: value.encode() for key, value in data.items()}
