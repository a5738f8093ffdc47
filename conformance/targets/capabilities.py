"""Which capabilities Docker can give: `--privileged` fails where the bounding set of Docker itself lacks one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from conformance.targets.choice import TargetUnavailableError
from conformance.targets.daemon import RUN, explained, innermost

if TYPE_CHECKING:
    from docker import DockerClient

__all__ = ["PREPARATION", "PrivilegedRefusedError", "bounding_set", "capabilities_in", "is_refusal"]

# By their numbers, from 0 (linux/capability.h). What came later was split off SYS_ADMIN and SYSLOG, which imply it, and
# older Dockers do not know its name.
# fmt: off
_NAMES = (
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
    "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
    "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
    "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
    "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ",
)
# fmt: on
_INDISPENSABLE = {"CHOWN", "DAC_OVERRIDE", "MKNOD", "NET_ADMIN", "SETGID", "SETUID", "SYS_ADMIN", "SYS_CHROOT"}
# Docker's and runc's words for it.
_REFUSED = re.compile(r"\bcaps\b|capabilit", re.IGNORECASE)

# What `--privileged` would have done to a node, done in it before its own entrypoint runs; and containerd must not try
# to give processes what SYS_RESOURCE is for.
PREPARATION = """
for mounted in /sys/fs/cgroup $(findmnt -rn -o TARGET -t cgroup,cgroup2) /proc/sys; do
  mount -o remount,bind,rw "$mounted"
done
[ -e /dev/kmsg ] || mknod /dev/kmsg c 1 11
sed -i 's/restrict_oom_score_adj = false/restrict_oom_score_adj = true/' /etc/containerd/config.toml
exec "$@"
"""


class PrivilegedRefusedError(Exception):
    """Docker cannot give `--privileged`."""


def is_refusal(said: str) -> bool:
    """Whether Docker's words say that it has not the capabilities that `--privileged` means."""
    return bool(_REFUSED.search(said))


def bounding_set(docker: DockerClient, image: str, run: str) -> frozenset[str]:
    """The capabilities that Docker can give, seen from a container of the image.

    Raises TargetUnavailableError where a node cannot do without one that is missing.
    """
    from docker.errors import DockerException

    try:
        # The parent of a container's first process has what Docker itself has.
        status = docker.containers.run(
            image,
            ["-c", "cat /proc/$PPID/status"],
            entrypoint="/bin/bash",
            pid_mode="host",
            remove=True,
            labels={RUN: run},
        )
    except DockerException as error:
        raise explained(error) or TargetUnavailableError(
            f"Docker starts no container of {image}: {innermost(error)}"
        ) from None
    found = capabilities_in(status.decode())
    if missing := _INDISPENSABLE - found:
        raise TargetUnavailableError(
            f"Docker cannot give a node the capabilities {', '.join(sorted(missing))}, which it lacks itself: "
            "use a Docker that has them, or the emulator (--target=emulator)"
        )
    return found


def capabilities_in(status: str) -> frozenset[str]:
    """The capabilities in the bounding set of a process, by the text of its /proc/PID/status."""
    found = re.search(r"^CapBnd:\s*([0-9a-f]+)$", status, re.MULTILINE)
    bits = int(found[1], 16) if found else 0
    return frozenset(name for bit, name in enumerate(_NAMES) if bits >> bit & 1)
