"""Image volumes under Pod Security; that restricted admits them is a case of fixtures/pods."""

from __future__ import annotations

import pytest

from conformance.claims import claim
from conformance.kube import RefusedError
from conformance.lab import Lab
from conformance.pods import usual_pod


@claim("security/restricted-refuses-what-it-must", source="Kubernetes Pod Security Standards: restricted", needs=())
def test_restricted(lab: Lab, evidence: list[str]) -> None:
    """Pod Security restricted still refuses a pod with an image volume for anything else that it forbids."""
    lab.cluster.label({"pod-security.kubernetes.io/enforce": "restricted"})
    pod = usual_pod("loose", image=lab.probe, reference=f"{lab.repository('any').reference}:v1")
    with pytest.raises(RefusedError, match="violates PodSecurity") as refused:
        lab.cluster.create("pods", pod)
    evidence.append(str(refused.value))
    assert refused.value.code == 403
    assert "volume" not in str(refused.value).split("violates PodSecurity")[1].replace("volumeMounts", "")
