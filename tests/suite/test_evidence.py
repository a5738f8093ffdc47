"""What is told of a claim that fails is what its reader needs, in the node's words and with their meaning."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conformance.claims import Claim, Verdict
from conformance.observation import Observation, explained, plight_of, symbolic
from conformance.record import NotRealError, normal_evidence, record_claims
from conformance.report import Judgement
from conformance.targets import Description, Fingerprint, NodeFingerprint, RegistryEndpoint, Target

WITHOUT_VOLUMES = (
    f'failed to generate container "{"ab" * 32}" spec: failed to generate spec: failed to mkdir "": '
    "mkdir : no such file or directory"
)
STUCK = {
    "metadata": {"name": "demo-engine-598c45d54f-x8k2p"},
    "status": {
        "phase": "Pending",
        "containerStatuses": [
            {"name": "engine", "state": {"waiting": {"reason": "CreateContainerError", "message": WITHOUT_VOLUMES}}}
        ],
    },
}


def event(reason: str, message: str, type_: str = "Warning") -> dict[str, str]:
    return {"type": type_, "reason": reason, "message": message}


def test_what_keeps_a_pod_is_its_state_with_its_meaning_and_the_warnings_that_say_more() -> None:
    events = [
        event("Pulled", "Successfully pulled", "Normal"),
        event("Failed", f"Error: {WITHOUT_VOLUMES}"),
        event("Failed", "Error: ImagePullBackOff"),
        event("Unhealthy", "Readiness probe failed"),
    ]
    told = plight_of(STUCK, events)
    assert told.startswith("pods/demo-engine-598c45d54f-x8k2p: engine waits: CreateContainerError: failed to generate")
    assert "(a runtime without image volumes says so: containerd mounts them from 2.1 on)" in told
    assert told.endswith("; event Unhealthy: Readiness probe failed")
    assert told.count("failed to generate container") == 1
    assert "ImagePullBackOff" not in told


def test_a_pod_that_nothing_keeps_is_not_told_of() -> None:
    fine = {"metadata": {"name": "fine"}, "status": {"containerStatuses": [{"name": "a", "state": {"running": {}}}]}}
    assert plight_of(fine, [event("Started", "Container started", "Normal")]) == ""


def test_only_words_that_need_it_are_explained() -> None:
    assert explained("no space left on device") == "no space left on device"
    assert Observation(waiting={"reason": "CreateContainerError", "message": WITHOUT_VOLUMES}).brief().endswith("on)")


def test_evidence_is_the_same_for_every_run() -> None:
    told = symbolic(f"waited 120 s in vain for deployments/demo-engine; {plight_of(STUCK, [])}", {})
    assert told.startswith("waited <patience> in vain for deployments/demo-engine; pods/demo-engine-<hash>: engine")
    assert 'container "<id>"' in told


def _target(*, emulator: str = "") -> Target:
    target = Target(
        Description(
            name="kind",
            kubeconfig="",
            registry=RegistryEndpoint("http://127.0.0.1:1", "registry:5000"),
            private=None,
            closed="127.0.0.1:1",
            patience=1,
            run="0fab1e",
        )
    )
    node = NodeFingerprint("node", "v1.36.3", "containerd://2.3.7", "Debian", "6.1", "amd64")
    target.__dict__["fingerprint"] = Fingerprint("kind", "v1.36.3", emulator, (node,))
    return target


def _judged(verdict: Verdict, evidence: str = "saw registry:5000/0fab1e/0fab1e-mount-a/ok:v1") -> Judgement:
    return Judgement(Claim(f"mount/{verdict.name.lower()}", "It holds.", "a test"), verdict, 1.25, evidence)


def test_claims_are_recorded_one_a_file_where_their_verdict_says_something_of_the_target(tmp_path: Path) -> None:
    paths = list(record_claims(_target(), tmp_path, [_judged(verdict) for verdict in Verdict]))
    place = tmp_path / "kubernetes-1.36.3_containerd-2.3.7" / "claims" / "mount"
    assert paths == [place / "pass.json", place / "fail.json"]
    assert sorted(place.iterdir()) == sorted(paths)
    told = json.loads(paths[1].read_text())
    assert told["normalised"] == {"verdict": "fail", "evidence": "saw <registry>/<run>/<run>/ok:v1"}
    assert told["raw"] == {"evidence": "saw registry:5000/0fab1e/0fab1e-mount-a/ok:v1"}
    assert told["provenance"]["fingerprint"]["nodes"][0]["runtime"] == "containerd://2.3.7"


def test_a_digest_that_looks_like_the_run_stays_a_digest() -> None:
    assert normal_evidence(_target(), f"sha256:{'0fab1e' * 10}abcd") == "<digest>"


def test_no_claim_is_recorded_from_an_emulator(tmp_path: Path) -> None:
    with pytest.raises(NotRealError):
        list(record_claims(_target(emulator="0.1"), tmp_path, [_judged(Verdict.PASS)]))
    assert list(tmp_path.iterdir()) == []
