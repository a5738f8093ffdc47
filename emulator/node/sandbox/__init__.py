"""Pods and containers as real processes in Linux namespaces, made by bubblewrap.

A pod is one bubblewrap that holds its network, IPC, UTS and PID namespaces, and in it the program `pause`, which
starts each container as a bubblewrap of its own within them (`pod`, `container`). The last program before a
container's entrypoint is `run`: it places the mounts and gives the process its user, groups and capabilities.

Not mounted, unlike on a real node: /sys and /dev/mqueue.
"""

from emulator.node.sandbox.container import (
    Container,
    ContainerSpec,
    Exit,
    Identity,
    Limits,
    StartError,
    VolumeMount,
)
from emulator.node.sandbox.isolation import Isolation, IsolationError, detect
from emulator.node.sandbox.logs import read_log
from emulator.node.sandbox.pod import PodSandbox, SandboxError
from emulator.node.sandbox.programs import MissingProgramError
from emulator.node.sandbox.statedir import StateDir, remove_tree

__all__ = [
    "Container",
    "ContainerSpec",
    "Exit",
    "Identity",
    "Isolation",
    "IsolationError",
    "Limits",
    "MissingProgramError",
    "PodSandbox",
    "SandboxError",
    "StartError",
    "StateDir",
    "VolumeMount",
    "detect",
    "read_log",
    "remove_tree",
]
