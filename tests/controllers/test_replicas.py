"""Which pods a ReplicaSet counts, makes and gives up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.cluster.controllers.conditions import condition, remove_condition, set_condition
from emulator.cluster.controllers.owners import claim, owner_reference
from emulator.cluster.controllers.podstates import victims
from emulator.cluster.controllers.replicas import Plan, batches, plan, pod_of, replicaset_status

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def ago(seconds):
    return (NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def pod(uid, *, node="n1", phase="Running", ready=None, age=100, restarts=0, cost=None, labels=None, owner=None):
    metadata = {"name": uid, "uid": uid, "namespace": "default", "creationTimestamp": ago(age), "labels": labels or {}}
    if cost is not None:
        metadata["annotations"] = {"controller.kubernetes.io/pod-deletion-cost": cost}
    if owner is not None:
        metadata["ownerReferences"] = [owner_reference(owner)]
    conditions = [{"type": "Ready", "status": "True", "lastTransitionTime": ago(ready)}] if ready is not None else []
    return {
        "metadata": metadata,
        "spec": {"nodeName": node} if node else {},
        "status": {"phase": phase, "conditions": conditions, "containerStatuses": [{"restartCount": restarts}]},
    }


def replicaset(replicas, uid="rs"):
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": []}}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": uid, "uid": uid, "namespace": "default", "generation": 3},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template},
        "status": {},
    }


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (pod("b", node="", phase="Pending"), pod("a")),
        (pod("b", phase="Pending"), pod("a", phase="Running")),
        (pod("b"), pod("a", ready=50)),
        (pod("b", ready=50, cost="-1"), pod("a", ready=50)),
        (pod("b", ready=50, cost="1"), pod("a", ready=50, cost="10")),
        (pod("b", ready=1), pod("a", ready=50)),
        (pod("b", ready=50, restarts=3), pod("a", ready=50)),
        (pod("b", ready=50, age=60), pod("a", ready=50, age=6000)),
        # Both ages are between 32 and 64 s worth of nanoseconds: the uid decides.
        (pod("a", ready=36, age=60), pod("b", ready=37, age=61)),
    ],
)
def test_who_goes_first(first, second):
    assert victims([second, first], [], 1, NOW) == [first]
    assert victims([first, second], [], 1, NOW) == [first]


def test_the_fuller_node_gives_first():
    pods = [pod("a", node="n1", ready=50), pod("b", node="n2", ready=50)]
    assert victims(pods, [*pods, pod("c", node="n2", ready=50)], 1, NOW) == [pods[1]]


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=12), st.integers(0, 12))
def test_a_plan_leaves_as_many_active_pods_as_asked_for_and_takes_unready_ones_first(states, wanted):
    pods = []
    for number, (ready, going) in enumerate(states):
        each = pod(f"p{number}", ready=10 if ready else None)
        if going:
            each["metadata"]["deletionTimestamp"] = ago(1)
        pods.append(each)
    active = [each for each in pods if "deletionTimestamp" not in each["metadata"]]
    todo = plan(replicaset(wanted), pods, pods, NOW)
    assert len(active) + todo.create - len(todo.delete) == wanted
    assert all(each in active for each in todo.delete)
    unready = [each for each in active if not each["status"]["conditions"]]
    assert sum(each in unready for each in todo.delete) == min(len(unready), len(todo.delete))
    assert not (todo.create and todo.delete)


def test_what_ended_is_replaced():
    assert plan(replicaset(1), [pod("a", phase="Failed")], [], NOW) == Plan(create=1)


def test_at_most_five_hundred_at_a_time():
    assert plan(replicaset(501), [], [], NOW).create == 500


@given(st.integers(0, 500))
def test_slow_start_doubles(count):
    sizes = list(batches(count))
    assert sum(sizes) == count
    assert all(size == 2**number for number, size in enumerate(sizes[:-1]))


def test_a_pod_is_made_from_the_template():
    owner = replicaset(1)
    owner["spec"]["template"]["metadata"]["annotations"] = {"note": "x"}
    made = pod_of(owner)
    assert made["metadata"] == {
        "labels": {"app": "web"},
        "annotations": {"note": "x"},
        "generateName": "rs-",
        "namespace": "default",
        "ownerReferences": [owner_reference(owner)],
    }
    made["spec"]["containers"].append("changed")
    assert owner["spec"]["template"]["spec"]["containers"] == []


def test_the_status_counts_and_reports_failures_once():
    owner = replicaset(4)
    going = pod("d", ready=10)
    going["metadata"]["deletionTimestamp"] = ago(1)
    pods = [pod("a", ready=10, labels={"app": "web", "x": "y"}), pod("b", ready=10), pod("c"), going]
    status = replicaset_status(owner, pods, lambda each: each["metadata"]["name"] == "a", "no room", ago(0))
    told = status.pop("conditions")
    assert status == {
        "replicas": 3,
        "fullyLabeledReplicas": 1,
        "readyReplicas": 2,
        "availableReplicas": 1,
        "observedGeneration": 3,
        "terminatingReplicas": 1,
    }
    assert told == [
        {
            "type": "ReplicaFailure",
            "status": "True",
            "lastTransitionTime": ago(0),
            "reason": "FailedCreate",
            "message": "no room",
        }
    ]
    owner["status"] = {**status, "conditions": told}
    later = replicaset_status(owner, pods, lambda each: True, "still no room", ago(-10))
    assert later["conditions"] == told
    assert "conditions" not in replicaset_status(owner, pods, lambda each: True, None, ago(-10))


def test_who_claims_what():
    owner, other = replicaset(1), replicaset(1, "other")
    web = {"app": "web"}
    mine, stray = pod("mine", labels=web, owner=owner), pod("stray", owner=owner)
    orphan, foreign = pod("orphan", labels=web), pod("foreign", labels=web, owner=other)
    found = claim(owner, [mine, stray, orphan, foreign, pod("nobody's")])
    assert (found.owned, found.adopt, found.release) == ((mine,), (orphan,), (stray,))
    owner["metadata"]["deletionTimestamp"] = ago(0)
    found = claim(owner, [mine, stray, orphan])
    assert (found.owned, found.adopt, found.release) == ((mine,), (), ())


def test_conditions_change_their_time_with_their_status_only():
    def ready(status, reason, time):
        return {"type": "Ready", "status": status, "reason": reason, "lastTransitionTime": time}

    status = {}
    set_condition(status, ready("True", "A", "1"))
    set_condition(status, ready("True", "A", "2"))
    assert condition(status, "Ready") == ready("True", "A", "1")
    set_condition(status, ready("True", "B", "3"))
    assert condition(status, "Ready") == ready("True", "B", "1")
    set_condition(status, ready("False", "B", "4"))
    assert condition(status, "Ready") == ready("False", "B", "4")
    remove_condition(status, "Ready")
    assert status == {}
