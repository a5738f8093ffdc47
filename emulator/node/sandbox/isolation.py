"""What the kernel of this host allows, and so what a pod here can be: asked by trying it."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from emulator.node.sandbox import cgroups
from emulator.node.sandbox.programs import bubblewrap, program

__all__ = ["Isolation", "IsolationError", "Mode", "detect"]

Mode = Literal["root", "user", "none"]

_EVERYWHERE = {
    "mknod": "no device cgroup confines a container, so none may make devices",
    "new-privileges": "bubblewrap sets no_new_privs: setuid programs and file capabilities gain nothing",
    "pod-network": "pods reach neither one another nor the host; probes, proxy and port-forward reach pods",
}
_USER = {
    "owners": "without root only one user id can be mapped: every file seems to belong to the container's user",
    "groups": "without root a process cannot be given supplementary groups",
    "devices": "without root device nodes cannot be made when an image is unpacked",
    "terminals": "without root /dev/pts cannot be mounted",
}
_NONE = {
    "read-only-kernel": "without namespaces nothing can be mounted, so nothing is kept read-only by the kernel",
    "mounts": "without namespaces no volume can be mounted: a container with one does not start",
    "network": "without namespaces all pods share the host's network and its ports",
    "owners": "without namespaces containers run as the user who started the emulator",
    "identity": "without namespaces containers run as the user who started the emulator",
    "groups": "without namespaces containers keep the groups of the user who started the emulator",
    "devices": "without namespaces an image's device nodes are not made",
    "capabilities": "without namespaces containers keep the capabilities of the user who started the emulator",
    "root-filesystem": "without namespaces containers see the host's root file system, not their image's",
    "processes": "without namespaces a process that leaves its session outlives its container",
    "limits": "without namespaces no limits are set",
}


class IsolationError(Exception):
    """Pods cannot be isolated as asked. The message says why and what to do about it."""


@dataclass(frozen=True)
class Isolation:
    """How pods are kept apart on this host.

    `root`: Linux namespaces made with root's privileges, everything as on a real node. `user`: the same in user
    namespaces, with one user id. `none`: plain processes of the host. `lacks` says of each capability that a real
    node has and this mode has not, why.
    """

    mode: Mode
    lacks: Mapping[str, str] = field(default_factory=dict)


def detect(requested: str | None = None) -> Isolation:
    """Find out by trying how pods can be isolated here.

    `requested` is a mode to insist on; without it, `root` and `user` are tried in this order. The mode `none` is
    only taken when requested, since most claims about image volumes need the kernel. Raises IsolationError, or
    MissingProgramError when bubblewrap or our own programs are not there.
    """
    if requested == "none":
        program("pause")
        return Isolation("none", dict(_NONE))
    if requested not in (None, "root", "user"):
        raise IsolationError(f"unknown isolation {requested!r}: use root, user or none")
    if requested == "root" and os.geteuid() != 0:
        raise IsolationError("isolation root needs root: run as root, or use --isolation=user")
    complaint = ""
    modes: list[Mode] = ["user"]
    if requested == "root":
        modes = ["root"]
    elif requested is None and os.geteuid() == 0:
        modes = ["root", "user"]
    for mode in modes:
        complaint = _try(mode)
        if not complaint:
            return Isolation(mode, _lacks(mode))
    raise IsolationError(
        f"Linux namespaces cannot be had here ({complaint}); {_remedy()}, or use --isolation=none, which judges "
        "only what needs no kernel"
    )


def _lacks(mode: Mode) -> dict[str, str]:
    lacks = dict(_EVERYWHERE) if mode == "root" else {**_EVERYWHERE, **_USER}
    found = cgroups.find()
    if isinstance(found, str):
        lacks["limits"] = found
    return lacks


def _try(mode: Mode) -> str:
    """Nest the namespaces as pods and containers do; what went wrong, or nothing."""
    outer = namespaces(mode)
    inner = ["--unshare-user", "--uid", "65532", "--gid", "0"] if mode == "user" else []
    with tempfile.TemporaryDirectory(prefix="imgvol-check-") as directory:
        Path(directory).chmod(0o755)
        command = [
            *(bubblewrap(), *outer, "--dev-bind", "/", "/", "--", program("pause"), "check"),
            *(bubblewrap(), *inner, "--unshare-pid", "--as-pid-1", "--cap-add", "ALL"),
            *("--overlay-src", directory, "--tmp-overlay", "/", "--proc", "/proc", "--tmpfs", "/dev"),
            *("--ro-bind", program("run"), "/run-check", "--", "/run-check", "check"),
        ]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stderr.strip() or f"bubblewrap ended with {done.returncode}"


def namespaces(mode: Mode) -> list[str]:
    """The arguments with which bubblewrap makes a pod's namespaces."""
    return [
        *(["--unshare-user"] if mode == "user" else []),
        # For `pause` alone: to mount /proc and to give the pod an address.
        *("--cap-add", "CAP_SYS_ADMIN", "--cap-add", "CAP_NET_ADMIN"),
        *("--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"),
        *("--as-pid-1", "--die-with-parent", "--new-session"),
    ]


def _remedy() -> str:
    def reads(path: str, value: str) -> bool:
        try:
            return Path("/proc/sys", path).read_text().strip() == value
        except OSError:
            return False

    if reads("kernel/unprivileged_userns_clone", "0"):
        return "allow them with `sudo sysctl kernel.unprivileged_userns_clone=1`"
    if reads("user/max_user_namespaces", "0"):
        return "allow them with `sudo sysctl user.max_user_namespaces=10000`"
    if reads("kernel/apparmor_restrict_unprivileged_userns", "1"):
        return "allow them with `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`"
    if Path("/.dockerenv").exists():
        return (
            "allow them with `docker run --privileged`, or with --security-opt seccomp=unconfined, "
            "apparmor=unconfined and systempaths=unconfined"
        )
    return "run as root, or on a host with Linux 5.11 or later whose user namespaces are not restricted"
