"""Image references against answers of distribution/reference v0.6.0 itself (references.json)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.node.containerd import Reference, ReferenceError_, parse

GOLDEN = json.loads((Path(__file__).parent / "references.json").read_text())
DIGEST = "sha256:" + "a" * 64


def read(text: str) -> dict[str, str]:
    try:
        parsed = parse(text)
    except ReferenceError_ as error:
        return {"reference": text, "error": str(error)}
    return {"reference": text, "normalized": str(parsed), "pulled": str(parsed.as_pulled())}


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden["reference"][:40])
def test_a_reference_is_read_as_the_node_reads_it(golden: dict[str, str]) -> None:
    assert read(golden["reference"]) == golden


components = st.from_regex(r"[a-z0-9]{1,5}((\.|_|__|-+)[a-z0-9]{1,5}){0,2}", fullmatch=True)
paths = st.lists(components, min_size=1, max_size=4).map("/".join)


@given(
    domain=st.sampled_from(["docker.io", "localhost", "127.0.0.1:5000", "[::1]:5000", "a.example"]),
    path=paths,
    tag=st.from_regex(r"(|[A-Za-z0-9_][A-Za-z0-9_.-]{0,20})", fullmatch=True),
    digest=st.sampled_from(["", DIGEST]),
)
def test_a_normalised_reference_stays_as_it_is(domain: str, path: str, tag: str, digest: str) -> None:
    if domain == "docker.io" and "/" not in path:
        path = f"library/{path}"
    reference = Reference(domain, path, tag, digest)
    assert parse(str(reference)) == reference
    pulled = reference.as_pulled()
    assert parse(str(pulled)).as_pulled() == pulled
    assert bool(pulled.tag) != bool(pulled.digest)


@given(st.text(max_size=60))
def test_anything_else_is_refused_in_words(text: str) -> None:
    told = read(text)
    assert told.get("error") or told["pulled"]
