"""Pull secrets: whose credentials a node uses for an image volume."""

from __future__ import annotations

from conformance.claims import MOUNTS, claim
from conformance.lab import Lab
from conformance.pods import pull_secret, usual_pod
from fixtures import image_cases

_OK = next(case for case in image_cases() if case.name == "ok").images["ok"]
_SECRET = "registry"  # noqa: S105
_NEEDS = ["private-registry"]


@claim(
    "auth/absent-secret-fails-to-pull", source="Kubernetes: pkg/kubelet, FailedToRetrieveImagePullSecret", needs=_NEEDS
)
def test_absent_secret(lab: Lab) -> None:
    """A pod that names a pull secret which is not there is told so, and pulls without credentials."""
    lab.push("ok", _OK)
    reference = f"{lab.repository('ok', private=True).reference}:v1"
    pod = usual_pod("alone", image=lab.probe, reference=reference, spec={"imagePullSecrets": [{"name": _SECRET}]})
    seen = lab.run(pod)
    assert seen.outcome == "ErrImagePull", seen.brief()
    assert "no basic auth credentials" in seen.message
    lab.cluster.wait_event(
        "alone", lambda event: event["reason"] == "FailedToRetrieveImagePullSecret", "FailedToRetrieveImagePullSecret"
    )


@claim("auth/secret-added-later-lets-the-pod-start", source="Kubernetes: image pull back-off", needs=[*MOUNTS, *_NEEDS])
def test_secret_later(lab: Lab) -> None:
    """A pod that waits for credentials starts by itself once its secret is made."""
    lab.push("ok", _OK)
    reference = f"{lab.repository('ok', private=True).reference}:v1"
    pod = usual_pod("waits", image=lab.probe, reference=reference, spec={"imagePullSecrets": [{"name": _SECRET}]})
    seen = lab.run(pod)
    assert seen.outcome == "ErrImagePull", seen.brief()
    assert lab.target.private is not None
    lab.cluster.create("secrets", pull_secret(lab.target.private))
    lab.cluster.wait("pods", "waits", lambda found: found["status"]["phase"] == "Succeeded", "to succeed")


@claim(
    "auth/cached-private-image-is-not-given-to-others",
    source="Kubernetes enhancement 2535: ensure secret pulled images",
    needs=[*MOUNTS, *_NEEDS],
)
def test_cached_private_image(lab: Lab) -> None:
    """A pod without credentials is not given a private image that another pod's secret brought to the node."""
    lab.push("ok", _OK)
    reference = f"{lab.repository('ok', private=True).reference}:v1"
    assert lab.target.private is not None
    lab.cluster.create("secrets", pull_secret(lab.target.private))
    node = {"nodeSelector": {"kubernetes.io/hostname": lab.cluster.nodes()[0]}}
    owner = usual_pod(
        "owner", image=lab.probe, reference=reference, spec={"imagePullSecrets": [{"name": _SECRET}], **node}
    )
    lab.look(owner)
    seen = lab.run(usual_pod("stranger", image=lab.probe, reference=reference, spec=node))
    assert seen.outcome == "ErrImagePull", seen.brief()
    again = usual_pod(
        "friend", image=lab.probe, reference=reference, spec={"imagePullSecrets": [{"name": _SECRET}], **node}
    )
    lab.look(again)
