"""What the API refuses of image volumes; the cases of fixtures/pods have the rest."""

from __future__ import annotations

import json

import pytest

from conformance.claims import claim
from conformance.kube import RefusedError
from conformance.lab import Lab
from conformance.pods import usual_pod

_VALIDATION = "Kubernetes: pkg/apis/core/validation/validation.go"


@claim("api/reference-of-a-pod-is-immutable", source=_VALIDATION, needs=())
def test_immutable(lab: Lab, evidence: list[str]) -> None:
    """The reference of a pod's image volume cannot be changed."""
    pod = usual_pod("fixed", image=lab.probe, reference=f"{lab.repository('any').reference}:v1")
    lab.cluster.create("pods", pod)
    change = {
        "spec": {"volumes": [{"name": "content", "image": {"reference": f"{lab.repository('any').reference}:v2"}}]}
    }
    with pytest.raises(RefusedError) as refused:
        lab.cluster.patch("pods", "fixed", change)
    evidence.append(str(refused.value).splitlines()[0])
    assert refused.value.code == 422
    assert "pod updates may not change fields other than" in str(refused.value)


@claim("api/two-sources-in-one-volume-rejected", source=_VALIDATION, needs=())
def test_two_sources(lab: Lab) -> None:
    """A volume cannot be an image and something else at once."""
    pod = usual_pod("two", image=lab.probe, reference=f"{lab.repository('any').reference}:v1")
    pod["spec"]["volumes"][0]["emptyDir"] = {}
    with pytest.raises(RefusedError, match="may not specify more than 1 volume type") as refused:
        lab.cluster.create("pods", pod)
    assert refused.value.code == 422


@claim("api/read-only-mount-is-not-implied-in-the-spec", source="Kubernetes docs: image volumes", needs=())
def test_spec_kept(lab: Lab) -> None:
    """The API keeps the mount as it was written: read-only is the node's doing, not a change to the spec."""
    pod = usual_pod(
        "kept", image=lab.probe, reference=f"{lab.repository('any').reference}:v1", mount={"readOnly": False}
    )
    created = lab.cluster.create("pods", pod, dry_run=True)
    assert not created["spec"]["containers"][0]["volumeMounts"][0].get("readOnly", False), json.dumps(created["spec"])
