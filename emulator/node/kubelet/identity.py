"""As whom a container runs: uid, gid and groups.

Source: Kubernetes pkg/kubelet/kuberuntime/security_context*.go; containerd pkg/oci WithUser and
WithAdditionalGIDs. A pod that sets `runAsUser` alone runs with gid 0, unless its image's /etc/passwd says else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from emulator.node.containerd import Identity
from emulator.node.kubelet.failures import StartFailure, describe

__all__ = ["container_identity", "security_field", "verify_non_root"]

Object = dict[str, Any]


def security_field(pod: Object, container: Object, name: str) -> Any:
    """A field of the container's security context, else of the pod's; None where neither has it."""
    for owner in (container, pod["spec"]):
        value = (owner.get("securityContext") or {}).get(name)
        if value is not None:
            return value
    return None


def verify_non_root(pod: Object, container: Object, image_user: str) -> None:
    """Hold a container to `runAsNonRoot`.

    Raises:
        StartFailure: it would run as root, or as a user whose number only the image knows.
    """
    if not security_field(pod, container, "runAsNonRoot"):
        return
    user = security_field(pod, container, "runAsUser")
    where = f'(pod: "{describe(pod)}", container: {container["name"]})'
    if user is not None:
        if user == 0:
            raise _refuse(f"container's runAsUser breaks non-root policy {where}")
        return
    name = image_user.partition(":")[0]
    if name in ("", "0"):
        raise _refuse(f"container has runAsNonRoot and image will run as root {where}")
    if not name.isdigit():
        raise _refuse(
            f"container has runAsNonRoot and image has non-numeric user ({name}), "
            f"cannot verify user is non-root {where}"
        )


def container_identity(pod: Object, container: Object, image_user: str, rootfs: Path | None) -> Identity:
    """The numbers a container runs with; `rootfs` is where its /etc/passwd and /etc/group are looked up.

    Raises:
        StartFailure: the image names a user its /etc/passwd does not have.
    """
    named, _, named_group = image_user.partition(":")
    user = security_field(pod, container, "runAsUser")
    wanted = str(user) if user is not None else named or "0"
    entry = _passwd(rootfs, wanted)
    if entry is not None:
        name, uid, gid = entry
    elif wanted.isdigit():
        name, uid, gid = "", int(wanted), 0
    else:
        raise StartFailure(
            "CreateContainerError",
            f'failed to generate container spec: unable to find user "{wanted}": no matching entries in passwd file',
        )
    group = security_field(pod, container, "runAsGroup")
    if group is not None:
        gid = group
    elif user is None and named_group.isdigit():
        gid = int(named_group)
    spec_context = pod["spec"].get("securityContext") or {}
    more = [*(spec_context.get("supplementalGroups") or ())]
    if spec_context.get("fsGroup") is not None:
        more.append(spec_context["fsGroup"])
    return Identity(uid=uid, gid=gid, groups=tuple(dict.fromkeys([gid, *_memberships(rootfs, name), *more])))


def _refuse(message: str) -> StartFailure:
    return StartFailure("CreateContainerConfigError", message)


def _lines(rootfs: Path | None, name: str) -> list[list[str]]:
    """The records of /etc/passwd or /etc/group; a link is not followed out of the image."""
    if rootfs is None:
        return []
    path = rootfs / "etc" / name
    try:
        if not path.resolve().is_relative_to(rootfs.resolve()):
            return []
        text = path.read_text(errors="replace")
    except OSError:
        return []
    return [line.split(":") for line in text.splitlines() if line and not line.startswith("#")]


def _passwd(rootfs: Path | None, wanted: str) -> tuple[str, int, int] | None:
    for record in _lines(rootfs, "passwd"):
        if len(record) >= 4 and wanted in (record[0], record[2]) and (record[2] + record[3]).isdigit():
            return record[0], int(record[2]), int(record[3])
    return None


def _memberships(rootfs: Path | None, user: str) -> list[int]:
    return [
        int(record[2])
        for record in _lines(rootfs, "group")
        if user and len(record) >= 4 and user in record[3].split(",") and record[2].isdigit()
    ]
