"""The tests of terraform/ notice what goes wrong with it: every argument misspelt, every value changed, in a copy."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

MODULE = Path(__file__).resolve().parents[2] / "terraform"
TOP = re.compile(r'^(?:resource "\w+" "\w+"|provider "\w+")', re.MULTILINE)
ARGUMENT = re.compile(r"^(?P<indent> +)(?P<name>\w+) +=(?!=)")
BLOCK = re.compile(r"^(?P<indent> +)(?P<name>\w+) \{")
VALUE = re.compile(r'(?P<before>(?:= +|optional\(\w+, ))(?P<value>"[^"$]*"|true|false|\d+)(?=\)|,?$| +#)')
# What somebody might write in place of a value; another value gets a letter or one more.
OTHERS = {
    "1.36": "1.37", "swedencentral": "westeurope", "Standard_D2s_v3": "Standard_D4s_v5", "AzureLinux": "Ubuntu",
    "Standard": "Basic", "azure": "kubenet", "overlay": "", "cilium": "calico", "AcrPull": "AcrPush", "User": "System",
    "Managed Identity Operator": "Managed Identity Contributor", "UserAssigned": "SystemAssigned", "Manual": "Auto",
    "true": "false", "false": "true",
}  # fmt: skip


def _tops():
    """Each resource and the provider: its file, its first line, its last."""
    for name in ("main.tf", "versions.tf"):
        lines = (MODULE / name).read_text().splitlines()
        for number, line in enumerate(lines):
            if TOP.match(line):
                last = next(at for at in range(number, len(lines)) if lines[at] == "}")
                yield pytest.param(name, number, last, id=re.sub(r'["{ ]+', "-", line).strip("-"))


def _misspell(copy, name, first, last, pattern, indent=None):
    """Misspells what the pattern finds between two lines; the numbers of the lines changed, counted from 1."""
    lines, changed = (copy.directory / name).read_text().splitlines(), set()
    for at in range(first + 1, last):
        found = pattern.match(lines[at])
        if found and (indent is None or len(found["indent"]) == indent):
            lines[at] = f"{found['indent']}{found['name']}x{lines[at][found.end('name') :]}"
            changed.add(at + 1)
    (copy.directory / name).write_text("\n".join(lines) + "\n")
    return changed


@pytest.mark.parametrize(("name", "first", "last"), list(_tops()))
def test_a_misspelt_argument_is_invalid(workspace, name, first, last):
    copy = workspace()
    changed = _misspell(copy, name, first, last, ARGUMENT)
    assert changed
    assert changed <= _unsupported(copy, "Unsupported argument")


@pytest.mark.parametrize("indent", [2, 4])
@pytest.mark.parametrize(("name", "first", "last"), list(_tops()))
def test_a_misspelt_block_is_invalid(workspace, name, first, last, indent):
    copy = workspace()
    changed = _misspell(copy, name, first, last, BLOCK, indent)
    assert changed == _unsupported(copy, "Unsupported block type")


def _unsupported(copy, summary):
    return {said["range"]["start"]["line"] for said in copy.complaints() if said["summary"] == summary}


def test_one_misspelling_fails_the_tests(workspace):
    copy = workspace()
    copy.change("main.tf", "skip_service_principal_aad_check = true # ", "skip_service_principal_add_check = true # ")
    said = copy.run("test", "-no-color")
    assert said.returncode != 0
    assert 'An argument named "skip_service_principal_add_check" is not expected here' in said.stdout + said.stderr


def _values():
    """Each literal value that decides what is made: its file, its line, what would stand there instead."""
    for name in ("main.tf", "variables.tf"):
        inside = False
        for number, line in enumerate((MODULE / name).read_text().splitlines()):
            inside = bool(TOP.match(line)) or (inside and line != "}")
            found = VALUE.search(line)
            if found and (inside or "optional(" in line or line.startswith("  default ")):
                value = found["value"].strip('"')
                other = OTHERS.get(value, str(int(value) + 1) if value.isdigit() else f"{value}x")
                quote = found["value"][0] if found["value"].startswith('"') else ""
                wrong = line[: found.start("value")] + quote + other + quote + line[found.end("value") :]
                yield pytest.param(name, number, wrong, id=f"{name}-{number + 1}-{line.split()[0]}-{other}")


@pytest.mark.parametrize(("name", "number", "wrong"), list(_values()))
def test_a_changed_value_fails_the_tests(workspace, name, number, wrong):
    copy = workspace()
    lines = (copy.directory / name).read_text().splitlines()
    lines[number] = wrong
    (copy.directory / name).write_text("\n".join(lines) + "\n")
    said = copy.run("test", "-no-color")
    assert said.returncode != 0
    assert "Error: Test assertion failed" in said.stdout + said.stderr


def test_the_values_that_matter_are_among_those_changed():
    """What finds the values finds them all: the sample system's own are here."""
    changed = "\n".join(parameter.values[2] for parameter in _values())
    for words in (
        "rg-oci-artifact-demox", "westeurope", "aks-oci-demox", '"1.37"', "= 3", "Standard_D4s_v5", '"Basic"',
        "admin_enabled       = true", '"Ubuntu"', '"2"', "oidc_issuer_enabled       = false",
        "workload_identity_enabled = false", '"kubenet"', 'network_plugin_mode = ""', 'network_policy      = "calico"',
        'network_data_plane  = "calico"', '"AcrPush"', "skip_service_principal_aad_check = false",
    ):  # fmt: skip
        assert words in changed


@pytest.mark.parametrize("waits_for", ["kubelet_pulls", "cluster_assigns_kubelet"])
def test_a_cluster_that_does_not_wait_is_noticed(workspace, waits_for):
    copy = workspace()
    copy.change("main.tf", f"    azurerm_role_assignment.{waits_for},\n", "")
    edge = ("azurerm_kubernetes_cluster.this", f"azurerm_role_assignment.{waits_for}")
    assert edge not in copy.edges()
    assert edge in workspace().edges()
