"""Who may read what: a mount keeps the owners and modes of the image, whoever the pod is."""

from __future__ import annotations

import pytest

from conformance.claims import MOUNTS, Claim, claim, claim_param
from conformance.lab import Lab
from conformance.observation import Observation
from conformance.pods import USER, usual_pod
from fixtures import ImageSpec

_SEEN = "observation: Kubernetes 1.36.3, containerd 2.1.9 to 2.4.2"
_CONTENT = (
    {"path": "open", "text": "open\n", "mode": 0o644},
    {"path": "closed", "text": "closed\n", "mode": 0o600},
    {"path": "mine", "text": "mine\n", "mode": 0o600, "uid": USER, "gid": USER},
    {"path": "of-root-group", "text": "group 0\n", "mode": 0o640},
    {"path": "of-pod-group", "text": "group\n", "mode": 0o640, "gid": USER},
    {"path": "of-other-group", "text": "other\n", "mode": 0o640, "gid": 4711},
    {"path": "private/", "mode": 0o700},
    {"path": "private/inside", "text": "inside\n", "mode": 0o644},
)
_IMAGE = ImageSpec(({"content": list(_CONTENT)},), {}, {}, None, {})
_USER = [
    ("open", True, "a 0644 root file is readable"),
    ("closed", False, "a 0600 root file is unreadable"),
    ("mine", True, "a 0600 file of its own uid is readable"),
    ("of-root-group", True, "a 0640 file of group 0 is readable: the primary group is 0 unless runAsGroup is set"),
    ("of-pod-group", True, "a 0640 file of the pod's fsGroup is readable"),
    ("of-other-group", False, "a 0640 file of another group is unreadable"),
    ("private/inside", False, "a file under a 0700 root directory is unreachable"),
]


def _read(lab: Lab, path: str, **spec: object) -> Observation:
    lab.push("owned", _IMAGE)
    return lab.look(
        usual_pod(
            "reader",
            image=lab.probe,
            reference=f"{lab.repository('owned').reference}:v1",
            container={"args": ["read", f"/content/{path}"]},
            spec=spec,
        )
    )


def _user_claim(path: str, says: str) -> Claim:
    return Claim(f"permissions/user-and-{path.replace('/', '-')}-file", f"To uid 65532, {says}.", _SEEN, MOUNTS)


@pytest.mark.parametrize("case", [claim_param((path, ok), _user_claim(path, says)) for path, ok, says in _USER])
def test_user(case: tuple[str, bool], lab: Lab, evidence: list[str]) -> None:
    path, readable = case
    found = _read(lab, path).probe[f"/content/{path}"]
    evidence.append(str(found))
    assert ("sha256" in found) is readable, found


@claim("permissions/root-reads-everything", source=_SEEN)
def test_root(lab: Lab) -> None:
    """A root process reads what others may not."""
    root = {"securityContext": {"runAsUser": 0}}
    found = _read(lab, "closed", **root).probe["/content/closed"]
    assert "sha256" in found, found


@claim("permissions/fsgroup-changes-no-owner", source=_SEEN, needs=[*MOUNTS, "owners"])
def test_fsgroup(lab: Lab) -> None:
    """fsGroup changes no owner and no mode in the mount."""
    lab.push("owned", _IMAGE)
    seen = lab.look(usual_pod("looker", image=lab.probe, reference=f"{lab.repository('owned').reference}:v1"))
    assert seen.probe["files"]["closed"].startswith(("-rw------- 0:0", "ERR")), seen.probe["files"]
    assert seen.probe["files"]["open"].startswith("-rw-r--r-- 0:0"), seen.probe["files"]


@claim("permissions/process-has-the-groups-of-the-pod", source=_SEEN, needs=[*MOUNTS, "groups"])
def test_groups(lab: Lab) -> None:
    """A process of uid 65532 with fsGroup 65532 has primary group 0 and the groups 0 and 65532."""
    lab.push("owned", _IMAGE)
    seen = lab.look(usual_pod("groups", image=lab.probe, reference=f"{lab.repository('owned').reference}:v1"))
    assert (seen.probe["uid"], seen.probe["gid"], seen.probe["groups"]) == (USER, 0, [0, USER])
