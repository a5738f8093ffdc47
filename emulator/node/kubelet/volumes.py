"""The volumes of a pod on the node's disk, and where a container mounts them.

Source: Kubernetes pkg/kubelet/kubelet_pods.go (makeMounts), pkg/volume/emptydir.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulator.node.kubelet.expansion import expand_strictly
from emulator.node.kubelet.failures import StartFailure

__all__ = ["PodVolumes", "sub_path"]

Object = dict[str, Any]


@dataclass(frozen=True)
class PodVolumes:
    """The directories of a pod's emptyDir volumes, below `root`."""

    root: Path
    owned: bool
    """Whether this process may give files to other users."""

    def set_up(self, pod: Object) -> None:
        """Make the directories."""
        group = (pod["spec"].get("securityContext") or {}).get("fsGroup")
        for volume in pod["spec"].get("volumes") or ():
            directory = self.path(volume["name"])
            if "image" in volume or directory.exists():
                continue
            directory.mkdir(parents=True)
            directory.chmod(0o777)
            if group is not None and self.owned:  # a pod's fsGroup owns its volumes, with the set-gid bit
                os.chown(directory, -1, group)
                directory.chmod(0o2777)

    def path(self, volume: str) -> Path:
        """The directory of a volume."""
        return self.root / volume


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
