"""A target's description on its way to the test processes, and what it shows."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from conformance.tampering import flipped
from conformance.targets import Description, RegistryEndpoint, Tamper
from conformance.targets.containers import last_lines
from conformance.targets.progress import Progress

endpoints = st.builds(RegistryEndpoint, tamper=st.none() | st.builds(Tamper))


@given(st.builds(Description, registry=endpoints, private=st.none() | endpoints, patience=st.floats(0, 1e6)))
def test_a_description_survives_its_way(description):
    text = description.to_json()
    assert "\n" not in text
    assert Description.from_json(text) == description


def test_passwords_are_not_shown():
    endpoint = RegistryEndpoint("http://r", "r", "suite", "the-password")
    assert "the-password" not in repr(endpoint)


@given(st.binary(min_size=1))
def test_a_damaged_blob_differs_in_one_bit(content):
    damaged = flipped(content)
    different = [a ^ b for a, b in zip(content, damaged, strict=True) if a != b]
    assert different == [1]


def test_progress_is_plain_lines_where_there_is_no_terminal():
    out = io.StringIO()
    progress = Progress(Console(file=out, force_terminal=False))
    with progress.step("kind: [registries]") as step:
        step.waits_for("nothing that is shown here")
    with pytest.raises(KeyboardInterrupt), progress.step("kind: nodes"):
        raise KeyboardInterrupt
    lines = [line.rstrip("0123456789. s") for line in out.getvalue().splitlines()]
    assert lines == ["kind: [registries]", "kind: [registries]:", "kind: node", "kind: nodes: not done after"]


def test_progress_on_a_terminal_shows_what_is_waited_for():
    out = io.StringIO()
    progress = Progress(Console(file=out, force_terminal=True, width=100))
    with progress.step("kind: [control] plane") as step:
        step.waits_for("[certs] Generating")
    assert "kind: [control] plane" in out.getvalue()


def test_last_lines_are_those_that_say_something():
    assert last_lines("a\n\n\x1b[0;1;31mb\x1b[0m\r\n  \n") == "a / b"
    assert last_lines("") == "nothing"
