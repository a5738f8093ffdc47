"""The emulator answers as a Docker Distribution 3.1.2 did, but for differences that are wanted and written down."""

import json
from pathlib import Path

import pytest
import registry_exchanges
from registry_client import Served

RECORDED = json.loads((Path(__file__).parent / "docker-distribution-3.1.2.json").read_text())

# Question → (what may differ, why it does).
ALL = ("status", "headers", "body")
DIFFERENCES = {
    "unknown path": (("headers", "body"), "an error body instead of plain text"),
    "wrong method on blob": (("headers", "body"), "an error body instead of plain text"),
    "wrong method on tags": (("headers", "body"), "an error body instead of plain text"),
    "upper-case repository": (ALL, "the specification has NAME_INVALID for it"),
    "manifest by invalid tag": (ALL, "an error body instead of plain text"),
    "upload: session after wrong digest": (ALL, "Distribution ends the session too, but forgets to delete it"),
    "upload: chunk without state": (("body",), "our detail says what to do"),
    "upload: session of another repository": (("body",), "the repository has no such session"),
    "blob range 10-": (("headers", "body"), "an error body instead of plain text"),
    "blob range 20-30": (("headers", "body"), "an error body instead of plain text"),
    "blob range 5-2": (("headers", "body"), "an error body instead of plain text"),
    "blob range x-y": (("headers", "body"), "an error body instead of plain text"),
    "blob range -0": (ALL, "RFC 9110: a suffix of no bytes cannot be satisfied"),
    "manifest that is no JSON": (("body",), "another JSON parser's words"),
    "manifest of another schema": (("status", "body"), "not the registry's fault: 400, not 500"),
    "manifest with malformed layer digest": (("status", "body"), "not the registry's fault: 400, not 500"),
    "manifest with foreign layer": (ALL, "the specification's conformance wants it taken; Distribution can be told to"),
    "manifest too large": (("status", "body"), "the specification has 413 for it"),
    "index with absent entry": (ALL, "malformed images must be pushable; Distribution can be told to take it"),
    "manifest with subject": (("headers",), "referrers: Distribution 3.1 has none"),
    "referrers": (ALL, "referrers: Distribution 3.1 has none"),
    "tags n=-1": (("body",), "our detail repeats what was asked"),
    "tags n=x": (("body",), "our detail repeats what was asked"),
    "catalog n=2": (("headers",), "Distribution links to a page that is empty when the last one is full"),
    "catalog n=2&last=lab/blobs": (
        ("headers",),
        "Distribution links to a page that is empty when the last one is full",
    ),
    "delete tag again": (("body",), "no path of the storage in the detail"),
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    served = Served(tmp_path_factory.mktemp("registry"))
    yield registry_exchanges.play(served.url, served.private_url)
    served.close()


def test_every_question_was_asked(answers):
    assert set(answers) == set(RECORDED)
    assert set(DIFFERENCES) <= set(RECORDED)


@pytest.mark.parametrize("question", RECORDED)
def test_answer_is_distributions(answers, question):
    differing = {part for part in ALL if answers[question][part] != RECORDED[question][part]}
    may_differ = set(DIFFERENCES.get(question, ((), ""))[0])
    for part in differing - may_differ:
        assert answers[question][part] == RECORDED[question][part]
    assert differing == may_differ, "a difference that is written down has gone: take it out of DIFFERENCES"
