from __future__ import annotations

from typing import Any

import pytest

from emulator.node.kubelet.phase import pod_phase

RUNNING: dict[str, Any] = {"state": {"running": {}}, "lastState": {}}
WAITING: dict[str, Any] = {"state": {"waiting": {}}, "lastState": {}}


def ended(code: int) -> dict[str, Any]:
    return {"state": {"terminated": {"exitCode": code}}, "lastState": {}}


def crashing(code: int = 1) -> dict[str, Any]:
    return {"state": {"waiting": {}}, "lastState": {"terminated": {"exitCode": code}}}


@pytest.mark.parametrize(
    ("policy", "statuses", "phase"),
    [
        ("Always", [RUNNING], "Running"),
        ("Always", [WAITING], "Pending"),
        ("Always", [RUNNING, WAITING], "Pending"),
        ("Always", [ended(0)], "Running"),
        ("Always", [crashing()], "Running"),
        ("Never", [ended(0)], "Succeeded"),
        ("Never", [ended(0), ended(2)], "Failed"),
        ("Never", [ended(1), RUNNING], "Running"),
        ("OnFailure", [ended(0)], "Succeeded"),
        ("OnFailure", [ended(1)], "Running"),
        ("OnFailure", [crashing(1), ended(0)], "Running"),
    ],
)
def test_the_phase_follows_the_containers(policy: str, statuses: list[dict[str, Any]], phase: str) -> None:
    names = [f"c{index}" for index in range(len(statuses))]
    pod = {"spec": {"restartPolicy": policy, "containers": [{"name": name} for name in names]}}
    assert pod_phase(pod, dict(zip(names, statuses, strict=True)), terminal=False) == phase


@pytest.mark.parametrize(
    ("policy", "init", "phase"),
    [
        ("Always", WAITING, "Pending"),
        ("Always", RUNNING, "Pending"),
        ("Always", ended(1), "Pending"),
        ("Never", ended(1), "Failed"),
        ("OnFailure", crashing(1), "Pending"),
    ],
)
def test_a_pod_is_pending_while_it_initialises(policy: str, init: dict[str, Any], phase: str) -> None:
    pod = {"spec": {"restartPolicy": policy, "initContainers": [{"name": "i"}], "containers": [{"name": "c"}]}}
    assert pod_phase(pod, {"i": init, "c": WAITING}, terminal=False) == phase


@pytest.mark.parametrize(("code", "phase"), [(0, "Succeeded"), (143, "Failed")])
def test_a_pod_that_is_ended_reaches_a_terminal_phase(code: int, phase: str) -> None:
    pod = {"spec": {"restartPolicy": "Always", "containers": [{"name": "c"}]}}
    assert pod_phase(pod, {"c": ended(code)}, terminal=True) == phase
