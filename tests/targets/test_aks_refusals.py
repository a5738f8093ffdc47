"""Whole runs with `--aks` on a cluster that refuses: missing rights, policies, quotas. Each is said in words."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from azure_standin import ACR, BIN, Standin, pool
from gate import AZURE, USER, Gate, safeguards

import emulator
from conformance.kube import Kube, path_of
from conformance.targets.azure import NOBODY

ROOT = Path(__file__).parents[2]
CLAIM, WITHOUT_VOLUME = "mount/content-visible-byte-for-byte", "api/empty-reference-rejected"
ROLE = "assign it Azure Kubernetes Service RBAC Cluster Admin on the cluster"


@pytest.fixture(scope="module")
def started():
    with emulator.start(private_registry=(NOBODY, "acr-token"), pools=("name=one",), speed=10.0) as up:
        yield up


@pytest.fixture
def gate(started):
    gate = Gate(started.kubeconfig)
    yield gate
    gate.close()


@pytest.fixture
def run(started, gate, tmp_path):
    """Run the suite behind the gate: what it printed, its exit status, verdicts by claim with their evidence."""
    azure = Standin(tmp_path, gate.kubeconfig, started.private_registry, "acr-token")
    azure.pools = [pool("one")]

    def run(*claims):
        command = [sys.executable, "-m", "pytest", "conformance", "-n0", "-p", "no:cacheprovider", "--aks"]
        place = [f"--acr={ACR}", f"--pull-registry={started.registry}", f"--report={tmp_path}"]
        done = subprocess.run(
            [*command, *place, *(f"--claim={claim}" for claim in claims)],
            cwd=ROOT,
            env={**os.environ, **azure.environment, "PATH": f"{BIN}:{os.environ['PATH']}", "IMGVOL_PATIENCE": "15"},
            capture_output=True,
            text=True,
            check=False,
        )
        said = done.stdout + done.stderr
        assert "Traceback" not in said
        assert " stays: " in said or namespaces(started) == [], said
        told = json.loads((tmp_path / "results.json").read_text())["claims"]
        return said, done.returncode, {one["id"]: (one["verdict"], one["evidence"]) for one in told}

    run.environment = azure.environment
    yield run
    azure.close()


def connected(started):
    from kubernetes import config

    return Kube(config.new_client_from_config(str(started.kubeconfig)))


def namespaces(started):
    found = connected(started).get(path_of("namespaces"), {"labelSelector": "imgvol.dev/run"})["items"]
    return [one["metadata"]["name"] for one in found]


@pytest.mark.parametrize("right", [("create", "namespaces"), ("create", "pods"), ("get", "pods/log")])
def test_a_right_that_is_missing_is_asked_about_first(gate, run, right):
    gate.denied = {right}
    said, status, verdicts = run(CLAIM)
    assert status == 1
    assert verdicts["preflight/permissions"][0] == "fail"
    told = f"the user of aks aks-oci-demo may not {' '.join(right)}; {ROLE}"
    assert verdicts["preflight/permissions"][1].startswith(told)
    assert told in said
    assert CLAIM not in verdicts


@pytest.mark.parametrize("right", [("create", "namespaces"), ("create", "pods"), ("list", "nodes"), ("list", "pods")])
def test_a_right_that_nobody_could_be_asked_about(gate, run, right):
    gate.denied, gate.reviews = {right}, False
    said, status, verdicts = run(CLAIM)
    assert status == 1
    why = next(evidence for verdict, evidence in verdicts.values() if verdict == "fail")
    verb, resource = right
    assert f'{resource} is forbidden: User "{USER}" cannot {verb} resource "{resource}" in API group "" ' in why
    assert f"{AZURE}; {ROLE}" in why
    assert why in said
    assert CLAIM not in verdicts


def test_a_policy_that_refuses_image_volumes(gate, run):
    gate.admit = safeguards
    said, status, verdicts = run(CLAIM, WITHOUT_VOLUME)
    assert status == 1
    verdict, why = verdicts["preflight/admission"]
    assert verdict == "fail"
    assert why.startswith('admission webhook "validation.gatekeeper.sh" denied the request: [azurepolicy-k8sazurev3')
    assert 'One of the volume types {"image"} is not allowed, pod: admission. ' in why
    assert verdicts[CLAIM][0] == "fail"
    assert 'One of the volume types {"image"} is not allowed' in verdicts[CLAIM][1]
    assert {verdict for claim, (verdict, _) in verdicts.items() if claim.startswith("preflight/")} == {"pass", "fail"}
    assert "preflight/admission" in said


def test_a_validating_admission_policy(gate, run):
    def admit(pod):
        refused = safeguards(pod).partition("] ")[2]
        name = pod["metadata"]["name"]
        policy = (
            f"pods \"{name}\" is forbidden: ValidatingAdmissionPolicy 'volumes' with binding 'all' denied request: "
        )
        return refused and policy + refused

    gate.admit, gate.code, gate.reason = admit, 422, "Invalid"
    _, status, verdicts = run(CLAIM)
    assert status == 1
    assert (
        "ValidatingAdmissionPolicy 'volumes' with binding 'all' denied request: " in verdicts["preflight/admission"][1]
    )
    assert verdicts["preflight/admission"][0] == verdicts[CLAIM][0] == "fail"


def test_a_cluster_that_refuses_every_pod(gate, run):
    quota = "exceeded quota: none, requested: pods=1, used: pods=0, limited: pods=0"
    gate.admit = lambda pod: f'pods "{pod["metadata"]["name"]}" is forbidden: {quota}'
    said, status, verdicts = run(CLAIM)
    assert status == 1
    told = f'the cluster of aks aks-oci-demo refuses the suite\'s pods: pods "preflight" is forbidden: {quota}'
    assert verdicts["preflight/pull"] == ("fail", told)
    assert told in said
    assert CLAIM not in verdicts


def test_a_policy_that_has_pods_ask_for_more_than_there_is(started, gate, run):
    """Deployment Safeguards and limit ranges give pods requests: then processors run out before pods do."""

    def ask(pod):
        for container in pod["spec"]["containers"]:
            container["resources"] = {"requests": {"cpu": f"{processors * 300}m", "memory": "1Mi"}}

    (node,) = connected(started).get(path_of("nodes"))["items"]
    processors = int(node["status"]["allocatable"]["cpu"])
    gate.change = ask
    _, status, verdicts = run(CLAIM)
    assert status == 1
    cpu = f"{processors * 0.3:g}"
    told = f"room for 3 more pods that are made to ask for cpu {cpu}, memory 1048576; the suite has up to 8"
    assert verdicts["preflight/room"] == ("fail", told)
    assert verdicts["preflight/admission"][0] == verdicts[CLAIM][0] == "pass"


def test_a_namespace_that_is_stuck(started, gate, run):
    """A finalizer that nobody takes away keeps it: the run ends all the same, and says so, as `imgvol clean` does."""

    def held(pod):
        if pod["metadata"]["name"] != "preflight":
            pod["metadata"]["finalizers"] = ["example.org/held"]

    gate.change = held
    said, status, verdicts = run(CLAIM)
    assert (status, verdicts[CLAIM][0]) == (0, "pass"), said
    (name,) = namespaces(started)
    why = "Some content in the namespace has finalizers remaining: example.org/held in 1 resource instances"
    (line,) = [line for line in said.splitlines() if " stays: " in line]
    assert line.startswith(f"aks aks-oci-demo: namespace {name} stays: ")
    assert why in line

    cleaned = clean(run)
    assert cleaned.returncode == 1
    assert cleaned.stdout.startswith(f"stays         namespace {name}: ")
    assert why in cleaned.stdout

    kube = connected(started)
    for one in kube.get(path_of("pods", name))["items"]:
        kube.patch(path_of("pods", name, one["metadata"]["name"]), {"metadata": {"finalizers": None}})
    assert clean(run).returncode == 0
    assert namespaces(started) == []
    assert clean(run).stdout == "nothing is left of any run\n"


def clean(run):
    return subprocess.run(
        [sys.executable, "-m", "imgvol", "clean", "--aks", f"--acr={ACR}"],
        env={**os.environ, **run.environment, "PATH": f"{BIN}:{os.environ['PATH']}", "IMGVOL_PATIENCE": "15"},
        capture_output=True,
        text=True,
        check=False,
    )
