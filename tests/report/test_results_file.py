"""results.json: what is written is read again; what is not ours is refused in one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.claims import Claim, Verdict
from conformance.report import Judgement, Provenance, Results, UnreadableError, read, write
from conformance.targets import Fingerprint, NodeFingerprint

TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
RESULTS = st.builds(
    Results,
    st.builds(Provenance, TEXT, st.floats(0, 9999), TEXT, st.dictionaries(TEXT, TEXT, max_size=3)),
    st.builds(Fingerprint, TEXT, TEXT, TEXT, st.lists(st.builds(NodeFingerprint, *[TEXT] * 9), max_size=3).map(tuple)),
    st.lists(
        st.builds(
            Judgement,
            st.builds(
                Claim, st.from_regex(r"[a-z]{1,3}/[a-z0-9]{1,3}", fullmatch=True), TEXT.filter(bool), TEXT.filter(bool)
            ),
            st.sampled_from(Verdict),
            st.integers(0, 9000).map(lambda n: n / 1000),
            TEXT,
            TEXT,
        ),
        max_size=5,
        unique_by=lambda one: (one.claim.id, one.pool),
    ).map(tuple),
)


@given(RESULTS)
def test_what_is_written_is_read_again(tmp_path_factory: pytest.TempPathFactory, results: Results) -> None:
    path = tmp_path_factory.getbasetemp() / "again" / "results.json"
    write(path, results)
    assert read(path) == results


@pytest.fixture
def data(made) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(json.dumps(made({"east": {"mount/a": "pass", "mount/b": "fail"}}).to_json()))
    return value


def refusal(path: Path) -> str:
    with pytest.raises(UnreadableError) as refused:
        read(path)
    message = str(refused.value)
    assert str(path) in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"verdict,claim"])
def test_what_is_not_json_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "results.json"
    path.write_bytes(content)
    assert "is not JSON" in refusal(path)


@pytest.mark.parametrize("value", [[], None, 3, "x", {}, {"schema": 1}])
def test_other_json_is_refused(tmp_path: Path, value: object) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps(value))
    assert "does not hold results" in refusal(path)


@pytest.mark.parametrize(
    ("schema", "told"), [(2, "of schema 2"), ("1", 'of schema "1"'), (None, "of schema null"), (True, "of schema true")]
)
def test_another_schema_is_refused(tmp_path: Path, data: dict[str, Any], schema: object, told: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps({**data, "schema": schema}))
    message = refusal(path)
    assert told in message
    assert "reads schema 1" in message


def test_results_from_before_there_were_schemas_are_refused(tmp_path: Path, data: dict[str, Any]) -> None:
    path = tmp_path / "results.json"
    del data["schema"]
    path.write_text(json.dumps(data))
    assert "without a schema version" in refusal(path)


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "absent.json")
    assert "is a directory" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        (("claims",), {}, "claims is not a list"),
        (("claims", 0), 7, "claims[0] is not an object"),
        (("claims", 1, "verdict"), "maybe", "claims[1].verdict is 'maybe', which is none of pass, fail"),
        (("claims", 1, "verdict"), ["fail"], "claims[1].verdict is not text"),
        (("claims", 0, "id"), "Mount", "claims[0]: 'Mount' does not read as topic/what-holds"),
        (("claims", 0, "says"), "", "claims[0]: claim mount/a needs a sentence"),
        (("claims", 1, "id"), "mount/a", "claims[1] judges mount/a on the same pool a second time"),
        (("claims", 0, "seconds"), -1, "claims[0].seconds is not a length of time"),
        (("claims", 0, "seconds"), 10**400, "claims[0].seconds is not a length of time"),
        (("claims", 0, "seconds"), float("nan"), "claims[0].seconds is not a length of time"),
        (("claims", 0, "seconds"), True, "claims[0].seconds is not a length of time"),
        (("run",), None, "run is not an object"),
        (("run", "options", "claim"), 1, "run.options.claim is not text"),
        (("target",), None, "target is not an object"),
        (("target", "nodes", 0), None, "target.nodes[0] is not an object"),
        (("target", "nodes", 0, "kubelet"), 1, "target.nodes[0].kubelet is not text"),
        (("target", "nodes", 0, "pool"), 1, "target.nodes[0].pool is not text"),
    ],
)
def test_malformed_results_are_refused_naming_the_place(
    tmp_path: Path, data: dict[str, Any], place: tuple[Any, ...], value: object, told: str
) -> None:
    inner: Any = data
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    path = tmp_path / "results.json"
    path.write_text(json.dumps(data))
    assert told in refusal(path)


@pytest.mark.parametrize(
    "place", [("run",), ("run", "started"), ("target",), ("claims", 0, "pool"), ("claims", 0, "seconds")]
)
def test_a_missing_field_is_named(tmp_path: Path, data: dict[str, Any], place: tuple[Any, ...]) -> None:
    inner: Any = data
    for step in place[:-1]:
        inner = inner[step]
    del inner[place[-1]]
    path = tmp_path / "results.json"
    path.write_text(json.dumps(data))
    assert f"{place[-1]} is missing" in refusal(path)


def test_fields_that_are_not_known_are_passed_over(tmp_path: Path, data: dict[str, Any]) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps(data))
    known = read(path)
    data["claims"][0]["later"] = data["later"] = data["target"]["nodes"][0]["later"] = {"a": 1}
    path.write_text(json.dumps(data))
    assert read(path) == known
