"""A node whose kubelet falls silent is unknown and takes no more pods; the pods of one that is gone go too."""

from emulator.clock import Clock

SILENT = "Kubelet stopped posting node status."


def lease(lab, name):
    spec = {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": Clock.micro_timestamp()}
    meta = {"name": name, "namespace": "kube-node-lease"}
    lab.api.create("leases", {"metadata": meta, "spec": spec}, "kube-node-lease")


def pod(lab, name="a"):
    body = {"metadata": {"name": name}, "spec": {"containers": [{"name": "main", "image": "app:v1"}]}}
    lab.api.create("pods", body, "default")


def conditions(lab, name):
    return {one["type"]: one for one in lab.api.get("nodes", name)["status"]["conditions"]}


def is_ready(one):
    found = (one["status"].get("conditions") or ()) if "status" in one else ()
    return any(each["type"] == "Ready" and each["status"] == "True" for each in found)


def test_a_node_that_falls_silent(in_lab):
    async def test(lab):
        lease(lab, "node-1")
        pod(lab)
        await lab.until(lambda: is_ready(lab.pods()[0]))
        await lab.until(lambda: conditions(lab, "node-1")["Ready"]["status"] == "Unknown")
        ready = conditions(lab, "node-1")["Ready"]
        assert (ready["reason"], ready["message"]) == ("NodeStatusUnknown", SILENT)
        assert {one["status"] for one in conditions(lab, "node-1").values()} == {"Unknown"}
        await lab.until(lambda: not is_ready(lab.pods()[0]))
        taints = {(one["key"], one["effect"]) for one in lab.api.get("nodes", "node-1")["spec"]["taints"]}
        assert taints == {
            ("node.kubernetes.io/unreachable", "NoSchedule"),
            ("node.kubernetes.io/unreachable", "NoExecute"),
        }
        assert set(lab.events("NodeNotReady")) == {"Node node-1 status is now: NodeNotReady", "Node is not ready"}
        pod(lab, "late")
        await lab.until(lambda: lab.events("FailedScheduling"))
        assert lab.events("FailedScheduling")[0].startswith(
            "0/1 nodes are available: 1 node(s) had untolerated taint(s)"
        )
        assert lab.pods()[0]["metadata"]["name"] == "a"  # a silent node's pods stay: nobody knows what became of them

    in_lab(test, speed=1000.0)


def test_a_node_that_is_heard_of_stays(in_lab):
    async def test(lab):
        lease(lab, "node-1")
        began = lab.clock.now()
        while lab.clock.now() - began < 300:
            await lab.clock.sleep(10)
            renewal = {"spec": {"renewTime": Clock.micro_timestamp()}}
            lab.api.patch("leases", "node-1", renewal, "kube-node-lease", kind="merge")
        assert conditions(lab, "node-1")["Ready"]["status"] == "True"

    in_lab(test, speed=1000.0)


def test_a_node_without_a_kubelet_is_left_alone(in_lab):
    async def test(lab):
        await lab.clock.sleep(300)
        assert conditions(lab, "node-1")["Ready"]["status"] == "True"

    in_lab(test, speed=1000.0)


def test_the_pods_of_a_node_that_is_gone(in_lab):
    async def test(lab):
        pod(lab)
        await lab.until(lambda: is_ready(lab.pods()[0]))
        watch = lab.api.watch("pods", "default")
        lab.api.delete("nodes", "node-1")
        said = None
        async for event in watch:
            said = event.object
            if event.type == "DELETED":
                break
        watch.close()
        assert said["status"]["phase"] == "Failed"
        (why,) = [one for one in said["status"]["conditions"] if one["type"] == "DisruptionTarget"]
        assert (why["reason"], why["message"]) == ("DeletionByPodGC", "PodGC: node no longer exists")

    in_lab(test, speed=100.0)


def test_a_node_that_comes_back_in_time_keeps_its_pods(in_lab):
    async def test(lab):
        pod(lab)
        await lab.until(lambda: is_ready(lab.pods()[0]))
        node = lab.api.get("nodes", "node-1")
        lab.api.delete("nodes", "node-1")
        node["metadata"] = {"name": "node-1", "labels": node["metadata"].get("labels", {})}
        lab.api.create("nodes", node)
        await lab.clock.sleep(120)
        assert [one["metadata"]["name"] for one in lab.pods()] == ["a"]

    in_lab(test, speed=100.0)
