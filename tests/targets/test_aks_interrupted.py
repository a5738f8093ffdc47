"""A run that is interrupted, and nodes that go away while it runs: said, and nothing left behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

import emulator
from conformance.kube import Kube, path_of
from conformance.targets.choice import Options
from conformance.targets.running import described
from conformance.targets.target import Target

ROOT = Path(__file__).parents[2]
LABEL = "imgvol.dev/run"


@pytest.fixture
def started():
    with emulator.start(nodes=2, speed=1.0) as up:
        yield up


def kube(started):
    from kubernetes import config

    return Kube(config.new_client_from_config(str(started.kubeconfig)))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_nothing(started, tmp_path, number):
    claim = "reference/pod-starts-when-its-missing-image-appears"
    command = [sys.executable, "-m", "pytest", "conformance", "-n0", "-p", "no:cacheprovider", f"--claim={claim}"]
    place = [f"--kubeconfig={started.kubeconfig}", f"--registry={started.registry}", f"--report={tmp_path}"]
    run = subprocess.Popen(
        [*command, *place],
        cwd=ROOT,
        env={**os.environ, "IMGVOL_PATIENCE": "60"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )

    def is_the_claims(event):
        return event["type"] == "ADDED" and claim.replace("/", "-")[:20] in event["object"]["metadata"]["name"]

    watched = kube(started).watch(path_of("namespaces"), {"labelSelector": LABEL}, 120)
    assert any(is_the_claims(event) for event in watched)
    run.send_signal(number)
    said, _ = run.communicate(timeout=120)
    assert run.returncode != 0
    assert "INTERNALERROR" not in said, said
    left = kube(started).get(path_of("namespaces"), {"labelSelector": LABEL})["items"]
    assert [one["metadata"]["name"] for one in left if "deletionTimestamp" not in one["metadata"]] == [], said
    names = requests.get(f"http://{started.registry}/v2/_catalog", timeout=10).json()["repositories"]
    tags = {name: requests.get(f"http://{started.registry}/v2/{name}/tags/list", timeout=10) for name in names}
    assert [name for name, answer in tags.items() if answer.json().get("tags")] == [], said


def test_a_node_that_goes_away_is_told_of(started):
    target = Target(described(Options(kubeconfig=str(started.kubeconfig), registry=started.registry)))
    assert len(target.hosts) == 2
    assert target.trouble() == ""
    kube(started).delete(path_of("nodes", name="imgvol-node-2"))
    assert target.trouble() == "node imgvol-node-2 is gone"
    node = kube(started).get(path_of("nodes", name="imgvol-node"))
    for condition in node["status"]["conditions"]:
        if condition["type"] == "Ready":
            condition |= {"status": "Unknown", "message": "Kubelet stopped posting node status."}
    kube(started).replace(path_of("nodes", name="imgvol-node", subresource="status"), node)
    assert target.trouble() == (
        "node imgvol-node is not ready: Kubelet stopped posting node status.; node imgvol-node-2 is gone"
    )
