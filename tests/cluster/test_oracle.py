"""The emulator's API server answers as Kubernetes' own code does, word for word (oracle/main.go)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from emulator.cluster import ApiError
from emulator.cluster.errors import invalid
from emulator.cluster.patches import apply_strategic_patch
from emulator.cluster.patches.json_patch import PatchError
from emulator.cluster.resources import RESOURCES
from emulator.cluster.schema import struct
from emulator.cluster.selectors import parse_labels
from emulator.cluster.validation import decode, set_defaults, validate
from emulator.cluster.validation.spec_diff import spec_diff

ANSWERS = [json.loads(line) for line in (Path(__file__).parent / "oracle" / "answers.jsonl").read_text().splitlines()]


def _asked(kind: str) -> list[Any]:
    return [pytest.param(answer, id=str(at)) for at, answer in enumerate(ANSWERS) if answer["ask"] == kind]


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _defaulted(resource: str, obj: dict[str, Any]) -> dict[str, Any]:
    decode(RESOURCES[resource], obj)
    set_defaults(RESOURCES[resource], obj)
    return obj


RESOURCE = {"pod": "pods", "deployment": "deployments", "budget": "poddisruptionbudgets"}


@pytest.mark.parametrize("answer", _asked("pod") + _asked("deployment") + _asked("budget"))
def test_validation_and_defaults(answer):
    resource = RESOURCE[answer["ask"]]
    obj = _defaulted(resource, json.loads(json.dumps(answer["object"])))
    causes = validate(RESOURCES[resource], obj)
    said = str(invalid(RESOURCES[resource], obj["metadata"].get("name", ""), causes)) if causes else ""
    assert said == answer.get("error", "")
    if not causes:
        assert obj["spec"] == _without_nulls(answer["result"])


@pytest.mark.parametrize("answer", _asked("diff"))
def test_differences_of_pods(answer):
    before, after = (_defaulted("pods", answer[name])["spec"] for name in ("object", "patch"))
    assert spec_diff(before, after) == answer.get("result", "")


@pytest.mark.parametrize("answer", _asked("patch"))
def test_strategic_merge_patches(answer):
    try:
        patched = apply_strategic_patch(answer["object"], answer["patch"], struct("Pod"))
    except PatchError:
        assert "error" in answer
    else:
        assert patched == _without_directives(answer["result"])


def _without_directives(value: Any) -> Any:
    """Kubernetes leaves the directives in an item that is new, and its server drops them as unknown fields."""
    if isinstance(value, dict):
        return {key: _without_directives(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_directives(item) for item in value if not (isinstance(item, dict) and "$patch" in item)]
    return value


@pytest.mark.parametrize("answer", _asked("match"))
def test_label_selectors(answer):
    try:
        matched = [
            all(term.matches(labels) for term in parse_labels(answer.get("selector", "")))
            for labels in answer["object"]
        ]
    except ApiError:
        assert "error" in answer
    else:
        assert matched == answer.get("result")
