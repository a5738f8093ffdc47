"""A node goes away in the middle of a run with `--aks`: its claims are errors that name it, the others are judged."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from azure_standin import ACR, BIN, Standin, pool

import emulator
from conformance.kube import Kube, path_of
from conformance.targets.azure import NOBODY

ROOT = Path(__file__).parents[2]


@pytest.fixture
def started():
    pools = ("name=old,runtime=containerd-2.1", "name=new,nodes=2")
    with emulator.start(private_registry=(NOBODY, "acr-token"), pools=pools, speed=10.0) as up:
        yield up


@pytest.fixture
def azure(started, tmp_path):
    standin = Standin(tmp_path, started.kubeconfig.read_bytes(), started.private_registry, "acr-token")
    standin.pools = [pool("old"), pool("new")]
    yield standin
    standin.close()


def kube(started):
    from kubernetes import config

    return Kube(config.new_client_from_config(str(started.kubeconfig)))


def run(started, azure, tmp_path, *arguments):
    """Start a run; gives what its end is asked for."""
    command = [sys.executable, "-m", "pytest", "conformance", "-n0", "-p", "no:cacheprovider", "--aks", f"--acr={ACR}"]
    place = [f"--pull-registry={started.registry}", f"--report={tmp_path}", *arguments]
    process = subprocess.Popen(
        [*command, *place],
        cwd=ROOT,
        env={**os.environ, **azure.environment, "PATH": f"{BIN}:{os.environ['PATH']}", "IMGVOL_PATIENCE": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )

    def ended():
        said, _ = process.communicate(timeout=200)
        assert "Traceback" not in said, said
        told = json.loads((tmp_path / "results.json").read_text())["claims"]
        return said, process.returncode, {(one["id"], one["pool"]): (one["verdict"], one["evidence"]) for one in told}

    return ended


def hold(started, claim):
    """Have the pull of a claim's image take for ever, so that its pod is still starting when its node goes."""
    held = {"match": {"operation": ["manifest-head", "manifest-get"], "repository": f"*-{claim}*"}, "delay": "10h"}
    answer = requests.put(f"{started.control}/faults/hold", json={"faults": [held]}, timeout=60)
    assert answer.ok, answer.text


def lose(started, claim):
    """Take its power from the node that a pod of a claim is bound to; its name."""
    for event in kube(started).watch(path_of("pods"), {}, 120):
        node = event["object"]["spec"].get("nodeName", "")
        if claim in event["object"]["metadata"]["namespace"] and node:
            break
    else:
        pytest.fail(f"no pod of {claim} came to a node")
    assert requests.delete(f"{started.control}/nodes/{node}", timeout=60).status_code == 204
    assert requests.delete(f"{started.control}/faults", timeout=60).ok
    return node


def left(started):
    found = kube(started).get(path_of("namespaces"), {"labelSelector": "imgvol.dev/run"})["items"]
    return [one["metadata"]["name"] for one in found]


def nodes(started, pool):
    found = kube(started).get(path_of("nodes"), {"labelSelector": f"agentpool={pool}"})["items"]
    return [one["metadata"]["name"] for one in found]


def test_the_only_node_of_a_pool(started, azure, tmp_path):
    before, then, after = (
        "subpath/missing-directory-fails",
        "mount/content-visible-byte-for-byte",
        "reference/digest-pins-content-while-its-tag-moves",
    )
    hold(started, "old-mount-content")
    ended = run(started, azure, tmp_path, *(f"--claim={claim}" for claim in (before, then, after)))
    lost = lose(started, "old-mount-content")
    said, status, verdicts = ended()
    assert status == 1
    assert verdicts[before, "old"][0] == "fail"  # as containerd 2.1 does, while the node was there
    for claim in (then, after):
        verdict, why = verdicts[claim, "old"]
        assert verdict == "error", said
        assert why.startswith(f"node {lost} is not ready: Kubelet stopped posting node status."), why
        assert verdicts[claim, "new"][0] == "pass", verdicts
    assert left(started) == [], said


def test_a_node_that_is_deleted(started, azure, tmp_path):
    claim = "mount/content-visible-byte-for-byte"
    hold(started, "old-mount-content")
    ended = run(started, azure, tmp_path, f"--claim={claim}")
    lost = lose(started, "old-mount-content")
    kube(started).delete(path_of("nodes", name=lost))
    said, status, verdicts = ended()
    assert status == 1
    verdict, why = verdicts[claim, "old"]
    assert verdict == "error", said
    assert why.startswith(f"node {lost} is gone"), why
    assert verdicts[claim, "new"][0] == "pass", verdicts
    assert left(started) == [], said


def test_one_of_a_pool_s_nodes(started, azure, tmp_path):
    held, after = "mount/content-visible-byte-for-byte", "permissions/*"
    hold(started, "new-mount-content")
    ended = run(started, azure, tmp_path, f"--claim={held}", f"--claim={after}")
    lost = lose(started, "new-mount-content")
    said, status, verdicts = ended()
    assert status == 1
    wrong = {key: why for key, (verdict, why) in verdicts.items() if verdict == "error"}
    assert list(wrong) == [(held, "new")], said
    assert wrong[held, "new"].startswith(f"node {lost} is not ready: "), wrong
    later = {
        verdict for (claim, pool), (verdict, _) in verdicts.items() if (claim[:12], pool) == ("permissions/", "new")
    }
    assert later == {"pass"}, said
    assert left(started) == [], said


@pytest.mark.parametrize("deleted", [False, True])
def test_every_node(started, azure, tmp_path, deleted):
    claim = "node/content-on-every-node"
    ended = run(started, azure, tmp_path, "--every-node", f"--claim={claim}")
    lost = lose(started, "new-node-content")
    (other,) = set(nodes(started, "new")) - {lost}
    if deleted:
        kube(started).delete(path_of("nodes", name=lost))
    said, status, verdicts = ended()
    assert status == 1
    verdict, why = verdicts[claim, "new"]
    assert verdict == "error", said
    assert f"node {lost} is {'gone' if deleted else 'not ready: Kubelet stopped'}" in why, why
    assert other not in why
    assert verdicts[claim, "old"][0] == "pass", verdicts
    assert left(started) == [], said
