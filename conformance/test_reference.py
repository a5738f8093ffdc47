"""What a reference pins, and what happens when its image comes late."""

from __future__ import annotations

import json

from conformance.claims import claim
from conformance.kube import Object
from conformance.lab import Lab
from conformance.pods import usual_pod
from fixtures import ImageSpec


def _version(text: str) -> ImageSpec:
    return ImageSpec(({"content": [{"path": "version", "text": text}]},), {}, {}, None, {})


@claim("reference/digest-pins-content-while-its-tag-moves", source="OCI distribution specification: digests")
def test_digest_pins(lab: Lab) -> None:
    """A pod by digest sees the pinned content after the tag has moved to another."""
    pinned = lab.push("moving", _version("v1"))
    assert lab.push("moving", _version("v2")) != pinned
    repository = lab.repository("moving").reference
    by_digest = lab.look(usual_pod("pinned", image=lab.probe, reference=f"{repository}@{pinned}"))
    by_tag = lab.look(usual_pod("tagged", image=lab.probe, reference=f"{repository}:v1"))
    assert by_digest.probe["files"]["version"].endswith("v1")
    assert by_tag.probe["files"]["version"].endswith("v2")


@claim("reference/pod-starts-when-its-missing-image-appears", source="Kubernetes: image pull back-off")
def test_appears(lab: Lab) -> None:
    """A pod whose image was missing starts by itself once the image is pushed."""
    reference = f"{lab.repository('late').reference}:v1"
    stuck = lab.run(usual_pod("early", image=lab.probe, reference=reference))
    assert stuck.outcome == "ErrImagePull", stuck.brief()
    lab.push("late", _version("v1"))
    lab.cluster.wait("pods", "early", lambda pod: pod["status"]["phase"] == "Succeeded", "to succeed")


@claim("reference/failed-pull-backs-off", source="Kubernetes: pkg/kubelet/images/image_manager.go", needs=())
def test_backs_off(lab: Lab) -> None:
    """After a failed pull the container waits in ImagePullBackOff, which keeps the reason, and an event says so."""
    reference = f"{lab.repository('nothing').reference}:v1"
    lab.cluster.create("pods", usual_pod("patient", image=lab.probe, reference=reference))

    def backs_off(pod: Object) -> bool:
        return '"ImagePullBackOff"' in _waiting(pod)

    pod = lab.cluster.wait("pods", "patient", backs_off, "to back off")
    assert f'Back-off pulling image \\"{reference}\\": ErrImagePull: ' in _waiting(pod)
    lab.cluster.wait_event(
        "patient",
        lambda event: event["reason"] == "BackOff" and event["message"] == f'Back-off pulling image "{reference}"',
        "BackOff",
    )


def _waiting(pod: Object) -> str:
    return json.dumps(pod["status"])
