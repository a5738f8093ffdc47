"""What every variable accepts and refuses, and with which words: refusals.yaml, run as it is written there."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest
import yaml

CASES = yaml.safe_load((Path(__file__).parent / "refusals.yaml").read_text())


def test_every_variable_has_its_cases(workspace):
    text = (workspace().directory / "variables.tf").read_text()
    assert re.findall(r'^variable "(\w+)"', text, re.MULTILINE) == list(CASES)


@pytest.mark.parametrize("variable", CASES)
def test_what_is_refused_and_what_is_said(workspace, variable):
    copy = workspace()
    cases = {f"case-{number}": case for number, case in enumerate(CASES[variable]["refuses"])}
    wrong, met = {}, set()
    for name, complaints in _run(copy, variable, {name: case["value"] for name, case in cases.items()}).items():
        says = cases[name]["says"]
        if len(complaints) != 1 or not complaints[0].startswith(f"{variable} ") or says not in complaints[0]:
            wrong[cases[name]["value"]] = complaints
        met |= {
            int(line) for said in complaints for line in re.findall(r"validation rule at variables\.tf:(\d+)", said)
        }
    assert wrong == {}

    # No rule without a case that meets it, so that a rule taken out is missed.
    lines = (copy.directory / "variables.tf").read_text().splitlines()
    first = lines.index(f'variable "{variable}" {{')
    last = lines.index("}", first)
    assert met == {number + 1 for number in range(first, last) if lines[number] == "  validation {"}


@pytest.mark.parametrize("variable", CASES)
def test_what_is_accepted(workspace, variable):
    cases = {f"case-{number}": value for number, value in enumerate(CASES[variable]["accepts"])}
    complaints = _run(workspace(), variable, cases)
    assert {cases[name]: said for name, said in complaints.items() if said} == {}


def test_the_registry_has_to_be_named(workspace):
    copy = workspace()
    (complaint,) = _run(copy, "location", {"nothing": '"westeurope"'}, given="")["nothing"]
    assert '"acr_name"' in complaint


def _run(copy, variable, values, given='acr_name = "demo"'):
    """Makes the module once with each value, all in one `test`; what was said against each."""
    for file in (copy.directory / "tests").iterdir():
        file.unlink()
    if variable == "acr_name":
        given = ""
    for name, value in values.items():
        variables = f"variables {{\n{given}\n{variable} = {value}\n}}\n"
        text = f'mock_provider "azurerm" {{}}\nrun "it" {{\ncommand = plan\n{variables}}}\n'
        (copy.directory / "tests" / f"{name}.tftest.hcl").write_text(text)
    said, judged = defaultdict(list), {}
    for message in copy.messages("test", "-json"):
        name = message.get("@testfile", "").removeprefix("tests/").removesuffix(".tftest.hcl")
        if message["type"] == "diagnostic":
            said[name].append(message["diagnostic"].get("detail", ""))
        elif message["type"] == "test_run" and message["test_run"].get("status"):
            judged[name] = message["test_run"]["status"]
    assert {name: status == "pass" for name, status in judged.items()} == {name: not said[name] for name in values}
    return {name: said[name] for name in values}
