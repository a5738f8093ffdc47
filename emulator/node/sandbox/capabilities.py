"""Linux capabilities by name: those a container has unless its pod says otherwise, and how a pod says it."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["DEFAULT", "numbers", "resolve"]

# capabilities(7), in the order of their numbers in linux/capability.h.
# fmt: off
_NAMES = [
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
    "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
    "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
    "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
    "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
    "CHECKPOINT_RESTORE",
]
# fmt: on
_NUMBERS = {name: number for number, name in enumerate(_NAMES)}

# fmt: off
DEFAULT = frozenset({
    "CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP",
    "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE",
})
"""What containerd gives a container, less MKNOD: a real node confines devices with a device cgroup, we do not."""
# fmt: on


def resolve(add: Iterable[str] = (), drop: Iterable[str] = ()) -> frozenset[str]:
    """The capabilities of a container whose security context adds and drops these; ALL means every one.

    Names are as in Kubernetes, without CAP_. Raises ValueError for one that does not exist.
    """
    add, drop = list(add), list(drop)
    for name in (*add, *drop):
        if name != "ALL" and name not in _NUMBERS:
            raise ValueError(f"unknown capability to add or drop: {name!r}")
    having = set(_NAMES) if "ALL" in add else set() if "ALL" in drop else set(DEFAULT)
    return frozenset((having | set(add)) - set(drop) - {"ALL"})


def numbers(names: Iterable[str]) -> list[int]:
    """Their numbers in the kernel."""
    return sorted(_NUMBERS[name] for name in names)
