"""terraform/ is valid, formatted, and makes what it promises, with every version of azurerm whose schema is kept."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

SCHEMA = json.loads((Path(__file__).parent / "provider/schema.json").read_text())
VERSIONS = tuple(SCHEMA["versions"])
BLOCKS = re.compile(r'^(resource|provider) "(\w+)"')


@pytest.mark.parametrize("version", VERSIONS)
def test_the_tests_of_the_module_pass(workspace, version):
    copy = workspace(version)
    said = copy.run("test", "-no-color")
    assert said.returncode == 0, said.stdout + said.stderr
    assert "2 passed, 0 failed." in said.stdout
    assert f'version     = "{version}"' in (copy.directory / ".terraform.lock.hcl").read_text()


@pytest.mark.parametrize("version", VERSIONS)
def test_the_module_is_valid(workspace, version):
    assert workspace(version).complaints() == []


def test_the_module_is_formatted(workspace):
    copy = workspace()
    said = copy.run("fmt", "-check", "-recursive", "-no-color")
    assert (said.returncode, said.stdout) == (0, "")
    copy.change("main.tf", '  sku                 = "Standard"', '  sku = "Standard"')
    assert copy.run("fmt", "-check", "-recursive", "-no-color").stdout == "main.tf\n"


def test_the_example_of_pools_is_one_that_works(workspace):
    copy = workspace()
    example = (copy.directory / "pools.tfvars.example").read_text()
    variables = f'variables {{\nacr_name = "demo"\n{example}\n}}\n'
    for file in (copy.directory / "tests").iterdir():
        file.unlink()
    (copy.directory / "tests/it.tftest.hcl").write_text(f'mock_provider "azurerm" {{}}\n{variables}run "it" {{}}\n')
    said = copy.run("test", "-no-color")
    assert "1 passed, 0 failed." in said.stdout, said.stdout + said.stderr


def test_azurerm_5_wants_node_provisioning_said(workspace):
    """The kept schemas differ where the provider's major versions do."""
    found = {}
    for version in VERSIONS:
        copy = workspace(version)
        copy.change("main.tf", 'node_provisioning_profile {\n    mode = "Manual"\n  }', "")
        found[version] = [complaint["summary"] for complaint in copy.complaints()]
    assert found == {"4.81.0": [], "5.10.0": ["Insufficient node_provisioning_profile blocks"]}


@pytest.mark.parametrize(
    ("version", "taken"), [("4.66.0", False), ("4.81.0", True), ("5.10.0", True), ("6.0.0", False)]
)
def test_which_versions_of_azurerm_are_taken(workspace, version, taken):
    if taken:
        workspace(version)
    else:
        with pytest.raises(AssertionError, match=r"4\.67(\.0)?,\s+<\s+6\.0"):
            workspace(version)


def test_no_node_comes_before_the_right_to_pull(workspace):
    """The cluster waits for both role assignments, and pools for the cluster."""
    cluster = "azurerm_kubernetes_cluster.this"
    assert {
        (cluster, "azurerm_role_assignment.kubelet_pulls"),
        (cluster, "azurerm_role_assignment.cluster_assigns_kubelet"),
        ("azurerm_kubernetes_cluster_node_pool.this", cluster),
    } <= workspace().edges()


def test_no_output_tells_a_secret(workspace):
    """Neither the kubeconfig nor a password leaves the state."""
    outputs = (workspace().directory / "outputs.tf").read_text()
    assert set(re.findall(r'^output "(\w+)"', outputs, re.MULTILINE)) == {
        "acr_id", "acr_login_server", "acr_name", "aks_name", "get_credentials", "kubelet_client_id",
        "kubelet_object_id", "kubernetes_version", "node_pools", "node_resource_group", "oidc_issuer_url",
        "resource_group_name",
    }  # fmt: skip
    assert not re.search(r"kube_config|kube_admin_config|password|secret", outputs)


def test_the_provider_reaches_no_cloud(workspace):
    copy = workspace()
    said = copy.run("plan", "-no-color", "-input=false", "-var=acr_name=demo")
    assert said.returncode != 0
    assert "it has schemas only, and reaches no cloud" in re.sub(r"[\s│]+", " ", said.stderr)
