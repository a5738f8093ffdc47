"""A target of several node pools: each is a target of its own, with its nodes, its taints and its verdicts."""

import pytest

from conformance.targets.choice import Options, TargetUnavailableError, made_pools
from conformance.targets.pools import PoolTextError, parse_pools
from conformance.targets.target import Description, RegistryEndpoint, Target

TAINT = {"key": "CriticalAddonsOnly", "value": "true", "effect": "NoSchedule"}
TROUBLE = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}


def node(name, pool="", *taints, architecture="amd64", **labels):
    own = {"kubernetes.io/hostname": name, **labels}
    if pool:
        own |= {"agentpool": pool, "kubernetes.azure.com/agentpool": pool}
    info = {"architecture": architecture, "operatingSystem": "linux"}
    return {
        "metadata": {"name": name, "labels": own},
        "spec": {"taints": list(taints)} if taints else {},
        "status": {"nodeInfo": info},
    }


def target(*nodes, pools=("old", "new")):
    registry = RegistryEndpoint("http://127.0.0.1:5000", "127.0.0.1:5000")
    made = Target(Description("test", "", registry, None, "127.0.0.1:1", 1.0, "run", pools=pools))
    made.kube = None
    made._every_node = list(nodes)
    return made


def test_a_pool_has_its_own_nodes():
    whole = target(node("a", "old"), node("b", "new"), node("c", "new"))
    assert whole.hosts == ["a", "b", "c"]
    assert whole.of_pool("new").hosts == ["b", "c"]
    assert whole.of_pool("old").is_one_node
    assert whole.of_pool("old") is whole.of_pool("old")
    assert whole.of_pool("") is whole


def test_pools_may_differ_in_architecture():
    whole = target(node("a", "old"), node("b", "new", architecture="arm64"))
    assert [whole.of_pool(pool).architecture for pool in ("old", "new")] == ["amd64", "arm64"]


def test_pods_go_to_the_pool_and_bear_its_taints():
    whole = target(node("a", "old", TAINT), node("b", "old", TAINT, TROUBLE), node("c", "new"))
    spec = {"nodeSelector": {"kubernetes.io/hostname": "a"}}
    whole.of_pool("old").place(spec)
    assert spec["nodeSelector"] == {"kubernetes.azure.com/agentpool": "old", "kubernetes.io/hostname": "a"}
    assert spec["tolerations"] == [{"operator": "Exists", "key": "CriticalAddonsOnly", "effect": "NoSchedule"}]
    untouched = {}
    whole.place(untouched)
    assert untouched == {}


def test_a_node_in_trouble_takes_no_pods_of_ours():
    whole = target(node("a", "old", TAINT), node("b", "old", TAINT, TROUBLE))
    assert whole.of_pool("old").hosts == ["a"]
    assert whole.hosts == []


def test_older_clusters_have_the_older_label():
    only = node("a", agentpool="old")
    whole = target(only, pools=("old",))
    spec = {}
    whole.of_pool("old").place(spec)
    assert spec["nodeSelector"] == {"agentpool": "old"}


def test_pools_by_option():
    old, new = parse_pools(["old=containerd-2.1,nodes=2,os-sku=AzureLinux,node-image=I-1", "new=repo/image:v1"])
    assert (old.made_of, old.nodes, new.made_of, new.nodes) == ("containerd-2.1", 2, "repo/image:v1", 1)
    assert old.labels["kubernetes.azure.com/node-image-version"] == "I-1"
    assert "kubernetes.azure.com/os-sku" not in new.labels


@pytest.mark.parametrize("text", ["old", "=x", "Old=x", "a=x,color=red", "a=x,nodes=0", "a=x,os-sku="])
def test_what_is_no_pool(text):
    with pytest.raises(PoolTextError):
        parse_pools([text])
    with pytest.raises(TargetUnavailableError, match="--pool: "):
        made_pools(Options(pool=[text]))


def test_nodes_are_counted_once():
    with pytest.raises(TargetUnavailableError, match="--nodes and --pool both"):
        made_pools(Options(pool=["a=x"], nodes=2))


def test_two_pools_of_one_name():
    with pytest.raises(PoolTextError, match="two pools are called a"):
        parse_pools(["a=x", "a=y"])


def test_the_description_survives_the_way_to_a_worker():
    made = target(node("a", "old"))
    assert Description.from_json(made.description.to_json()) == made.description
