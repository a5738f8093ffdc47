"""Starting one container: its image, its configuration, its mounts, its process.

Source: Kubernetes pkg/kubelet/kuberuntime/kuberuntime_container.go, startContainer.
"""

from __future__ import annotations

import secrets
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulator.cluster.validation.quantity import parse as quantity
from emulator.node.containerd import CriError, Identity, ImageStatus
from emulator.node.kubelet.context import NodeContext
from emulator.node.kubelet.environment import container_environment, container_process
from emulator.node.kubelet.failures import StartFailure
from emulator.node.kubelet.identity import container_identity, security_field, verify_non_root
from emulator.node.kubelet.last_words import last_words
from emulator.node.kubelet.records import Attempt, Ended
from emulator.node.kubelet.volumes import PodVolumes, sub_path
from emulator.node.sandbox import Container, ContainerSpec, Limits, PodSandbox, StartError, VolumeMount
from emulator.node.sandbox.capabilities import resolve

__all__ = ["PodParts", "field_path", "start_container"]

Object = dict[str, Any]


@dataclass(frozen=True)
class PodParts:
    """What a container is started into: the pod (with its address in the status), its sandbox and its volumes."""

    pod: Object
    sandbox: PodSandbox
    sandbox_id: str
    volumes: PodVolumes
    directory: Path
    image_volumes: Mapping[str, ImageStatus]


def field_path(pod: Object, container: Object) -> str:
    """What part of the pod an event about a container names: `spec.containers{engine}`."""
    init = any(each["name"] == container["name"] for each in pod["spec"].get("initContainers") or ())
    return f"spec.{'initContainers' if init else 'containers'}{{{container['name']}}}"


async def start_container(
    node: NodeContext, parts: PodParts, container: Object, image: ImageStatus, number: int
) -> tuple[Attempt, StartFailure | None]:
    """Create and start the `number`-th attempt of a container whose image is on the node.

    A container that was created but whose program could not be started comes back as one that has ended,
    with the failure.

    Raises:
        StartFailure: it could not even be created.
        SandboxError: the sandbox is gone.
    """
    pod, name = parts.pod, container["name"]
    path = field_path(pod, container)
    try:
        spec, identity = await _spec(node, parts, container, image, number)
    except StartFailure as failure:
        node.recorder.record(pod, "Warning", "Failed", f"Error: {failure.message}", path)
        raise
    node.recorder.record(pod, "Normal", "Created", "Container created", path)
    attempt = Attempt(
        id=secrets.token_hex(32),
        name=name,
        number=number,
        image=container["image"],
        image_id=image.repo_digests[0] if image.repo_digests else image.id,
        log=spec.log,
        identity=identity,
        started_at=node.clock.timestamp(),
        started=node.clock.now(),
        stop_signal=_stop_signal(image),
    )
    try:
        attempt.process = await Container.start(parts.sandbox, spec)
    except StartError as error:
        attempt.over.set()
        attempt.ended = Ended(128, "StartError", node.clock.timestamp(), node.clock.now(), str(error))
        node.recorder.record(pod, "Warning", "Failed", f"Error: {error}", path)
        return attempt, StartFailure("RunContainerError", str(error))
    node.recorder.record(pod, "Normal", "Started", "Container started", path)
    return attempt, None


async def _spec(
    node: NodeContext, parts: PodParts, container: Object, image: ImageStatus, number: int
) -> tuple[ContainerSpec, Identity]:
    pod = parts.pod
    config: Object = image.config.get("config") or {}
    environment = container_environment(node.api, pod, container, services=node.services(pod))
    paths = {mount["mountPath"]: sub_path(mount, environment) for mount in container.get("volumeMounts") or ()}
    verify_non_root(pod, container, config.get("User", ""))
    args = container_process(container, config, environment)
    try:
        identity, rootfs = await _identity(node, pod, container, image)
        mounts = [
            await _mount(node, parts, mount, paths[mount["mountPath"]], identity)
            for mount in container.get("volumeMounts") or ()
        ]
        granted = resolve(**(security_field(pod, container, "capabilities") or {}))
    except CriError as error:
        raise StartFailure("CreateContainerError", error.message) from None
    except ValueError as error:
        raise StartFailure("CreateContainerError", f"failed to generate container spec: {error}") from None
    directory = parts.directory / "containers" / container["name"]
    directory.mkdir(parents=True, exist_ok=True)
    left = last_words(directory / f"{number}.log")
    if node.isolation.mode != "none":
        left.touch()
        left.chmod(0o666)
        mounts.append(VolumeMount(left, container["terminationMessagePath"], read_only=False))
    spec = ContainerSpec(
        rootfs=rootfs,
        args=args,
        env=_image_environment(config, pod) | environment,
        cwd=container.get("workingDir") or config.get("WorkingDir") or "/",
        identity=identity,
        mounts=tuple(mounts),
        read_only_rootfs=bool(security_field(pod, container, "readOnlyRootFilesystem")),
        capabilities=granted,
        limits=_limits(container),
        log=directory / f"{number}.log",
    )
    return spec, identity


async def _identity(node: NodeContext, pod: Object, container: Object, image: ImageStatus) -> tuple[Identity, Path]:
    """As whom the container runs, and its root file system as that identity may see it."""
    user = (image.config.get("config") or {}).get("User", "")
    try:
        guess = container_identity(pod, container, user, None)
    except StartFailure:  # a name: only the image's own /etc/passwd knows its number
        guess = Identity(0, 0)
    rootfs = await node.images.rootfs(image.id, guess)
    identity = container_identity(pod, container, user, rootfs)
    if identity != guess:
        rootfs = await node.images.rootfs(image.id, identity)
    return identity, rootfs


async def _mount(node: NodeContext, parts: PodParts, mount: Object, path: str, identity: Identity) -> VolumeMount:
    target = mount["mountPath"]
    image = parts.image_volumes.get(mount["name"])
    if image is None:
        source = parts.volumes.path(mount["name"])
        if path:
            source = source / path
            source.mkdir(parents=True, exist_ok=True)
        return VolumeMount(source, target, read_only=bool(mount.get("readOnly")))
    made = await node.images.mount(image.id, path, identity, sandbox_id=parts.sandbox_id)
    within = made.source == made.snapshot / made.subpath
    return VolumeMount(
        made.snapshot if within else made.source,
        target,
        subpath=made.subpath if within else "",
        kind="bind" if made.empty else "image",
    )


def _image_environment(config: Object, pod: Object) -> dict[str, str]:
    """The image's variables, with what the runtime adds where they are missing."""
    variables = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    for entry in config.get("Env") or ():
        name, _, value = entry.partition("=")
        variables[name] = value
    return variables | {"HOSTNAME": pod["spec"].get("hostname") or pod["metadata"]["name"]}


def _limits(container: Object) -> Limits:
    limits = (container.get("resources") or {}).get("limits") or {}
    return Limits(
        cpu_millis=int(quantity(limits["cpu"]) * 1000) if "cpu" in limits else None,
        memory_bytes=int(quantity(limits["memory"])) if "memory" in limits else None,
    )


def _stop_signal(image: ImageStatus) -> int:
    """The signal that asks the container to end: the image's, else SIGTERM."""
    named = str((image.config.get("config") or {}).get("StopSignal") or "SIGTERM")
    if named.isdigit():
        return int(named)
    number = getattr(signal, named if named.startswith("SIG") else f"SIG{named}", signal.SIGTERM)
    return int(number)
