"""TARGET=aks, with stand-ins for az and terraform, and an emulator whose registry wants ACR's token."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

import emulator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

REPOSITORY = Path(__file__).parents[2]
NOBODY = "00000000-0000-0000-0000-000000000000"
TOKEN = "a-token-of-the-registry"
ACR = {"ACR_NAME": "myregistry"}
NAMED = {**ACR, "RESOURCE_GROUP": "rg-oci-artifact-demo", "AKS_NAME": "aks-oci-demo"}


@pytest.fixture
def live(cloud, kube_of):
    """An AKS whose nodes may pull from its ACR, as the role AcrPull lets them."""
    with emulator.start(private_registry=(NOBODY, TOKEN), speed=20) as running:
        kube = kube_of(str(running.kubeconfig))
        server = running.private_registry
        auth = {"auths": {server: {"username": NOBODY, "password": TOKEN}}}
        secret = {
            "metadata": {"name": "acr"},
            "type": "kubernetes.io/dockerconfigjson",
            "data": {".dockerconfigjson": base64.b64encode(json.dumps(auth).encode()).decode()},
        }
        kube.create("/api/v1/namespaces/default/secrets", secret)
        pulls = {"imagePullSecrets": [{"name": "acr"}]}
        kube.patch("/api/v1/namespaces/default/serviceaccounts/default", pulls)
        acr = {"name": "myregistry", "login_server": server, "token": TOKEN}
        aks = {"group": "rg-oci-artifact-demo", "name": "aks-oci-demo", "kubeconfig": str(running.kubeconfig)}
        yield cloud(acr=acr, aks=aks), server


def test_from_push_to_smoke_test(live):
    commands, server = live
    done = commands.make("push-engine", "push-content", "deploy", "smoke-test", **NAMED)
    assert done.returncode == 0, done.stderr
    count = sum(1 for _ in (REPOSITORY / "project-content").rglob("*"))
    assert done.stdout.endswith(
        f"{server}/project-content:v1.0.0: {count} files and directories, served by 1 of 1 pods\n"
    )
    assert "in the subscription Demo (" in done.stderr
    assert "aks-oci-demo (resource group rg-oci-artifact-demo)" in done.stderr
    assert TOKEN not in done.stdout + done.stderr
    kubeconfig = str(Path(commands.environment["TARGET_DIR"]) / "aks" / "kubeconfig")
    show = ["az", "acr", "show", "--name", "myregistry", "--output", "json"]
    login = ["az", "acr", "login", "--name", "myregistry", "--expose-token", "--output", "json"]
    credentials = [
        *("az", "aks", "get-credentials", "--resource-group", "rg-oci-artifact-demo", "--name", "aks-oci-demo"),
        *("--file", kubeconfig, "--overwrite-existing"),
    ]
    engine = str(REPOSITORY / "engine")
    assert commands.calls() == [
        show,
        ["az", "account", "show", "--output", "json"],
        ["az", "acr", "build", "--registry", "myregistry", "--image", "engine:latest", engine],
        *(show, login),  # push-content
        *(show, credentials),  # deploy
        *(show, credentials, login),  # smoke-test
    ]


def test_the_engine_by_the_packager_needs_no_tasks(live):
    commands, server = live
    done = commands("push-engine", ENGINE_BUILD="packager", **NAMED)
    assert done.returncode == 0, done.stderr
    assert f"{server}/engine@sha256:" in done.stdout
    assert not any("build" in call for call in commands.calls())


def test_names_come_from_terraforms_outputs(cloud, tmp_path):
    directory = tmp_path / "terraform"
    (directory / ".terraform").mkdir(parents=True)
    (directory / "main.tf").touch()
    outputs = {"acr_name": "outputacr", "resource_group_name": "rg-output", "aks_name": "aks-output"}
    commands = cloud(outputs=outputs, acr={"name": "outputacr", "login_server": "127.0.0.1:1", "token": TOKEN})
    done = commands("status", TERRAFORM_DIR=str(directory))
    assert done.returncode == 1
    assert (
        "Microsoft.ContainerService/managedClusters/aks-output' under resource group 'rg-output' was not" in done.stderr
    )
    assert ["terraform", f"-chdir={directory}", "output", "-json"] in commands.calls()


@pytest.mark.parametrize(
    ("command", "settings", "arguments"),
    [
        ("tf-apply", ACR, ["apply", "-var=acr_name=myregistry"]),
        ("tf-apply", {**ACR, "AUTO_APPROVE": "1"}, ["apply", "-var=acr_name=myregistry", "-auto-approve"]),
        (
            "tf-destroy",
            NAMED,
            [
                *("destroy", "-var=acr_name=myregistry"),
                *("-var=resource_group_name=rg-oci-artifact-demo", "-var=aks_name=aks-oci-demo"),
            ],
        ),
    ],
)
def test_terraform_is_told_what_is_meant(cloud, tmp_path, command, settings, arguments):
    directory = tmp_path / "terraform"
    directory.mkdir()
    (directory / "main.tf").touch()
    commands = cloud()
    done = commands(command, TERRAFORM_DIR=str(directory), **settings)
    assert done.returncode == 0, done.stderr
    here = f"-chdir={directory}"
    assert commands.calls()[1:] == [["terraform", here, "init", "-input=false"], ["terraform", here, *arguments]]
    assert "in the subscription Demo (" in done.stderr


def test_another_subscription_is_said(cloud, tmp_path):
    (tmp_path / "main.tf").touch()
    other = "00000000-0000-0000-0000-00000000000f"
    done = cloud()("tf-apply", TERRAFORM_DIR=str(tmp_path), ARM_SUBSCRIPTION_ID=other, **ACR)
    assert done.returncode == 0, done.stderr
    assert f"in the subscription {other}, which ARM_SUBSCRIPTION_ID names" in done.stderr


@pytest.mark.parametrize("command", ["push-engine", "push-content", "deploy", "smoke-test", "rollback", "status"])
def test_nobody_is_signed_in(cloud, command):
    done = cloud(signed_in=False)(command, **NAMED)
    assert (done.returncode, done.stderr) == (1, f"{command}: az is not signed in, or no longer: run `az login`\n")


@pytest.mark.parametrize("command", ["push-engine", "push-content", "deploy", "smoke-test", "status"])
def test_az_is_not_installed(cloud, uninstalled, command):
    done = uninstalled(cloud())(command, **NAMED)
    assert done.returncode == 1
    assert done.stderr == f"{command}: az is not installed: it comes with the Azure CLI, https://aka.ms/azure-cli\n"


def test_terraform_is_not_installed(cloud, uninstalled):
    done = uninstalled(cloud())("tf-apply", **ACR)
    assert done.returncode == 1
    assert done.stderr.startswith("tf-apply: terraform is not installed: it is had from https://")


@pytest.mark.parametrize("command", ["push-engine", "push-content", "deploy", "tf-apply", "tf-destroy"])
def test_no_registry_is_named(cloud, tmp_path, command):
    done = cloud()(command, TERRAFORM_DIR=str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.startswith(f"{command}: ACR_NAME is not set: ")
    assert done.stderr.count("\n") == 1


def test_a_registry_that_is_not_there_is_named_by_azure(cloud):
    done = cloud()("push-content", **{**NAMED, "ACR_NAME": "another"})
    assert done.returncode == 1
    assert "az acr show failed: ERROR: The resource with name 'another'" in done.stderr


def test_a_cluster_that_does_not_answer(cloud, tmp_path):
    cluster = {"server": "https://127.0.0.1:1", "insecure-skip-tls-verify": True}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "c", "user": {"token": "x"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(config))
    commands = cloud(aks={"group": "rg-oci-artifact-demo", "name": "aks-oci-demo", "kubeconfig": str(path)})
    done = commands("status", **NAMED)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("status: the cluster cannot be reached: ")
