"""What disruption budgets allow, and the evictions that they refuse."""

from __future__ import annotations

import pytest

from emulator.cluster import ApiError
from emulator.cluster.evictions import spend

KEYS = ("expectedPods", "currentHealthy", "desiredHealthy", "disruptionsAllowed")


def budget(name="guard", app="web", **spec):
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"selector": {"matchLabels": {"app": app}}, **spec},
    }


def counts(lab, name="guard"):
    status = lab.api.get("poddisruptionbudgets", name, "default")["status"]
    return tuple(status[key] for key in KEYS)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"minAvailable": 1}, (3, 3, 1, 2)),
        ({"minAvailable": 5}, (3, 3, 5, 0)),
        ({"minAvailable": "50%"}, (3, 3, 2, 1)),
        ({"maxUnavailable": 1}, (3, 3, 2, 1)),
        ({"maxUnavailable": 0}, (3, 3, 3, 0)),
        ({"maxUnavailable": "34%"}, (3, 3, 1, 2)),
        ({"maxUnavailable": 9}, (3, 3, 0, 3)),
        ({}, (0, 3, 0, 0)),
    ],
)
def test_what_a_budget_allows(in_lab, deployment_of, spec, expected):
    async def test(lab):
        lab.api.create("poddisruptionbudgets", budget(**spec))
        lab.api.create("deployments", deployment_of(replicas=3))
        await lab.until(lambda: counts(lab) == expected, f"{expected} of {KEYS}")
        (allowed,) = lab.api.get("poddisruptionbudgets", "guard", "default")["status"]["conditions"]
        words = ("True", "SufficientPods") if expected[-1] else ("False", "InsufficientPods")
        assert (allowed["type"], allowed["status"], allowed["reason"]) == ("DisruptionAllowed", *words)

    in_lab(test)


def test_the_count_follows_pods_and_scale(in_lab, deployment_of):
    async def test(lab):
        lab.becomes_ready = lambda pod: False
        lab.api.create("deployments", deployment_of(replicas=2))
        lab.api.create("poddisruptionbudgets", budget(maxUnavailable=1))
        await lab.until(lambda: counts(lab) == (2, 0, 1, 0))
        await lab.until(lambda: len([p for p in lab.pods() if p["status"]["phase"] == "Running"]) == 2)
        for pod in lab.pods():
            lab.run(pod, ready=True)
        await lab.until(lambda: counts(lab) == (2, 2, 1, 1))
        lab.becomes_ready = lambda pod: True
        lab.api.patch("deployments", "web", {"spec": {"replicas": 4}}, "default", kind="merge")
        await lab.until(lambda: counts(lab) == (4, 4, 3, 1))

    in_lab(test)


def guarded(ready=True, phase="Running", **status):
    counted = {"disruptionsAllowed": 1, "currentHealthy": 2, "desiredHealthy": 1, "expectedPods": 2}
    found = budget(minAvailable=1)
    found["metadata"]["generation"] = 1
    found["status"] = {"observedGeneration": 1, **counted, **status}
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    pod = {"metadata": {"name": "p", "labels": {"app": "web"}}, "status": {"phase": phase, "conditions": conditions}}
    return pod, found


def test_an_eviction_spends_what_the_budget_has():
    pod, found = guarded()
    spent = spend(pod, [found])
    assert spent is not None
    assert spent["status"]["disruptionsAllowed"] == 0
    assert found["status"]["disruptionsAllowed"] == 1


@pytest.mark.parametrize(
    ("ready", "phase", "status"),
    [(True, "Pending", {}), (True, "Succeeded", {}), (False, "Running", {"disruptionsAllowed": 0})],
)
def test_what_guards_nothing_is_not_asked(ready, phase, status):
    pod, found = guarded(ready, phase, **status)
    assert spend(pod, [found]) is None
    assert spend(pod, []) is None


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        (
            {"disruptionsAllowed": 0, "currentHealthy": 1},
            "The disruption budget guard needs 1 healthy pods and has 1 currently",
        ),
        ({"observedGeneration": 0}, "The disruption budget guard is still being processed by the server."),
    ],
)
def test_a_budget_that_is_used_up_refuses(status, cause):
    pod, found = guarded(**status)
    with pytest.raises(ApiError) as refused:
        spend(pod, [found])
    assert refused.value.code == 429
    assert str(refused.value) == "Cannot evict pod as it would violate the pod's disruption budget."
    assert refused.value.status["details"]["causes"] == [{"reason": "DisruptionBudget", "message": cause}]


def test_two_budgets_of_one_pod_are_not_supported():
    pod, found = guarded()
    with pytest.raises(ApiError, match="more than one PodDisruptionBudget") as refused:
        spend(pod, [found, found])
    assert refused.value.code == 500
