"""How topology spread constraints place pods, and what is said where they cannot be met."""

from __future__ import annotations

from collections import Counter

import pytest

from emulator.cluster.controllers.feasibility import Refusal
from emulator.cluster.controllers.spreading import Spread

HOST = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"
NO_MATCH = "node(s) didn't match pod topology spread constraints"


def node(name, zone="", **labels):
    shown = {HOST: name, **({ZONE: zone} if zone else {}), **labels}
    return {"metadata": {"name": name, "labels": shown}, "spec": {}, "status": {}}


def constraint(key=HOST, when="DoNotSchedule", skew=1, app="web"):
    return {
        "maxSkew": skew,
        "topologyKey": key,
        "whenUnsatisfiable": when,
        "labelSelector": {"matchLabels": {"app": app}},
    }


def pod(*constraints, app="web", namespace="default", **spec):
    spec = {"topologySpreadConstraints": list(constraints), **spec}
    return {"metadata": {"name": "p", "namespace": namespace, "labels": {"app": app}}, "spec": spec}


def ending(one):
    return {**one, "metadata": {**one["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}


ONE, TWO = node("a", "1"), node("b", "2")


@pytest.mark.parametrize(
    ("wanting", "nodes", "there", "refused"),
    [
        (pod(), [ONE, TWO], {"a": [pod()] * 5}, {}),
        (pod(constraint()), [ONE, TWO], {}, {}),
        (pod(constraint()), [ONE, TWO], {"a": [pod()]}, {"a": NO_MATCH}),
        (pod(constraint(skew=2)), [ONE, TWO], {"a": [pod()]}, {}),
        (pod(constraint()), [ONE, TWO], {"a": [pod()], "b": [pod()]}, {}),
        (pod(constraint()), [ONE, TWO], {"a": [pod(app="other")]}, {}),
        (pod(constraint()), [ONE, TWO], {"a": [pod(namespace="other")]}, {}),
        (pod(constraint()), [ONE, TWO], {"a": [ending(pod())]}, {}),
        # One that the constraint does not count is no skew of its own.
        (pod(constraint(), app="other"), [ONE, TWO], {"a": [pod()]}, {}),
        (pod(constraint(when="ScheduleAnyway")), [ONE, TWO], {"a": [pod()] * 5}, {}),
        (pod(constraint(ZONE)), [ONE, node("c")], {}, {"c": f"{NO_MATCH} (missing required label)"}),
        (pod(constraint(ZONE)), [ONE, node("c", "1"), TWO], {"c": [pod()]}, {"a": NO_MATCH, "c": NO_MATCH}),
        # A node that the pod does not select is no domain that could hold fewer.
        (pod(constraint(), nodeSelector={"disk": "ssd"}), [node("a", disk="ssd"), TWO], {"a": [pod()]}, {}),
    ],
)
def test_which_nodes_the_constraints_refuse(wanting, nodes, there, refused):
    spread = Spread(wanting, nodes, there)
    found = {each["metadata"]["name"]: spread.refusal(each) for each in nodes}
    said = {name: refusal.reasons[0] for name, refusal in found.items() if refusal}
    assert said == refused


def test_only_too_much_skew_can_be_mended_by_deleting_pods():
    assert Spread(pod(constraint()), [ONE, TWO], {"a": [pod()]}).refusal(ONE) == Refusal((NO_MATCH,), resolvable=True)
    missing = Spread(pod(constraint("rack")), [ONE], {}).refusal(ONE)
    assert missing is not None
    assert not missing.resolvable


def test_soft_constraints_prefer_the_emptier_domains_and_labelled_nodes():
    spread = Spread(pod(constraint(ZONE, "ScheduleAnyway")), [ONE, TWO, node("c")], {"a": [pod()]})
    assert spread.preferred([ONE, TWO, node("c")]) == [TWO]
    assert spread.preferred([ONE, node("c")]) == [ONE]


def test_a_deployment_is_spread_over_the_nodes(in_lab, deployment_of):
    async def test(lab):
        wanted = deployment_of(replicas=6)
        constraint_ = constraint()
        wanted["spec"]["template"]["spec"]["topologySpreadConstraints"] = [constraint_]
        # Somebody is there already, so that taking turns alone would not do.
        lab.api.create("deployments", deployment_of(replicas=1, name="before"))
        await lab.until(lambda: all(p["spec"].get("nodeName") for p in lab.pods()) and lab.pods())
        lab.api.create("deployments", wanted)

        def bound():
            ours = [p for p in lab.pods() if p["metadata"]["labels"]["app"] == "web" and p["spec"].get("nodeName")]
            return Counter(p["spec"]["nodeName"] for p in ours) if len(ours) == 6 else None

        assert set((await lab.until(bound)).values()) == {2}

    in_lab(test, nodes=3)


def test_a_pod_that_cannot_be_spread_waits_and_says_why(in_lab, deployment_of):
    async def test(lab):
        wanted = deployment_of(replicas=2)
        wanted["spec"]["template"]["spec"]["topologySpreadConstraints"] = [constraint(ZONE)]
        lab.api.create("deployments", wanted)
        messages = await lab.until(lambda: lab.events("FailedScheduling"))
        assert messages[0].startswith(f"0/1 nodes are available: 1 {NO_MATCH} (missing required label). ")
        labelled = lab.api.get("nodes", "node-1")
        labelled["metadata"]["labels"][ZONE] = "1"
        lab.api.update("nodes", labelled)
        await lab.until(lambda: all(p["spec"].get("nodeName") for p in lab.pods()))

    in_lab(test)
