"""A container: its image's root file system, the pod's volumes and one process tree, in a pod's sandbox."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from emulator.node.sandbox import capabilities, cgroups, statedir
from emulator.node.sandbox.control import GoneError, Reply
from emulator.node.sandbox.pod import PodSandbox, SandboxError
from emulator.node.sandbox.programs import bubblewrap, program

__all__ = ["Container", "ContainerSpec", "Exit", "Identity", "Limits", "StartError", "VolumeMount"]

_STAGE = "/dev/.imgvol"  # where mounts wait for `run` to place them; /dev is a tmpfs of the container's own
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_CREATE_TASK = (
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: "
    "unable to start container process: error during container init: "
)
_numbers = itertools.count()


class StartError(Exception):
    """A container did not start. The message is containerd's and runc's where they would fail too."""


class Identity(Protocol):
    """Whom a process runs as: numbers, as the kernel knows them."""

    @property
    def uid(self) -> int:
        """The user id."""

    @property
    def gid(self) -> int:
        """The primary group id."""

    @property
    def groups(self) -> tuple[int, ...]:
        """The supplementary group ids."""


@dataclass(frozen=True)
class VolumeMount:
    """A directory or file of the host that a container sees at `target`.

    `image`: `source` is an unpacked image, and is mounted as a real node does, as an overlay nobody can write to; of
    it, `subpath` alone if given. `bind`: `source` itself appears, as for an emptyDir and for an image without layers.
    """

    source: Path
    target: str
    subpath: str = ""
    read_only: bool = True
    kind: Literal["image", "bind"] = "bind"


@dataclass(frozen=True)
class Limits:
    """The most a container may use; None is no limit."""

    cpu_millis: int | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True)
class ContainerSpec:
    """All there is to know of a container before it starts.

    `rootfs` is an unpacked image, never written to: what the container writes is lost with it. `args` are the
    entrypoint and its arguments, `env` the whole environment (HOME is added if absent, as runc does), `log` the file
    that output is appended to as CRI log lines.
    """

    rootfs: Path
    args: tuple[str, ...]
    identity: Identity
    log: Path
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str = "/"
    mounts: tuple[VolumeMount, ...] = ()
    read_only_rootfs: bool = False
    capabilities: frozenset[str] = capabilities.DEFAULT
    limits: Limits = Limits()


@dataclass(frozen=True)
class Exit:
    """How a container ended: its exit code (128 + n for signal n), the signal or 0, and whether for want of memory."""

    code: int
    signal: int = 0
    oom: bool = False


class Container:
    """A container that has started."""

    def __init__(self, sandbox: PodSandbox) -> None:
        self._sandbox = sandbox
        self._ident = 0
        self._cgroup: cgroups.Cgroup | None = None
        self._exit: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()

    @classmethod
    async def start(cls, sandbox: PodSandbox, spec: ContainerSpec) -> Container:
        """Start a container in a pod; it has when this returns.

        Raises StartError, or SandboxError if the pod is gone.
        """
        refuse_unkept(sandbox, spec)
        container = cls(sandbox)
        try:
            joined = container._make_cgroup(spec)
            reply = await container._start(spec, joined)
        except BaseException:
            container._remove_cgroup()
            raise
        if reply.error:
            container._remove_cgroup()
            raise StartError(_CREATE_TASK + reply.error)
        return container

    async def _start(self, spec: ContainerSpec, joined: list[Path]) -> Reply:
        """Hand everything to `pause`. The descriptors go to the first program of the container from 3 on."""
        namespaced = self._sandbox.isolation.mode != "none"
        status = 6 + len(joined)
        for_run = json.dumps(_for_run(self._sandbox, spec, len(joined), status)).encode()
        for_bubblewrap = b"\0".join(map(os.fsencode, _for_bubblewrap(self._sandbox, spec)))
        fds: list[int] = []
        try:
            fds.append(os.open(spec.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640))
            fds.append(_memfd("specification", for_run))  # 3
            fds.append(_memfd("arguments", for_bubblewrap))  # 4
            fds.append(os.open(program("run"), os.O_RDONLY | os.O_CLOEXEC))  # 5
            fds.extend(os.open(path / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC) for path in joined)
            argv = [program("run"), "3"]
            if namespaced:
                argv = [bubblewrap(), "--args", "4", "--", "/proc/self/fd/5", "3"]
            self._ident, reply = await self._sandbox.control.start(fds, self._ended, argv=argv, namespaced=namespaced)
        except GoneError:
            raise SandboxError("the pod has ended") from None
        finally:
            for fd in fds:
                os.close(fd)
        return reply

    async def wait(self) -> Exit:
        """How the container ended, once it has and all its output is in the log."""
        return await asyncio.shield(self._exit)

    @property
    def exit(self) -> Exit | None:
        """How the container ended, or None while it runs."""
        return self._exit.result() if self._exit.done() else None

    def signal(self, number: int) -> None:
        """Send a signal to the container's first process. One that has ended is left alone."""
        self._sandbox.control.signal(self._ident, number)

    def _ended(self, code: int, signal: int) -> None:
        oom = False
        if self._cgroup is not None:
            with contextlib.suppress(OSError):  # somebody else has removed the group
                oom = self._cgroup.oom_killed()
        self._remove_cgroup()
        self._exit.set_result(Exit(code, signal, oom))

    def _make_cgroup(self, spec: ContainerSpec) -> list[Path]:
        limits = spec.limits
        hierarchies = cgroups.find()
        if "limits" in self._sandbox.isolation.lacks or isinstance(hierarchies, str) or limits == Limits():
            return []
        name = f"imgvol-{os.getpid()}-{next(_numbers)}"
        try:
            self._cgroup = hierarchies.create(name, cpu_millis=limits.cpu_millis, memory_bytes=limits.memory_bytes)
        except OSError as error:
            raise StartError(f"cannot set the container's limits: {error}") from None
        state = statedir.enclosing(self._sandbox.workdir)
        if state is not None:
            for directory in self._cgroup.directories:
                statedir.record_cgroup(state, directory)
        return self._cgroup.directories

    def _remove_cgroup(self) -> None:
        if self._cgroup is not None:
            with contextlib.suppress(OSError):  # still busy: it goes with the state directory
                self._cgroup.remove()
            self._cgroup = None


def refuse_unkept(sandbox: PodSandbox, spec: ContainerSpec) -> None:
    """Refuse what would be silently absent without namespaces."""
    if sandbox.isolation.mode != "none":
        return
    if spec.mounts:
        raise StartError(
            f'isolation "none" cannot mount a volume at "{spec.mounts[0].target}": there is no mount namespace'
        )
    if spec.read_only_rootfs:
        raise StartError('isolation "none" cannot keep readOnlyRootFilesystem: there is no mount namespace')


def _memfd(name: str, content: bytes) -> int:
    fd = os.memfd_create(name)
    with open(fd, "wb", closefd=False) as file:
        file.write(content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _mounts(sandbox: PodSandbox, spec: ContainerSpec) -> list[VolumeMount]:
    """The pod's own files and the shared /dev/shm, then the volumes, outer ones before those within them."""
    taken = {mount.target for mount in spec.mounts}
    own = [
        VolumeMount(sandbox.workdir / name, f"/etc/{name}", read_only=spec.read_only_rootfs)
        for name in ("hosts", "hostname", "resolv.conf")
    ]
    own.append(VolumeMount(sandbox.workdir / "shm", "/dev/shm", read_only=False))  # noqa: S108 - in the container
    mounts = [mount for mount in own if mount.target not in taken] + list(spec.mounts)
    return sorted(mounts, key=lambda mount: len(Path(mount.target).parts))


def _for_run(sandbox: PodSandbox, spec: ContainerSpec, joined: int, status: int) -> dict[str, Any]:
    mode = sandbox.isolation.mode
    made = {
        "args": spec.args,
        "env": [f"{name}={value}" for name, value in spec.env.items()],
        "cwd": spec.cwd or "/",
        "cgroups": list(range(6, 6 + joined)),
        "status": status,
    }
    if mode == "none":
        return {**made, "root": str(spec.rootfs)}
    identity = spec.identity
    if mode == "root":
        made["groups"] = [identity.gid, *(group for group in identity.groups if group != identity.gid)]
    return {
        **made,
        "uid": identity.uid,
        "gid": identity.gid,
        "capabilities": capabilities.numbers(spec.capabilities),
        "stage": _STAGE,
        "mounts": [
            {"subpath": mount.subpath, "to": mount.target, "read_only": mount.read_only}
            for mount in _mounts(sandbox, spec)
        ],
        "read_only_root": spec.read_only_rootfs,
        "terminals": mode == "root",
    }


def _for_bubblewrap(sandbox: PodSandbox, spec: ContainerSpec) -> list[str]:
    args = ["--unshare-pid", "--as-pid-1", "--cap-add", "ALL", "--clearenv"]
    if sandbox.isolation.mode == "user":
        args += ["--unshare-user", "--uid", str(spec.identity.uid), "--gid", str(spec.identity.gid)]
    args += ["--overlay-src", str(spec.rootfs), "--tmp-overlay", "/", "--proc", "/proc", "--tmpfs", "/dev"]
    for device in _DEVICES:
        args += ["--dev-bind", f"/dev/{device}", f"/dev/{device}"]
    for name, target in (("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2"), ("core", "kcore")):
        args += ["--symlink", f"/proc/{target}" if name == "core" else f"/proc/self/{target}", f"/dev/{name}"]
    if sandbox.isolation.mode == "root":
        args += ["--symlink", "pts/ptmx", "/dev/ptmx"]
    for number, mount in enumerate(_mounts(sandbox, spec)):
        staged = f"{_STAGE}/{number}"
        if mount.kind == "image":
            # With an upper directory the file system itself is writable, and only the mount read-only: that is what
            # makes opening another's file for writing "permission denied", as on a node.
            args += ["--overlay-src", str(mount.source), "--tmp-overlay", staged]
        else:
            args += ["--bind", str(mount.source), staged]
    return [*args, "--chdir", "/"]
