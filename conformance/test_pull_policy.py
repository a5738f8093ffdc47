"""When a node pulls again, and what a pod sees when a tag has moved."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import pytest

from conformance.claims import MOUNTS, Claim, claim, claim_param
from conformance.kube import Object
from conformance.lab import Lab
from conformance.pods import usual_pod
from fixtures import ImageSpec

_DEFAULTS = "Kubernetes: pkg/apis/core/v1/defaults.go"
_SEEN = "observation: Kubernetes 1.36.3, containerd 2.1.9 to 2.4.2"
_NODES = (*MOUNTS, "several-nodes")
_DIGEST = "sha256:" + "7" * 64
_DEFAULTED = [
    ("no-tag", "", "Always", "without tag or digest"),
    ("latest", ":latest", "Always", "with the tag latest"),
    ("latest-and-digest", f":latest@{_DIGEST}", "Always", "with the tag latest and a digest"),
    ("other-tag", ":v1", "IfNotPresent", "with another tag"),
    ("digest", f"@{_DIGEST}", "IfNotPresent", "by digest alone"),
]


def _version(text: str) -> ImageSpec:
    return ImageSpec(({"content": [{"path": "version", "text": text}]},), {}, {}, None, {})


@pytest.mark.parametrize(
    "case",
    [
        claim_param(
            (suffix, policy),
            Claim(f"pull-policy/default-for-{name}", f"A reference {what} gets pullPolicy {policy}.", _DEFAULTS),
        )
        for name, suffix, policy, what in _DEFAULTED
    ],
)
def test_default(case: tuple[str, str], lab: Lab, evidence: list[str]) -> None:
    suffix, policy = case
    pod = usual_pod("defaulted", image=lab.probe, reference=f"{lab.repository('any').reference}{suffix}")
    created = lab.cluster.create("pods", pod, dry_run=True)
    evidence.append(json.dumps(created["spec"]["volumes"][0]))
    assert created["spec"]["volumes"][0]["image"]["pullPolicy"] == policy


@claim("pull-policy/if-not-present-keeps-old-content", source=_SEEN)
def test_if_not_present(lab: Lab) -> None:
    """With IfNotPresent a new pod on the node sees the old content after the tag has moved."""
    assert _after_the_tag_moved(lab, "IfNotPresent") == ("v1", "v1")


@claim("pull-policy/always-new-pod-sees-moved-tag", source="Kubernetes docs: image volumes")
def test_always(lab: Lab) -> None:
    """With Always a new pod sees what the tag has moved to."""
    assert _after_the_tag_moved(lab, "Always") == ("v1", "v2")


@claim("pull-policy/always-restarted-container-sees-moved-tag", source=_SEEN)
def test_always_restart(lab: Lab) -> None:
    """With Always a container that only restarts inside its pod sees what the tag has moved to."""
    assert _after_a_restart(lab, "Always") == ("v1", "v2")


@claim("pull-policy/if-not-present-restarted-container-keeps-content", source=_SEEN)
def test_if_not_present_restart(lab: Lab) -> None:
    """With IfNotPresent a container that restarts inside its pod keeps its content."""
    assert _after_a_restart(lab, "IfNotPresent") == ("v1", "v1")


@claim("pull-policy/if-not-present-differs-by-node", source=_SEEN, needs=_NODES)
def test_if_not_present_by_node(lab: Lab) -> None:
    """With IfNotPresent two nodes that pulled before and after the tag moved go on serving different content."""
    old, new = _two_nodes(lab)
    assert _while_the_tag_moves(lab, {"v1": old, "v2": new}) == ["v1", "v2"]
    assert [_seen_on(lab, node, "moving", f"again-{at}") for at, node in enumerate((old, new))] == ["v1", "v2"]


@claim("pull-policy/digest-is-the-same-on-every-node", source="Kubernetes docs: images", needs=_NODES)
def test_digest_by_node(lab: Lab) -> None:
    """A reference by digest has every node serve the same content, though the tag has moved between their pulls."""
    old, new = _two_nodes(lab)
    digest = lab.push("moving", _version("v1"))
    before = _seen_on(lab, old, "moving", "before", f"@{digest}")
    lab.push("moving", _version("v2"))
    assert [before, _seen_on(lab, new, "moving", "after", f"@{digest}")] == ["v1", "v1"]


def _two_nodes(lab: Lab) -> tuple[str, str]:
    nodes = lab.cluster.nodes()
    assert len(nodes) > 1, f"two nodes are needed, and there is {', '.join(nodes)}"
    return nodes[0], nodes[1]


def _after_the_tag_moved(lab: Lab, policy: str) -> tuple[str, str]:
    """The versions that a pod saw before the tag moved, and another after it, on the same node."""
    node = lab.cluster.nodes()[0]
    before, after = _while_the_tag_moves(lab, {"v1": node, "v2": node}, policy)
    return before, after


def _while_the_tag_moves(lab: Lab, nodes: Mapping[str, str], policy: str = "IfNotPresent") -> list[str]:
    """What a pod saw on each version's node, once the tag had moved to that version."""
    seen = []
    for version, node in nodes.items():
        lab.push("moving", _version(version))
        seen.append(_seen_on(lab, node, "moving", version, policy=policy))
    return seen


def _seen_on(
    lab: Lab, node: str, repository: str, name: str, version: str = ":v1", *, policy: str = "IfNotPresent"
) -> str:
    """The version that a pod sees on a node."""
    pod = usual_pod(
        f"sees-{name}",
        image=lab.probe,
        reference=f"{lab.repository(repository).reference}{version}",
        volume={"pullPolicy": policy},
        spec={"nodeSelector": {"kubernetes.io/hostname": node}},
    )
    return _version_in(json.dumps(lab.look(pod).probe))


def _after_a_restart(lab: Lab, policy: str) -> tuple[str, str]:
    """The versions that a container saw before the tag moved, and after its restart."""
    lab.push("moving", _version("v1"))
    pod = usual_pod(
        "restarts",
        image=lab.probe,
        reference=f"{lab.repository('moving').reference}:v1",
        volume={"pullPolicy": policy},
        container={
            "args": ["wait"],
            "readinessProbe": {"httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 1},
        },
        spec={"restartPolicy": "Always"},
    )
    lab.cluster.create("pods", pod)
    lab.cluster.wait("pods", "restarts", _ready(restarts=0), "to be ready")
    before = lab.cluster.fetch("restarts", 8080, "/")[1].decode()
    lab.push("moving", _version("v2"))
    lab.cluster.fetch("restarts", 8080, "/exit?code=1", method="POST")
    lab.cluster.wait("pods", "restarts", _ready(restarts=1), "to be ready again")
    after = lab.cluster.fetch("restarts", 8080, "/")[1].decode()
    return _version_in(before), _version_in(after)


def _version_in(seen: str) -> str:
    line: str = json.loads(seen)["files"]["version"]
    return line.rsplit(" ", 1)[-1]


def _ready(restarts: int) -> Callable[[Object], bool]:
    def check(pod: Object) -> bool:
        statuses = pod["status"].get("containerStatuses", [])
        return bool(statuses) and statuses[0]["restartCount"] == restarts and bool(statuses[0]["ready"])

    return check
