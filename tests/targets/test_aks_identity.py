"""`--aks` without az: azure-identity signs in, at stand-ins for Entra and the control plane; the registry plays ACR."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from azure_standin import ACR, BIN, SUBSCRIPTION, Standin, pool
from entra_standin import SECRET, SERVER, Entra, Kept

import emulator
from conformance.kube import Kube, path_of
from conformance.targets.aks import aks, entered
from conformance.targets.choice import Options, TargetUnavailableError
from conformance.targets.progress import Progress
from conformance.targets.sign_in import AzureError, sign_in

ROOT = Path(__file__).parents[2]
POOLS = ("name=old,runtime=containerd-2.1", "name=new")
RIGHTS = """identities:
  suite: {roles: [AcrPush, AcrDelete]}
  stranger: {roles: []}
  node: {roles: [AcrPull]}
"""
EXPIRED = (
    "AADSTS7000222: The provided client secret keys for app 'suite' are expired. Visit the Azure portal to create new "
    "keys for your app: https://aka.ms/NewClientSecret"
)
SUPPORT = " Trace ID: 0a1b Correlation ID: 2c3d Timestamp: 2026-11-23 18:00:00Z"


class Subscriptions(Standin):
    """A control plane that lists subscriptions besides."""

    listed = (SUBSCRIPTION,)

    def answer(self, method, path, query):
        if path != "/subscriptions":
            return super().answer(method, path, query)
        self.asked.append(f"{method} {path}?{query}")
        return 200, {"value": [{"subscriptionId": each, "state": "Enabled"} for each in self.listed]}


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    rights = tmp_path_factory.mktemp("acr") / "acr.yaml"
    rights.write_text(RIGHTS)
    with emulator.start(acr_config=rights, pools=POOLS, speed=10.0) as up:
        yield up


@pytest.fixture
def azure(started, tmp_path, monkeypatch):
    """A control plane, and an environment in which nobody is signed in."""
    for name in list(os.environ):
        if name.startswith(("AZURE_", "IDENTITY_", "IMDS_", "MSI_", "REQUESTS_CA", "CURL_CA", "ACR_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "prod")  # whoever runs the tests may be signed in
    standin = Subscriptions(tmp_path, started.kubeconfig.read_bytes(), started.registry, "not-by-az")
    standin.pools = [pool("old"), pool("new")]
    yield standin
    standin.close()


@pytest.fixture
def entra(started, azure, tmp_path):
    entra = Entra(tmp_path, azure.state["endpoint"], started.control)
    yield entra
    entra.close()


@pytest.fixture
def principal(entra, monkeypatch):
    signed_in(monkeypatch, entra.service_principal, AZURE_SUBSCRIPTION_ID=SUBSCRIPTION)
    return entra


@pytest.fixture
def kept(principal, azure):
    kept = Kept(principal, azure.kubeconfig)
    azure.kubeconfig = kept.kubeconfig
    yield kept
    kept.close()


def signed_in(monkeypatch, variables, **more):
    for name, value in {**variables, **more}.items():
        monkeypatch.setenv(name, value)


def options(way="identity", **more):
    return Options(aks=True, acr=ACR, aks_sign_in=way, **more)


def unavailable(way="identity"):
    """What is said, and which checks failed."""
    with pytest.raises(TargetUnavailableError) as error, entered(options(way), Progress()):
        pass
    assert "\n" not in str(error.value)
    assert SECRET not in str(error.value)
    return str(error.value), {one.check for one in error.value.findings if one.verdict == "fail"}


def client(description):
    from kubernetes import config

    return Kube(config.new_client_from_config(description.kubeconfig))


def run(*command):
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env={**os.environ, "IMGVOL_PATIENCE": "60"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert SECRET not in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
    return done


class TestSigningIn:
    def test_a_service_principal_pushes_and_its_pools_are_judged(self, principal, azure):
        with aks(options()) as found:
            assert found.pools == ("new", "old")
            assert {(one.check, one.pool) for one in found.findings if one.verdict != "pass"} == {("subpath", "old")}
            (who,) = {one.evidence for one in found.findings if one.check == "sign-in"}
            assert who == "azure-identity finds who is signed in"
            assert SECRET not in repr(found)
        assert set(principal.given) == {azure.state["endpoint"], "https://containerregistry.azure.net"}
        assert not any(line.startswith("GET /subscriptions?") for line in azure.asked)

    def test_a_machines_identity_in_its_only_subscription(self, entra, azure, monkeypatch):
        signed_in(monkeypatch, entra.machine)
        with entered(options(), Progress()) as (found, findings, _):
            assert found.registry.password
            assert {one.verdict for one in findings} == {"pass"}
        assert azure.asked[0].startswith("GET /subscriptions?")

    @pytest.mark.parametrize(
        ("listed", "seen"), [((), "no subscription"), (("s-1", "s-2"), r"2 subscriptions \(s-1, s-2\)")]
    )
    def test_which_subscription(self, entra, azure, monkeypatch, listed, seen):
        signed_in(monkeypatch, entra.machine)
        azure.listed = listed
        said, failed = unavailable()
        assert said == f"whoever is signed in sees {seen}: set AZURE_SUBSCRIPTION_ID to the one that is meant".replace(
            "\\", ""
        )
        assert failed == {"sign-in"}

    def test_az_comes_first_where_it_is(self, principal, azure, tmp_path, monkeypatch):
        signed_in(monkeypatch, azure.environment, PATH=f"{BIN}:{os.environ['PATH']}")
        with entered(options("auto"), Progress()) as (_, findings, _):
            assert [one.evidence for one in findings if one.check == "sign-in"] == ["az is signed in"]
        assert (tmp_path / "calls").exists()
        assert principal.given == {}

    def test_without_az_azure_identity_signs_in(self, principal, tmp_path, monkeypatch):
        monkeypatch.setenv("PATH", str(tmp_path))
        assert shutil.which("az") is None
        with entered(options("auto"), Progress()) as (_, findings, _):
            assert [one.evidence for one in findings if one.check == "sign-in"] == [
                "azure-identity finds who is signed in"
            ]

    def test_what_lost_runs_left_is_found_too(self, principal):
        done = run("imgvol", "clean", "--aks", f"--acr={ACR}", "--aks-sign-in=identity", "--dry-run", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["stuck"] == {}


class TestNobodyIsSignedIn:
    def test_neither_way_is_there(self, azure, tmp_path, monkeypatch):
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setitem(sys.modules, "azure.identity", None)  # as Python finds what is not installed
        said, failed = unavailable("auto")
        assert said == (
            "there is neither az nor azure-identity, by which --aks signs in: install the Azure CLI and run az login, "
            "or pip install 'imgvol[azure]'"
        )
        assert failed == {"sign-in"}
        assert unavailable("identity")[0] == (
            "azure-identity is not installed, by which --aks signs in: pip install 'imgvol[azure]'"
        )
        assert unavailable("az")[0] == "az is not installed: --aks-sign-in=identity signs in without it"

    def test_no_credential_is_found(self, entra, azure, monkeypatch):
        signed_in(monkeypatch, entra.machine)
        entra.refuses[azure.state["endpoint"]] = "Identity not found"
        said, failed = unavailable()
        assert said.startswith(f"azure-identity gives no token for {azure.state['endpoint']}: nobody is signed in: it ")
        assert failed == {"sign-in"}

    def test_the_secret_has_expired(self, principal, azure):
        principal.refuses[azure.state["endpoint"]] = EXPIRED + SUPPORT
        said, failed = unavailable()
        assert said == f"azure-identity gives no token for {azure.state['endpoint']}: {EXPIRED}"
        assert failed == {"sign-in"}

    def test_the_secret_is_wrong(self, principal, monkeypatch):
        monkeypatch.setenv("AZURE_CLIENT_SECRET", f"not-{SECRET}")
        said, failed = unavailable()
        assert said.endswith(": AADSTS7000215: Invalid client secret provided.")
        assert failed == {"sign-in"}

    def test_entra_does_not_answer(self, principal, monkeypatch):
        monkeypatch.setenv("AZURE_AUTHORITY_HOST", "https://127.0.0.1:1")
        said, failed = unavailable()
        assert "EnvironmentCredential: " in said
        assert "127.0.0.1" in said
        assert failed == {"sign-in"}

    @pytest.mark.parametrize(
        ("name", "value"),
        [("AZURE_AUTHORITY_HOST", "http://127.0.0.1:1"), ("AZURE_TOKEN_CREDENTIALS", "x"), ("AZURE_TENANT_ID", "a b")],
    )
    def test_an_environment_that_makes_no_sense(self, principal, monkeypatch, name, value):
        monkeypatch.setenv(name, value)
        said, failed = unavailable()
        assert said.startswith("azure-identity does not take what the environment says: ")
        assert failed == {"sign-in"}

    def test_the_control_plane_takes_the_token_no_more(self, principal, azure):
        azure.error = (401, "ExpiredAuthenticationToken", "The access token expiry UTC time is earlier than now.")
        said, failed = unavailable()
        assert said.startswith("Azure takes the sign-in no more (ExpiredAuthenticationToken: ")
        assert "az login" not in said
        assert failed == {"sign-in"}

    def test_the_registry_knows_nobody_of_this_name(self, principal, monkeypatch):
        monkeypatch.setenv("AZURE_CLIENT_ID", "stranger")
        said, failed = unavailable()
        assert "does not take the Entra token: it answered 401" in said
        assert failed == {"registry"}

    def test_a_run_reports_it(self, principal, azure, tmp_path):
        principal.refuses[azure.state["endpoint"]] = EXPIRED + SUPPORT
        arguments = ["conformance", "-n0", "-p", "no:cacheprovider", "--aks", f"--acr={ACR}", "--aks-sign-in=identity"]
        done = run("pytest", *arguments, f"--report={tmp_path}/report")
        assert done.returncode == 1
        (told,) = json.loads((tmp_path / "report/results.json").read_text())["claims"]
        assert (told["id"], told["verdict"]) == ("preflight/sign-in", "fail")
        assert EXPIRED in told["evidence"]
        assert EXPIRED in done.stdout + done.stderr


class TestClouds:
    @pytest.mark.parametrize(
        ("authority", "endpoint"),
        [
            ("", "https://management.azure.com"),
            ("login.microsoftonline.com", "https://management.azure.com"),
            ("https://login.microsoftonline.us/", "https://management.usgovcloudapi.net"),
            ("https://login.chinacloudapi.cn", "https://management.chinacloudapi.cn"),
        ],
    )
    def test_the_control_plane_goes_with_who_gives_tokens(self, azure, monkeypatch, authority, endpoint):
        if authority:
            monkeypatch.setenv("AZURE_AUTHORITY_HOST", authority)
        assert sign_in("identity").endpoint == endpoint

    def test_tokens_are_for_whom_the_environment_names(self, entra, azure, monkeypatch):
        signed_in(monkeypatch, entra.machine, AZURE_RESOURCE_MANAGER_AUDIENCE="https://management.example/")
        assert sign_in("identity").control_plane() == "t0ken-0-for-https://management.example"

    def test_another_cloud_says_where_its_control_plane_is(self, azure, monkeypatch):
        monkeypatch.setenv("AZURE_AUTHORITY_HOST", "https://login.example")
        with pytest.raises(AzureError, match="say in AZURE_RESOURCE_MANAGER_ENDPOINT where the control plane is"):
            sign_in("identity").control_plane()

    def test_no_token_goes_out_unencrypted(self, azure, monkeypatch):
        monkeypatch.setenv("AZURE_RESOURCE_MANAGER_ENDPOINT", "http://management.example")
        with pytest.raises(AzureError, match=r"must begin with https://, and is http://management\.example"):
            sign_in("identity").control_plane()


class TestClustersThatEntraKeeps:
    def test_one_token_does_while_it_lasts(self, kept, principal):
        with entered(options(), Progress()) as (found, _, _):
            kube = client(found)
            assert [kube.get("/version")["major"] for _ in range(3)] == ["1"] * 3
            text = Path(found.kubeconfig).read_text()
            assert not [token for token in principal.given[SERVER] if token in text]
        assert len(kept.seen) == 3
        assert len(set(kept.seen)) == 1

    def test_it_is_renewed_when_it_expires(self, kept, principal):
        principal.lifetime = 60  # clients renew what has less than five minutes
        with entered(options(), Progress()) as (found, _, _):
            kube = client(found)
            for _ in range(3):
                kube.get(path_of("nodes"))
        assert len(set(kept.seen)) == 3

    def test_az_gets_the_token_as_well(self, kept, principal, azure, monkeypatch):
        signed_in(monkeypatch, azure.environment, PATH=f"{BIN}:{os.environ['PATH']}")
        principal.given[SERVER] = [f"az-token-for-{SERVER}"]
        with entered(options("az"), Progress()) as (found, _, _):
            assert client(found).get("/version")["major"] == "1"
        assert set(kept.seen) == {f"az-token-for-{SERVER}"}

    def test_entra_gives_no_token_for_the_cluster(self, kept, principal):
        why = "AADSTS650057: Invalid resource. The client has requested access to a resource which is not listed."
        principal.refuses[SERVER] = why + SUPPORT
        said, failed = unavailable()
        assert said == f"azure-identity gives no token for {SERVER}: {why}"
        assert failed == {"credentials"}

    def test_any_other_kubeconfig_is_left_as_it_is(self, principal, azure):
        with entered(options(), Progress()) as (found, _, _):
            assert Path(found.kubeconfig).read_bytes() == azure.kubeconfig
        other = yaml.safe_load(azure.kubeconfig)
        other["users"][0]["user"] = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "/bin/mine"}}
        azure.kubeconfig = yaml.safe_dump(other).encode()
        with entered(options(), Progress()) as (found, _, _):
            assert Path(found.kubeconfig).read_bytes() == azure.kubeconfig

    @pytest.mark.parametrize("content", [b"\x00", b"[]", b"users: 1", b"users: [{}]"])
    def test_what_is_no_kubeconfig(self, principal, azure, content):
        azure.kubeconfig = content
        assert unavailable() == ("the kubeconfig that Azure gives names no users", {"credentials"})

    def test_the_claims_are_judged_in_several_processes(self, kept, principal, tmp_path):
        claim = "mount/content-visible-byte-for-byte"
        arguments = ["conformance", "-n2", "-p", "no:cacheprovider", "--aks", f"--acr={ACR}", "--aks-sign-in=identity"]
        done = run("pytest", *arguments, f"--claim={claim}", f"--report={tmp_path}/report")
        told = json.loads((tmp_path / "report/results.json").read_text())
        verdicts = {(one["id"], one["pool"]): one["verdict"] for one in told["claims"]}
        assert verdicts[claim, "old"] == verdicts[claim, "new"] == "pass", done.stdout + done.stderr
        assert len(set(kept.seen)) > 1
        said = done.stdout + done.stderr + json.dumps(told)
        assert not [token for tokens in principal.given.values() for token in tokens if token in said]

    def test_the_sign_in_expires_midway(self, kept, principal, tmp_path):
        claim = "mount/content-visible-byte-for-byte"
        principal.lifetime = 60
        kept.until = lambda request: f"-{claim.replace('/', '-')[:20]}" in request
        arguments = ["conformance", "-n2", "-p", "no:cacheprovider", "--aks", f"--acr={ACR}", "--aks-sign-in=identity"]
        done = run("pytest", *arguments, f"--claim={claim}", f"--report={tmp_path}/report")
        said = done.stdout + done.stderr
        assert done.returncode == 1
        assert "INTERNALERROR" not in said, said
        told = json.loads((tmp_path / "report/results.json").read_text())
        judged = {one["pool"]: one for one in told["claims"] if one["id"] == claim}
        assert {pool: one["verdict"] for pool, one in judged.items()} == {"old": "error", "new": "error"}
        assert {one["evidence"] for one in judged.values()} == {
            "the cluster takes the suite's sign-in no more: Unauthorized"
        }
        assert "AADSTS70043" in said

    def test_the_plugin_speaks_to_any_client(self, principal, monkeypatch):
        asked = {"apiVersion": "client.authentication.k8s.io/v1beta1", "kind": "ExecCredential", "spec": {}}
        monkeypatch.setenv("KUBERNETES_EXEC_INFO", json.dumps(asked))
        done = run("conformance.targets.kubelogin", "--sign-in=identity")
        told = json.loads(done.stdout)
        assert (told["apiVersion"], told["kind"]) == (asked["apiVersion"], "ExecCredential")
        assert told["status"]["token"] == principal.given[SERVER][-1]
        principal.refuses[SERVER] = EXPIRED + SUPPORT
        done = run("conformance.targets.kubelogin", "--sign-in=identity")
        assert (done.returncode, done.stdout) == (1, "")
        assert EXPIRED in done.stderr
