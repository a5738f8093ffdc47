"""A registry that fails, and what becomes of pods once it no longer does; the single faults are image cases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from conformance.claims import MOUNTS, Claim, claim, claim_param
from conformance.faulting import faults
from conformance.kube import Object
from conformance.lab import Lab
from conformance.observation import Observation
from conformance.pods import usual_pod
from fixtures import Forged, image_cases

_NEEDS = (*MOUNTS, "faulty-registry")
_IMAGES = "Kubernetes docs: images, ImagePullBackOff"
_RECOVERIES: list[tuple[str, str, Mapping[str, Any]]] = [
    ("unavailable", "was unavailable", {"match": {"operation": "manifest-*"}, "status": 503}),
    ("corrupt", "sent a layer wrongly", {"match": {"reference": "{layer}"}, "corrupt": "50%"}),
    ("cut-off", "cut a layer off", {"match": {"reference": "{layer}"}, "truncate": "50%"}),
    ("throttled", "was throttled", {"match": {"operation": "blob-get"}, "status": 429}),
]


def _ended(pod: Object) -> bool:
    return pod["status"].get("phase") in {"Succeeded", "Failed"}


def _image(lab: Lab, name: str) -> tuple[Forged, str]:
    """An ordinary image in the faulty registry, and its reference."""
    image = lab.forge(next(case.images["ok"] for case in image_cases() if case.name == "ok"))
    repository = lab.repository(name, faulty=True)
    repository.push(image, "v1")
    return image, f"{repository.reference}:v1"


def _is_whole(seen: Observation) -> None:
    assert seen.outcome == "mounted", f"expected the image to be mounted, saw {seen.brief()}"
    files = seen.probe["files"]
    assert " 9c6bc7ac" in files["data/items.json"], f"expected data/items.json whole, saw {files}"
    assert " a8076d3d" in files["run.sh"], f"expected run.sh whole, saw {files}"


@pytest.mark.parametrize(
    "case",
    [
        claim_param(
            (name, fault),
            Claim(
                f"faults/pod-recovers-after-{name}",
                f"A pod that failed to pull since the registry {what} mounts the image whole once it no longer does.",
                _IMAGES,
                _NEEDS,
            ),
        )
        for name, what, fault in _RECOVERIES
    ],
)
def test_recovery(case: tuple[str, Mapping[str, Any]], lab: Lab, evidence: list[str]) -> None:
    name, fault = case
    image, reference = _image(lab, name)
    with faults(lab.repository(name, faulty=True), image, [fault]):
        failed = lab.run(usual_pod(name, image=lab.probe, reference=reference))
        evidence.append(failed.brief())
        assert failed.outcome == "ErrImagePull", f"expected the pull to fail, saw {failed.brief()}"
    recovered = lab.observe(lab.cluster.wait("pods", name, _ended, "to run once the registry is well again"))
    evidence.append(recovered.brief())
    _is_whole(recovered)


@claim("faults/present-image-needs-no-registry", source="Kubernetes docs: image pull policy", needs=_NEEDS)
def test_present(lab: Lab, evidence: list[str]) -> None:
    """With IfNotPresent a pod mounts an image that its node has, though the registry is unavailable."""
    image, reference = _image(lab, "present")
    before = lab.look(usual_pod("before", image=lab.probe, reference=reference))
    with faults(lab.repository("present", faulty=True), image, [{"status": 503}]):
        seen = lab.look(usual_pod("during", image=lab.probe, reference=reference))
    evidence.append(seen.brief())
    assert seen.probe["files"] == before.probe["files"]


@claim("faults/always-needs-the-registry", source="Kubernetes docs: image pull policy", needs=_NEEDS)
def test_always(lab: Lab, evidence: list[str]) -> None:
    """With Always a pod does not start while the registry is unavailable, though its node has the image."""
    image, reference = _image(lab, "always")
    always = {"pullPolicy": "Always"}
    lab.look(usual_pod("before", image=lab.probe, reference=reference, volume=always))
    with faults(lab.repository("always", faulty=True), image, [{"status": 503}]):
        seen = lab.run(usual_pod("during", image=lab.probe, reference=reference, volume=always))
    evidence.append(seen.brief())
    assert seen.outcome == "ErrImagePull", f"expected the pull to fail, saw {seen.brief()}"
    assert "503 Service Unavailable" in seen.message, f"expected the registry's status, saw {seen.message}"
