"""`--aks` on a registry that plays ACR: the suite signs in by az's token, nodes by their identity, as on AKS."""

import contextlib
import os

import pytest
import requests
from azure_standin import ACR, BIN, Standin, pool

import emulator
from conformance.targets.aks import aks
from conformance.targets.choice import Options, TargetUnavailableError
from conformance.targets.sweeping import leftovers

POOLS = ("name=old,runtime=containerd-2.1", "name=new")
RIGHTS = "identities: {{suite: {{roles: [{0}]}}, node: {{roles: [AcrPull]}}}}\n"
AUDIENCE = "https://containerregistry.azure.net"


def refresh_token(up):
    """What `az acr login --expose-token` gives: an Entra token exchanged for the registry's own."""
    query = {"client_id": "suite", "resource": AUDIENCE, "api-version": "2018-02-01"}
    answer = requests.get(
        f"{up.control}/metadata/identity/oauth2/token", params=query, headers={"Metadata": "true"}, timeout=30
    )
    entra = answer.json()["access_token"]
    form = {"grant_type": "access_token", "service": up.registry, "tenant": "t", "access_token": entra}
    return requests.post(f"http://{up.registry}/oauth2/exchange", data=form, timeout=30).json()["refresh_token"]


def tagged(up):
    """The repositories with something in them, as the same storage tells without a sign-in."""
    names = requests.get(f"http://{up.open_registry}/v2/_catalog", timeout=30).json()["repositories"]
    tags = {name: requests.get(f"http://{up.open_registry}/v2/{name}/tags/list", timeout=30) for name in names}
    return [name for name, answer in tags.items() if answer.json().get("tags")]


@pytest.fixture
def azure(tmp_path, monkeypatch):
    with contextlib.ExitStack() as stack:

        def start(roles):
            rights = tmp_path / "acr.yaml"
            rights.write_text(RIGHTS.format(roles))
            up = stack.enter_context(emulator.start(acr_config=rights, pools=POOLS, speed=10.0))
            standin = Standin(tmp_path, up.kubeconfig.read_bytes(), up.registry, refresh_token(up))
            stack.callback(standin.close)
            standin.pools = [pool("old"), pool("new")]
            for name, value in standin.environment.items():
                monkeypatch.setenv(name, value)
            monkeypatch.setenv("PATH", f"{BIN}:{os.environ['PATH']}")
            return up

        yield start


def test_the_suite_pushes_and_nodes_pull_as_on_aks(azure):
    up = azure("AcrPush, AcrDelete")
    with aks(Options(aks=True, acr=ACR)) as found:
        assert found.pools == ("new", "old")
        assert {(one.check, one.pool) for one in found.findings if one.verdict != "pass"} == {("subpath", "old")}
        assert tagged(up)
        swept = leftovers(found, found.run, remove=True)
        assert {name.partition("/")[0] for name in swept.repositories} == {found.run}
        assert swept.stuck == {}
    assert tagged(up) == []


def test_without_acrpush(azure):
    azure("AcrPull")
    with pytest.raises(TargetUnavailableError) as error, aks(Options(aks=True, acr=ACR)):
        pass
    assert "may not push: " in str(error.value)
    assert {one.check for one in error.value.findings if one.verdict == "fail"} == {"push", "subpath"}
