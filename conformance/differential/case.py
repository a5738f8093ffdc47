"""A tree as an image case, ready to be put into fixtures/images."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import yaml

from conformance.differential.survey import Seen
from conformance.differential.trees import Tree
from conformance.targets import Target

__all__ = ["case_yaml"]


def case_yaml(tree: Tree, seen: Seen, target: Target) -> str:
    """The case's YAML, with what was seen as its expectation; its name and sentence are for a person to write."""
    node = target.fingerprint.nodes[0]
    digest = hashlib.sha256(json.dumps(tree).encode()).hexdigest()[:8]
    expect: dict[str, Any] = {"outcome": seen.outcome}
    if seen.message:
        expect["message"] = seen.message.rpartition(": ")[2]
    if seen.files:
        expect["files"] = {name: _beginning(line) for name, line in seen.files.items() if not line.startswith("ERR")}
    case = {
        "claim": f"image/tree-{digest}",
        "says": "TODO: what holds.",
        "source": f"observation: Kubernetes {node.kubelet.removeprefix('v')}, {node.runtime.replace('://', ' ')}",
        "image": {"layers": [{"nonce": False, "content": list(layer)} for layer in tree]},
        "expect": expect,
    }
    return yaml.safe_dump(case, sort_keys=False, allow_unicode=False, width=120, default_flow_style=None)


def _beginning(line: str) -> str:
    """The line of a survey as far as the usual listing has the same: mode, owner, and a link's target or the hash."""
    words = line.split(" ")
    mode, owner = words[:2]
    if mode.startswith("L"):
        return " ".join([mode, owner, *words[3:]])
    return f"{mode} {owner} {words[4]}" if mode[0] in "-ugt" and len(words) > 4 else f"{mode} {owner}"
