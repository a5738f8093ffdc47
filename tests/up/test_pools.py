"""`imgvol up --nodes` and `--pool`: several nodes in one process, dressed as AKS dresses them."""

from __future__ import annotations

import ipaddress
import itertools
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

import emulator
from conformance.kube import Kube, path_of
from emulator.pools import MOST_NODES, Pool, PoolError, node_plans, parse_pool

OLD = "name=old,nodes=2,runtime=containerd-2.1,os-sku=AzureLinux,node-image=AKSAzureLinux-V3gen2-202605.05.1,zone=r-1"
SYSTEM = "name=sys,mode=System,vm-size=Standard_D2s_v3,taint=CriticalAddonsOnly=true:NoSchedule"


def test_a_pool_has_the_labels_of_aks() -> None:
    pool = parse_pool(OLD + ",label=team=a,label=tier=b")
    assert (pool.name, pool.nodes, pool.runtime, pool.taints) == ("old", 2, "containerd-2.1", ())
    assert pool.labels == {
        "agentpool": "old",
        "kubernetes.azure.com/agentpool": "old",
        "kubernetes.azure.com/mode": "user",
        "kubernetes.azure.com/role": "agent",
        "kubernetes.azure.com/os-sku": "AzureLinux",
        "kubernetes.azure.com/node-image-version": "AKSAzureLinux-V3gen2-202605.05.1",
        "topology.kubernetes.io/zone": "r-1",
        "team": "a",
        "tier": "b",
    }


def test_a_system_pool_keeps_others_away() -> None:
    pool = parse_pool(SYSTEM)
    assert pool.labels["kubernetes.azure.com/mode"] == "system"
    assert pool.labels["node.kubernetes.io/instance-type"] == "Standard_D2s_v3"
    assert pool.taints == ({"key": "CriticalAddonsOnly", "value": "true", "effect": "NoSchedule"},)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nodes=2", "'' is no name of a pool"),
        ("name=Old", "'Old' is no name of a pool"),
        ("name=waytoolongname", "up to 12"),
        ("name=a,nodes=0", "'0' is no number of nodes"),
        ("name=a,nodes=x", "'x' is no number of nodes"),
        ("name=a,mode=Both", "'Both' is no mode"),
        ("name=a,color=red", "'color=red' says nothing of a pool"),
        ("name=a,zone=", "'zone=' says nothing of a pool"),
        ("name=a,name=b", "name is given 2 times"),
        ("name=a,taint=x", "'x' is no taint"),
        ("name=a,label==x", "'=x' is no label"),
    ],
)
def test_what_is_no_pool(text: str, said: str) -> None:
    with pytest.raises(PoolError, match=said.replace("(", r"\(")):
        parse_pool(text)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=4))
def test_nodes_have_names_addresses_and_networks_of_their_own(counts: list[int]) -> None:
    pools = [Pool(f"p{number}", count) for number, count in enumerate(counts)]
    plans = node_plans(1, pools, "containerd-2.3")
    assert len(plans) == sum(counts)
    for which in ("name", "address", "network"):
        assert len({getattr(plan, which) for plan in plans}) == len(plans)
    networks = [ipaddress.ip_network(plan.network) for plan in plans]
    assert not any(one.overlaps(other) for one, other in itertools.pairwise(networks))


def test_there_is_room_for_so_many() -> None:
    with pytest.raises(PoolError, match="255 nodes are more"):
        node_plans(MOST_NODES + 1, (), "containerd-2.3")
    with pytest.raises(PoolError, match="two pools are called a"):
        node_plans(1, [Pool("a"), Pool("a")], "containerd-2.3")


@pytest.mark.parametrize("arguments", [["--nodes=0"], ["--pool=name=A"], ["--nodes=2", "--pool=name=a"]])
def test_wrong_usage_is_one_sentence(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "imgvol", "up", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_pools_are_nodes_of_their_own_runtimes() -> None:
    with emulator.start(pools=[OLD, SYSTEM], speed=10.0) as up:
        nodes = _kube(up).get(path_of("nodes"))["items"]
        found = {node["metadata"]["name"]: node for node in nodes}
        assert sorted(found) == [
            "aks-old-00000000-vmss000000",
            "aks-old-00000000-vmss000001",
            "aks-sys-00000000-vmss000000",
        ]
        runtimes = [node["status"]["nodeInfo"]["containerRuntimeVersion"] for _, node in sorted(found.items())]
        assert runtimes == ["containerd://2.1.9", "containerd://2.1.9", "containerd://2.3.7"]
        assert found["aks-sys-00000000-vmss000000"]["spec"]["taints"][0]["key"] == "CriticalAddonsOnly"


def test_fifty_nodes_in_one_process() -> None:
    with emulator.start(nodes=50) as up:
        nodes = _kube(up).get(path_of("nodes"))["items"]
        assert len({node["spec"]["podCIDR"] for node in nodes}) == 50
        assert {node["metadata"]["name"] for node in nodes} >= {"imgvol-node", "imgvol-node-50"}


def _kube(up: emulator.Emulator) -> Kube:
    from kubernetes import config

    return Kube(config.new_client_from_config(str(up.kubeconfig)))
