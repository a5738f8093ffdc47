"""What versions and Azure's description let expect, per pool, with the reason in words."""

import pytest
from azure_standin import cluster, pool
from hypothesis import given
from hypothesis import strategies as st

from conformance.targets.checks import CHECKS, of_azure, of_versions, version_of
from conformance.targets.target import Fingerprint, NodeFingerprint


def node(runtime, pool="", kubelet="v1.36.3", image="AKSAzureLinux-V3gen2-202604.24.0"):
    return NodeFingerprint(
        "n", kubelet, runtime, "Microsoft Azure Linux 3.0", "6.6", "amd64", pool, image, "AzureLinux"
    )


def looked(*nodes, kubernetes="v1.36.3"):
    pools = sorted({one.pool for one in nodes})
    found = of_versions(Fingerprint("t", kubernetes, "", nodes), pools)
    return {(one.check, one.pool): (one.verdict, one.evidence) for one in found}


def test_a_pool_that_mounts_nothing():
    found = looked(node("containerd://2.0.0", "old"), node("containerd://2.3.7", "new"))
    verdict, why = found["image-volumes", "old"]
    assert verdict == "fail"
    assert why == (
        "containerd 2.0.0 (AzureLinux, AKSAzureLinux-V3gen2-202604.24.0): it mounts no image volume: containers fail "
        'with `failed to mkdir ""`; 2.1 or later is needed'
    )
    assert found["subpath", "old"][1].endswith("it mounts no image volume, with subPath or without")
    assert found["image-volumes", "new"][0] == found["subpath", "new"][0] == "pass"


def test_one_old_node_of_a_pool_is_enough():
    found = looked(node("containerd://2.1.6", "p", image="A"), node("containerd://2.2.4", "p", image="B"))
    assert found["image-volumes", "p"][0] == "pass"
    verdict, why = found["subpath", "p"]
    assert verdict == "fail"
    assert why.startswith("containerd 2.1.6 (AzureLinux, A): it ignores the subPath")
    assert "2.2.4" not in why


def test_other_runtimes_are_not_judged_by_containerds_numbers():
    assert {check for check, _ in looked(node("cri-o://1.36.0"))} == {"kubernetes", "kubelet"}


def test_an_old_cluster_and_an_old_kubelet():
    found = looked(node("containerd://2.3.7", kubelet="v1.35.4"), kubernetes="v1.35.4")
    assert found["kubernetes", ""] == (
        "fail",
        "Kubernetes 1.36 or later is needed for image volumes, and this is v1.35.4",
    )
    assert found["kubelet", ""][0] == "fail"


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 40)), min_size=1, max_size=5))
def test_a_check_holds_where_every_node_is_new_enough(versions):
    found = looked(*(node(f"containerd://{major}.{minor}.1") for major, minor in versions))
    assert (found["image-volumes", ""][0] == "pass") == all(version >= (2, 1) for version in versions)
    assert (found["subpath", ""][0] == "pass") == all(version >= (2, 2) for version in versions)


def test_what_azure_says():
    told = cluster() | {"agentPools": [pool("a"), pool("w", osType="Windows")]}
    found = {(one.check, one.pool): one.verdict for one in of_azure(told)}
    assert found == {("power-state", ""): "pass", ("image-cleaner", ""): "pass", ("artifact-streaming", "a"): "pass"}


@pytest.mark.parametrize("told", [{}, {"properties": {}}, {"agentPools": [{}]}])
def test_an_answer_that_leaves_things_out_is_no_crash(told):
    assert all(one.verdict == "pass" for one in of_azure(told))


def test_every_check_has_its_sentence_and_its_source():
    assert all(says.endswith(".") and source for says, source in CHECKS.values())


@pytest.mark.parametrize(("text", "version"), [("v1.36.3", (1, 36)), ("containerd 2.0", (2, 0)), ("none", (0, 0))])
def test_versions_in_texts(text, version):
    assert version_of(text) == version
