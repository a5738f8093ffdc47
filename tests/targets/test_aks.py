"""`pytest --aks` on an emulator that is dressed as AKS, with stand-ins for az and Azure's control plane."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from azure_standin import ACR, BIN, CLUSTER, Standin, cluster, pool

import emulator
from conformance.kube import Kube, path_of
from conformance.targets.aks import aks
from conformance.targets.azure import NOBODY
from conformance.targets.choice import Options, TargetUnavailableError

ROOT = Path(__file__).parents[2]
POOLS = (
    "name=old,runtime=containerd-2.1,os-sku=AzureLinux,node-image=AKSAzureLinux-V3gen2-202605.05.1",
    "name=new,os-sku=AzureLinux,node-image=AKSAzureLinux-V3gen2-202606.08.1,taint=CriticalAddonsOnly=true:NoSchedule",
)


@pytest.fixture(scope="module")
def started():
    with emulator.start(private_registry=(NOBODY, "acr-token"), pools=POOLS, speed=10.0) as up:
        yield up


@pytest.fixture
def azure(started, tmp_path, monkeypatch):
    standin = Standin(tmp_path, started.kubeconfig.read_bytes(), started.private_registry, "acr-token")
    standin.pools = [pool("old"), pool("new")]
    for name, value in standin.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{BIN}:{os.environ['PATH']}")
    yield standin
    standin.close()


def options(started, **more):
    return Options(aks=True, acr=ACR, pull_registry=started.registry, **more)


def unavailable(started, **more):
    with pytest.raises(TargetUnavailableError) as error, aks(options(started, **more)):
        pass
    assert "\n" not in str(error.value)
    failed = {one.check for one in error.value.findings if one.verdict == "fail"}
    return str(error.value), failed


def kube(started):
    from kubernetes import config

    return Kube(config.new_client_from_config(str(started.kubeconfig)))


def left(started):
    """What runs have left in the cluster that is not about to go."""
    found = kube(started).get(path_of("namespaces"), {"labelSelector": "imgvol.dev/run"})["items"]
    return [one["metadata"]["name"] for one in found if "deletionTimestamp" not in one["metadata"]]


def test_two_pools(started, azure):
    with aks(options(started)) as found:
        assert found.pools == ("new", "old")
        assert found.name == f"aks {CLUSTER}"
        assert found.registry.username == NOBODY
        verdicts = {(one.check, one.pool): one.verdict for one in found.findings}
        assert {key for key, verdict in verdicts.items() if verdict != "pass"} == {("subpath", "old")}
        assert {check for check, _ in verdicts} >= {"sign-in", "kubernetes", "kubelet", "image-volumes", "push", "pull"}
        (why,) = [one.evidence for one in found.findings if one.verdict == "fail"]
        assert why.startswith("containerd 2.1.9 (AzureLinux, AKSAzureLinux-V3gen2-202605.05.1): it ignores the subPath")
        assert Path(found.kubeconfig).stat().st_mode & 0o777 == 0o600
    assert not Path(found.kubeconfig).exists()
    assert left(started) == []
    assert sum(line.startswith("POST") for line in azure.asked) == 1


def test_the_token_is_in_no_description_of_it(started, azure):
    with aks(options(started)) as found:
        assert "acr-token" not in repr(found)


def test_a_stopped_cluster(started, azure):
    azure.cluster = cluster(powerState={"code": "Stopped"})
    said, failed = unavailable(started)
    assert said == (
        "aks-oci-demo is stopped; start it: az aks start --resource-group rg-oci-artifact-demo --name aks-oci-demo"
    )
    assert failed == {"power-state"}


def test_a_cluster_that_is_too_old(started, azure):
    azure.cluster = cluster(currentKubernetesVersion="1.35.4")
    said, failed = unavailable(started)
    assert said == "Kubernetes 1.36 or later is needed for image volumes, and aks-oci-demo has 1.35.4"
    assert failed == {"kubernetes"}


EXPIRED = (
    "AADSTS70043: The refresh token has expired or is invalid due to sign-in frequency checks by conditional access. "
    "Interactive authentication is needed. Please run: az login"
)


@pytest.mark.parametrize("why", ["Please run 'az login' to setup account.", EXPIRED])
def test_nobody_is_signed_in(started, azure, why):
    azure.state["signed_in"] = why
    azure.save()
    said, failed = unavailable(started)
    assert said == f"az account get-access-token: {why}"
    assert failed == {"sign-in"}


def test_the_control_plane_takes_the_token_no_more(started, azure):
    azure.error = (401, "ExpiredAuthenticationToken", "The access token expiry UTC time is earlier than now.")
    said, failed = unavailable(started)
    assert "takes the sign-in no more (ExpiredAuthenticationToken: " in said
    assert failed == {"sign-in"}


def test_a_user_without_rights_on_the_cluster(started, azure):
    azure.error = (403, "AuthorizationFailed", "The client 'x' does not have authorization to perform action.")
    said, failed = unavailable(started)
    assert said.startswith(
        f"whoever is signed in may not ask for Microsoft.ContainerService/managedClusters/{CLUSTER}: "
    )
    assert failed == {"permissions"}


def test_there_is_no_such_cluster(started, azure):
    said, failed = unavailable(started, aks_name="other")
    assert "404: ResourceNotFound: " in said
    assert failed == {"control-plane"}


def test_there_is_no_such_registry(started, azure):
    with (
        pytest.raises(TargetUnavailableError, match="there is no registry other in the subscription"),
        aks(Options(aks=True, acr="other")),
    ):
        pass


def test_a_registry_is_needed(started, azure, monkeypatch):
    monkeypatch.delenv("ACR_NAME", raising=False)
    with pytest.raises(TargetUnavailableError, match="--acr NAME, or"), aks(Options(aks=True)):
        pass


def test_no_rights_on_the_registry(started, azure):
    azure.state["registries"][ACR]["token"] = "another"
    azure.save()
    azure.registry["roleAssignmentMode"] = "AbacRepositoryPermissions"
    said, failed = unavailable(started)
    assert said.startswith(f"{NOBODY} may not push: {started.private_registry} says 401 Unauthorized")
    assert "Container Registry Repository" in said
    assert failed == {"push", "subpath"}
    assert left(started) == []


def test_the_registry_gives_no_token(started, azure):
    azure.state["registries"][ACR]["denied"] = "The resource with name 'demo' could not be found"
    azure.save()
    said, failed = unavailable(started)
    assert said.startswith("az acr login: The resource with name 'demo' could not be found")
    assert failed == {"registry"}


def test_nodes_without_acrpull(started, azure):
    with pytest.raises(TargetUnavailableError) as error, aks(Options(aks=True, acr=ACR)):
        pass
    assert f"nodes do not pull from {started.private_registry}: ErrImagePull" in str(error.value)
    assert {one.pool for one in error.value.findings if one.check == "pull" and one.verdict == "fail"} == {"old", "new"}
    assert left(started) == []


def test_what_azure_adds(started, azure):
    azure.cluster = cluster(securityProfile={"imageCleaner": {"enabled": True, "intervalHours": 168}})
    azure.pools = [pool("old"), pool("new", artifactStreamingProfile={"enabled": True})]
    with aks(options(started)) as found:
        failed = {(one.check, one.pool) for one in found.findings if one.verdict == "fail"}
    assert failed == {
        ("image-cleaner", "old"),
        ("image-cleaner", "new"),
        ("artifact-streaming", "new"),
        ("subpath", "old"),
    }


def test_a_pool_whose_nodes_take_no_pods_is_left_out(started, azure):
    nodes = {one["metadata"]["name"]: one for one in kube(started).get(path_of("nodes"))["items"]}
    (name,) = [name for name in nodes if "-new-" in name]
    kube(started).patch(path_of("nodes", name=name), {"spec": {"unschedulable": True}})
    try:
        with aks(options(started)) as found:
            assert found.pools == ("old",)
            (why,) = [one for one in found.findings if one.check == "nodes" and one.verdict == "fail"]
            assert (why.pool, why.evidence[:26]) == ("new", "no node of pool new takes ")
    finally:
        kube(started).patch(path_of("nodes", name=name), {"spec": {"unschedulable": None}})


def run_suite(tmp_path, *arguments):
    command = [sys.executable, "-m", "pytest", "conformance", "-n2", "-p", "no:cacheprovider", "--aks", f"--acr={ACR}"]
    done = subprocess.run(
        [*command, f"--report={tmp_path}", *arguments],
        cwd=ROOT,
        env={**os.environ, "IMGVOL_PATIENCE": "60"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done, json.loads((tmp_path / "results.json").read_text())


def test_a_run_judges_every_pool(started, azure, tmp_path):
    claim, holds = "subpath/missing-directory-fails", "mount/content-visible-byte-for-byte"
    done, told = run_suite(tmp_path, f"--pull-registry={started.registry}", f"--claim={claim}", f"--claim={holds}")
    verdicts = {(one["id"], one["pool"]): one["verdict"] for one in told["claims"]}
    assert {key for key, verdict in verdicts.items() if verdict == "fail"} == {
        (claim, "old"),
        ("preflight/subpath", "old"),
    }, done.stdout + done.stderr
    assert verdicts[claim, "new"] == verdicts[holds, "old"] == verdicts[holds, "new"] == "pass"
    (failed,) = [one for one in told["claims"] if (one["id"], one["pool"]) == (claim, "old")]
    assert "preflight/subpath: containerd 2.1.9 (AzureLinux, " in failed["evidence"]
    assert done.returncode == 1
    assert "acr-token" not in done.stdout + done.stderr + json.dumps(told)
    assert left(started) == []


def test_a_run_that_finds_no_target_reports_why(started, azure, tmp_path):
    azure.cluster = cluster(powerState={"code": "Stopped"})
    done, told = run_suite(tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert {one["id"]: one["verdict"] for one in told["claims"]}["preflight/power-state"] == "fail"
    assert "az aks start" in done.stdout + done.stderr
