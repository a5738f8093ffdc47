"""What a scenario may say, and which requests it strikes."""

import contextlib
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from emulator.faults import (
    OPERATIONS,
    ActiveFaults,
    Amount,
    Asked,
    Fault,
    Match,
    Scenario,
    ScenarioError,
    Times,
    load,
    parse,
    scenario_names,
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("faults: [{statuss: 500}]", r"x\.yaml: faults\[0\] has no key 'statuss'; it may have match, times, .*status"),
        ("fault: []", r"x\.yaml has no key 'fault'; it may have says, faults, tokens"),
        ("faults: [{match: {operations: ping}, status: 500}]", r"x\.yaml: faults\[0\]\.match has no key 'operations'"),
        (
            "faults: [{match: {operation: pong}, status: 500}]",
            r"faults\[0\]\.match\.operation: 'pong' is no operation; .*ping",
        ),
        ("faults: [{match: {method: FETCH}, status: 500}]", r"faults\[0\]\.match\.method: 'FETCH' is no method"),
        ("faults: [{match: {operation: []}, status: 500}]", r"faults\[0\]\.match\.operation must be a text, not \[\]"),
        ("faults: [{status: 200}]", r"faults\[0\]\.status must be a whole number from 400 to 599, not 200"),
        ("faults: [{status: true}]", r"faults\[0\]\.status must be a whole number from 400 to 599, not True"),
        ("faults: [{status: 500, drop: 1}]", r"faults\[0\] says status and drop: a fault does one of these"),
        ("faults: [{match: {operation: ping}}]", r"faults\[0\] does nothing: give it one of refuse, hang-up"),
        ("faults: [{refuse: true, delay: 1s}]", r"faults\[0\] says refuse, which takes nothing else"),
        ("faults: [{refuse: false}]", r"faults\[0\]\.refuse must be true, or be left out, not False"),
        ("faults: [{drop: 1, code: DENIED}]", r"faults\[0\]\.code is part of a status: give that, too"),
        ("faults: [{status: 500, reset: true}]", r"faults\[0\]\.reset says how a connection is closed"),
        ("faults: [{delay: 5}]", r"faults\[0\]\.delay must be a duration like 500ms, 2s, 5m or 3h, not 5"),
        ("faults: [{drop: 101%}]", r"faults\[0\]\.drop must be a number of bytes, or a share like 50%, not '101%'"),
        ("faults: [{drop: -1}]", r"faults\[0\]\.drop must be a number of bytes"),
        ("faults: [{rate: 0}]", r"faults\[0\]\.rate must be a whole number from 1 on, not 0"),
        ("faults: [{times: {first: 0}, status: 500}]", r"faults\[0\]\.times\.first must be a whole number from 1 on"),
        (
            "faults: [{times: {each: pod}, status: 500}]",
            r"faults\[0\]\.times\.each must be one of registry, repository",
        ),
        ('faults: [{headers: {"A B": c}}]', r"faults\[0\]\.headers: 'A B' with this value is no header"),
        ('faults: [{headers: {A: "b\\r\\nC: d"}}]', r"faults\[0\]\.headers: 'A' with this value is no header"),
        ("tokens: {acess: 5s}", r"x\.yaml: tokens has no key 'acess'; it may have access, refresh"),
        ("faults: {}", r"x\.yaml: faults must be a list of faults, not \{\}"),
        ("", r"x\.yaml must be a mapping with some of says, faults, tokens, not None"),
        ("faults: [", r"x\.yaml, line 1: this is no YAML: "),
    ],
)
def test_what_is_wrong_is_named_with_file_and_key_in_one_sentence(text, says):
    with pytest.raises(ScenarioError, match=f"^{says}" if says.startswith("x") else says) as refused:
        parse(text, "x.yaml")
    assert "\n" not in str(refused.value)


def test_a_scenario_that_there_is_not_is_told_with_those_there_are():
    with pytest.raises(ScenarioError, match=f"no fault scenario 'nope'; choose one of {', '.join(scenario_names())}"):
        load("nope")
    with pytest.raises(ScenarioError, match=r"/nowhere/x\.yaml cannot be read: no such file or directory"):
        load("/nowhere/x.yaml")


def test_every_scenario_that_comes_along_is_right_and_says_what_it_is():
    assert len(scenario_names()) > 10
    for name in scenario_names():
        called, scenario = load(name)
        assert called == name
        assert scenario.says.endswith(".")
        assert scenario.faults or scenario.access_token


def test_all_that_can_be_said():
    text = """
    says: All of it.
    faults:
      - match: {operation: [blob-*, token], method: GET, repository: "lab/*", reference: "sha256:*"}
        times: {skip: 1, every: 2, first: 3, each: reference}
        delay: 1.5s
        rate: 100
        headers: {Docker-Content-Digest: wrong, Retry-After: 3, OCI-Subject: null}
        drop: 50%
        reset: true
      - status: 429
        code: TOOMANYREQUESTS
        message: slow down
    tokens: {access: 2m, refresh: 3h}
    """
    match = Match(("blob-*", "token"), ("GET",), "lab/*", "sha256:*")
    first = Fault(
        match=match,
        times=Times(1, 2, 3, "reference"),
        delay=1.5,
        rate=100,
        headers={"Docker-Content-Digest": "wrong", "Retry-After": "3", "OCI-Subject": None},
        drop=Amount(percent=50),
        reset=True,
    )
    second = Fault(status=429, code="TOOMANYREQUESTS", message="slow down")
    assert parse(text, "x") == Scenario("All of it.", (first, second), 120, 10800)


@given(st.integers(0, 5), st.integers(1, 5), st.none() | st.integers(1, 5))
def test_times_strike_as_often_as_they_say(skip, every, first):
    times = Times(skip, every, first)
    struck = [number for number in range(1, 101) if times.strikes(number)]
    expected = [number for number in range(1, 101) if number > skip and (number - skip) % every == 0]
    assert struck == expected[:first]


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=30))
def test_what_is_counted_by_itself(repositories):
    faults = ActiveFaults()
    faults.put("x", Scenario(faults=(Fault(times=Times(first=1, each="repository"), status=500),)))
    struck = [faults.strike(Asked("ping", repository=name)) is not None for name in repositories]
    assert struck == [name not in repositories[:number] for number, name in enumerate(repositories)]
    assert faults.counts("x") == [(len(repositories), len(set(repositories)))]


def test_the_first_fault_that_strikes_counts_and_the_rest_are_not_asked():
    faults = ActiveFaults()
    faults.put("x", Scenario(faults=(Fault(times=Times(first=2), status=500), Fault(status=503))))
    strikes = [faults.strike(Asked("ping")) for _ in range(3)]
    assert [strike.fault.status for strike in strikes] == [500, 500, 503]
    assert faults.counts("x") == [(3, 2), (1, 1)]
    assert str(strikes[2]) == "x[1]"


@given(st.sampled_from(OPERATIONS), st.sampled_from(["GET", "HEAD", "PUT"]))
def test_globs(operation, method):
    asked = Asked(operation, method, "lab/deep/er", "v1")
    assert Match()(asked)
    assert Match(("blob-*", "token"))(asked) == (operation.startswith("blob-") or operation == "token")
    assert Match(methods=("PUT",))(asked) == (method == "PUT")
    assert Match(repository="lab/*")(asked)
    assert not Match(repository="lab")(asked)
    assert not Match(reference="sha256:*")(asked)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_no_text_breaks_the_reader(data):
    with contextlib.suppress(ScenarioError):
        parse(yaml.safe_dump(data), "x.yaml")


def test_the_documentation_lists_every_scenario_and_operation():
    text = (Path(__file__).parents[2] / "docs" / "registry.md").read_text()
    for name in scenario_names():
        assert f"| `{name}` | {load(name)[1].says} |" in text
    for operation in OPERATIONS:
        assert f"`{operation}`" in text
