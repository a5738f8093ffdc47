"""Which node a pod gets, and what is said when it gets none."""

from __future__ import annotations

from fractions import Fraction

import pytest

from emulator.cluster.controllers.feasibility import explain, refusal, requests


def node(name="n1", ready=True, taints=(), labels=None, **allocatable):
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return {
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {"taints": list(taints)},
        "status": {"allocatable": {"cpu": "1", "memory": "1Gi", "pods": "2", **allocatable}, "conditions": conditions},
    }


def pod(cpu="", **spec):
    resources = {"requests": {"cpu": cpu}} if cpu else {}
    return {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "resources": resources}], **spec}}


TAINT = {"key": "dedicated", "value": "db", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("pod_", "node_", "others", "expected"),
    [
        (pod(), node(), [], None),
        (pod("1"), node(), [], None),
        (pod("600m"), node(), [pod("500m")], ("Insufficient cpu",)),
        (pod(), node(), [pod(), pod()], ("Too many pods",)),
        (pod(nodeSelector={"disk": "ssd"}), node(), [], ("node(s) didn't match Pod's node affinity/selector",)),
        (pod(nodeSelector={"disk": "ssd"}), node(labels={"disk": "ssd"}), [], None),
        (pod(), node(taints=[TAINT]), [], ("node(s) had untolerated taint(s)",)),
        (pod(tolerations=[{"operator": "Exists"}]), node(taints=[TAINT]), [], None),
        (pod(tolerations=[{"key": "dedicated", "value": "db"}]), node(taints=[TAINT]), [], None),
        (
            pod(tolerations=[{"key": "dedicated", "value": "web"}]),
            node(taints=[TAINT]),
            [],
            ("node(s) had untolerated taint(s)",),
        ),
        (pod(), node(taints=[{**TAINT, "effect": "PreferNoSchedule"}]), [], None),
        (pod(), node(ready=False), [], ("node(s) had untolerated taint(s)",)),
    ],
)
def test_why_a_node_does_not_take_a_pod(pod_, node_, others, expected):
    found = refusal(pod_, node_, others)
    assert (None if found is None else found.reasons) == expected


def test_pods_that_ended_need_nothing():
    assert refusal(pod("1"), node(), [{**pod("1"), "status": {"phase": "Succeeded"}}]) is None


def test_the_message_counts_nodes_by_reason():
    wanted = pod("600m", nodeSelector={"disk": "ssd"})
    ssd = {"labels": {"disk": "ssd"}}
    nodes = [node(taints=[TAINT]), node(), node(**ssd), node(**ssd)]
    refusals = [refusal(wanted, each, [pod("500m")]) for each in nodes]
    assert explain(refusals) == (
        "0/4 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, "
        "1 node(s) had untolerated taint(s), 2 Insufficient cpu. no new claims to deallocate, preemption: "
        "0/4 nodes are available: 2 No preemption victims found for incoming pod, "
        "2 Preemption is not helpful for scheduling."
    )
    assert explain([]) == "no nodes available to schedule pods"


def test_more_than_a_node_has_is_beyond_preemption():
    found = refusal(pod("64"), node(), [])
    assert found.reasons == ("Insufficient cpu",)
    assert not found.resolvable


def test_init_containers_count_by_the_largest():
    def container(cpu):
        return {"resources": {"requests": {"cpu": cpu}}}

    spec = {
        "containers": [container("100m"), container("200m")],
        "initContainers": [container("50m"), container("400m")],
    }
    assert requests({"spec": spec}) == {"cpu": Fraction(400, 1000)}


def create_pod(lab, name, cpu="100m", **spec):
    container = {"name": "main", "image": "app:v1", "resources": {"requests": {"cpu": cpu}}}
    lab.api.create("pods", {"metadata": {"name": name}, "spec": {"containers": [container], **spec}}, "default")


def scheduled(lab, name):
    status = lab.api.get("pods", name, "default")["status"]
    return next((each for each in status.get("conditions", ()) if each["type"] == "PodScheduled"), {})


def test_pods_are_spread_over_nodes(in_lab):
    async def test(lab):
        for number in range(4):
            create_pod(lab, f"p{number}")
        await lab.until(lambda: all(pod["spec"].get("nodeName") for pod in lab.pods()))
        assert sorted(pod["spec"]["nodeName"] for pod in lab.pods()) == ["node-1", "node-1", "node-2", "node-2"]

    in_lab(test, nodes=2)


def test_a_pod_waits_for_room_and_gets_it(in_lab):
    async def test(lab):
        create_pod(lab, "first", "1500m")
        create_pod(lab, "second", "1500m")
        await lab.until(lambda: scheduled(lab, "second").get("status") == "False")
        message = (
            "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: "
            "0/1 nodes are available: 1 No preemption victims found for incoming pod."
        )
        assert scheduled(lab, "second")["reason"] == "Unschedulable"
        assert scheduled(lab, "second")["message"] == message
        await lab.quiet()
        assert lab.events("FailedScheduling") == [message]
        lab.api.delete("pods", "first", "default")
        await lab.until(lambda: scheduled(lab, "second")["status"] == "True")

    in_lab(test)


def test_a_pod_waits_for_a_node(in_lab):
    async def test(lab):
        create_pod(lab, "early")
        await lab.until(lambda: lab.events("FailedScheduling") == ["no nodes available to schedule pods"])
        lab.add_node("late")
        await lab.until(lambda: scheduled(lab, "early")["status"] == "True")
        assert lab.events("Scheduled") == ["Successfully assigned default/early to late"]

    in_lab(test, nodes=0)


def test_a_cordoned_node_takes_no_pod(in_lab):
    async def test(lab):
        lab.api.patch("nodes", "node-1", {"spec": {"unschedulable": True}}, kind="merge")
        create_pod(lab, "p")
        await lab.until(lambda: lab.events("FailedScheduling"))
        assert lab.events("FailedScheduling")[0].startswith("0/1 nodes are available: 1 node(s) were unschedulable.")
        lab.api.patch("nodes", "node-1", {"spec": {"unschedulable": None}}, kind="merge")
        await lab.until(lambda: scheduled(lab, "p")["status"] == "True")

    in_lab(test)


def test_a_pod_that_names_its_node_is_left_alone(in_lab):
    async def test(lab):
        create_pod(lab, "named", nodeName="node-1")
        create_pod(lab, "other")
        await lab.until(lambda: lab.events("Scheduled") == ["Successfully assigned default/other to node-1"])

    in_lab(test)
