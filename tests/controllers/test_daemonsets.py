"""One pod of a DaemonSet on every node that takes it, through additions, taints, failures and new templates."""

import pytest

from emulator.cluster import ApiError
from emulator.cluster.controllers.daemonsets import GENERATION, HASH_LABEL, DaemonSets
from emulator.cluster.controllers.feasibility import daemon_fits, matches_selector


def daemonset(image="app:v1", **spec):
    labels = {"app": "agent"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": image}]}}
    template["spec"] |= spec.pop("pod", {})
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "agent", "namespace": "default"},
        "spec": {"selector": {"matchLabels": labels}, "template": template, **spec},
    }


def status(lab):
    found = lab.api.get("daemonsets", "agent", "default")
    return found["status"] if found["status"].get("observedGeneration") == found["metadata"]["generation"] else {}


def on(lab):
    return sorted(pod["spec"].get("nodeName", "") for pod in lab.pods() if "deletionTimestamp" not in pod["metadata"])


def ready(lab, count):
    return lambda: status(lab).get("numberReady") == status(lab).get("desiredNumberScheduled") == count


def test_every_node_has_one(in_lab):
    async def test(lab):
        lab.api.create("daemonsets", daemonset())
        await lab.until(ready(lab, 3))
        assert on(lab) == ["node-1", "node-2", "node-3"]
        assert status(lab) == {
            "currentNumberScheduled": 3,
            "numberMisscheduled": 0,
            "desiredNumberScheduled": 3,
            "numberReady": 3,
            "observedGeneration": 1,
            "updatedNumberScheduled": 3,
            "numberAvailable": 3,
        }
        lab.add_node("node-4")
        await lab.until(ready(lab, 4))
        assert on(lab) == ["node-1", "node-2", "node-3", "node-4"]

    in_lab(test, nodes=3)


def test_its_pods_are_bound_by_affinity_and_stand_trouble(in_lab):
    async def test(lab):
        lab.api.create("daemonsets", daemonset())
        await lab.until(ready(lab, 1))
        (pod,) = lab.pods()
        required = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        assert required == {
            "nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["node-1"]}]}]
        }
        tolerated = {(one["key"], one["effect"]) for one in pod["spec"]["tolerations"]}
        assert ("node.kubernetes.io/unschedulable", "NoSchedule") in tolerated
        assert ("node.kubernetes.io/not-ready", "NoExecute") in tolerated
        labels = pod["metadata"]["labels"]
        assert labels["pod-template-generation"] == "1"
        assert labels[HASH_LABEL]
        assert pod["metadata"]["ownerReferences"][0]["kind"] == "DaemonSet"
        assert lab.events("SuccessfulCreate") == [f"Created pod: {pod['metadata']['name']}"]

    in_lab(test)


def test_selectors_and_taints_leave_nodes_out(in_lab):
    async def test(lab):
        lab.add_node("tainted", taints=[{"key": "CriticalAddonsOnly", "value": "true", "effect": "NoSchedule"}])
        lab.add_node("cordoned", unschedulable=True)
        lab.api.create("daemonsets", daemonset())
        await lab.until(ready(lab, 2))
        assert on(lab) == ["cordoned", "node-1"]
        tolerations = [{"key": "CriticalAddonsOnly", "operator": "Exists"}]
        everywhere = daemonset(pod={"tolerations": tolerations})
        everywhere["metadata"]["name"] = "other"
        everywhere["spec"]["selector"] = {"matchLabels": {"app": "other"}}
        everywhere["spec"]["template"]["metadata"]["labels"] = {"app": "other"}
        lab.api.create("daemonsets", everywhere)
        await lab.until(lambda: lab.api.get("daemonsets", "other", "default")["status"].get("numberReady") == 3)

    in_lab(test)


def test_pods_go_when_a_taint_drives_them_out(in_lab):
    async def test(lab):
        lab.api.create("daemonsets", daemonset())
        await lab.until(ready(lab, 2))
        taint = {"key": "out", "effect": "NoSchedule"}
        lab.api.patch("nodes", "node-1", {"spec": {"taints": [taint]}}, kind="merge")
        await lab.quiet()
        assert on(lab) == ["node-1", "node-2"]
        lab.api.patch("nodes", "node-1", {"spec": {"taints": [{**taint, "effect": "NoExecute"}]}}, kind="merge")
        await lab.until(lambda: on(lab) == ["node-2"])
        await lab.until(ready(lab, 1))

    in_lab(test, nodes=2)


def test_a_failed_pod_is_replaced(in_lab):
    async def test(lab):
        lab.api.create("daemonsets", daemonset())
        await lab.until(ready(lab, 1))
        (pod,) = lab.pods()
        lab.api.update("pods", {**pod, "status": {**pod["status"], "phase": "Failed"}}, subresource="status")
        name = pod["metadata"]["name"]
        await lab.until(lambda: lab.events("FailedDaemonPod"))
        assert lab.events("FailedDaemonPod") == [
            f"Found failed daemon pod default/{name} on node node-1, will try to kill it"
        ]
        await lab.until(lambda: [pod["metadata"]["name"] for pod in lab.pods()] not in ([], [name]))

    in_lab(test)


def test_a_new_template_goes_round_node_by_node(in_lab):
    async def test(lab):
        lab.api.create("daemonsets", daemonset())
        await lab.until(ready(lab, 3))
        lab.becomes_ready = lambda pod: pod["spec"]["containers"][0]["image"] == "app:v1"
        change = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "app:v2"}]}}}}
        changed = lab.api.patch("daemonsets", "agent", change, "default", kind="merge")
        assert changed["metadata"]["annotations"][GENERATION] == "2"
        await lab.until(lambda: status(lab).get("updatedNumberScheduled") == 1)
        await lab.quiet()
        assert lab.images() == ["app:v1", "app:v1", "app:v2"]
        assert status(lab)["numberUnavailable"] == 1
        lab.becomes_ready = lambda pod: True
        (new,) = [pod for pod in lab.pods() if pod["spec"]["containers"][0]["image"] == "app:v2"]
        lab.run(new, ready=True)
        await lab.until(lambda: lab.images() == ["app:v2"] * 3)
        await lab.until(ready(lab, 3))

    in_lab(test, nodes=3)


def test_on_delete_waits_for_somebody(in_lab):
    async def test(lab):
        lab.api.create("daemonsets", daemonset(updateStrategy={"type": "OnDelete"}))
        await lab.until(ready(lab, 1))
        change = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "app:v2"}]}}}}
        lab.api.patch("daemonsets", "agent", change, "default", kind="merge")
        await lab.quiet()
        assert lab.images() == ["app:v1"]
        (pod,) = lab.pods()
        lab.api.delete("pods", pod["metadata"]["name"], "default")
        await lab.until(lambda: lab.images() == ["app:v2"])

    in_lab(test)


def test_its_pods_go_with_it(in_lab):
    async def test(lab):
        lab.api.create("daemonsets", daemonset())
        await lab.until(ready(lab, 2))
        lab.api.delete("daemonsets", "agent", "default")
        await lab.until(lambda: not lab.pods())

    in_lab(test, nodes=2)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"selector": {}}, "empty selector is invalid for daemonset"),
        ({"updateStrategy": {"rollingUpdate": {"maxUnavailable": 0}}}, "cannot be 0 when maxSurge is 0"),
        ({"updateStrategy": {"rollingUpdate": {"maxSurge": 1}}}, "maxSurge"),
        ({"minReadySeconds": 5}, "minReadySeconds"),
        ({"updateStrategy": {"type": "Sometimes"}}, "OnDelete"),
        (
            {"pod": {"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{}]}}}},
            "podAffinity",
        ),
    ],
)
def test_what_is_refused(in_lab, spec, said):
    async def test(lab):
        with pytest.raises(ApiError, match=said):
            lab.api.create("daemonsets", daemonset(**spec))

    in_lab(test)


def test_which_nodes_an_affinity_wants():
    node = {"metadata": {"name": "a", "labels": {"zone": "1"}}, "spec": {}}

    def wants(**term):
        required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
        return matches_selector({"spec": {"affinity": {"nodeAffinity": required}}}, node)

    def expression(operator, *values, key="zone"):
        return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}

    assert wants(**expression("In", "1", "2"))
    assert not wants(**expression("In", "2"))
    assert wants(**expression("NotIn", "2"))
    assert wants(**expression("NotIn", "2", key="absent"))
    assert wants(**expression("Exists"))
    assert not wants(**expression("Exists", key="absent"))
    assert wants(**expression("DoesNotExist", key="absent"))
    assert not wants()
    assert daemon_fits({"spec": {}}, node) == (True, True)
    assert DaemonSets.component == "daemonset-controller"
