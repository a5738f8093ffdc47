"""Makes kubernetes-v1.36.3.json: of Kubernetes' own OpenAPI document what our manifests need, as a JSON schema.

    python kubernetes_schema.py k8s.io/kubernetes@v1.36.3/api/openapi-spec/swagger.json > kubernetes-v1.36.3.json

The Go module k8s.io/kubernetes holds the document. Left out are descriptions; added is that no object has other fields.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

KINDS = {
    "Deployment": "io.k8s.api.apps.v1.Deployment",
    "PodDisruptionBudget": "io.k8s.api.policy.v1.PodDisruptionBudget",
    "Service": "io.k8s.api.core.v1.Service",
}
_PREFIX = "#/definitions/"


def _reduced(value: Any) -> Any:
    if isinstance(value, list):
        return [_reduced(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("format") == "int-or-string":
        return {"type": ["integer", "string"]}
    kept = {key: item for key, item in value.items() if key in ("$ref", "type", "items", "required", "enum", "default")}
    if isinstance(value.get("properties"), dict):
        kept["properties"] = {name: _reduced(item) for name, item in value["properties"].items()}
        kept["additionalProperties"] = False
    elif "additionalProperties" in value:
        kept["additionalProperties"] = _reduced(value["additionalProperties"])
    if "items" in kept:
        kept["items"] = _reduced(kept["items"])
    kept.pop("default", None)
    return kept


def _references(value: Any) -> set[str]:
    if isinstance(value, list):
        return {name for item in value for name in _references(item)}
    if not isinstance(value, dict):
        return set()
    here = {value["$ref"].removeprefix(_PREFIX)} if isinstance(value.get("$ref"), str) else set()
    return here | {name for item in value.values() for name in _references(item)}


def schema(document: dict[str, Any]) -> dict[str, Any]:
    """The schema that holds each of our kinds, and all that they refer to."""
    definitions: dict[str, Any] = {}
    todo = set(KINDS.values())
    while todo:
        name = todo.pop()
        definitions[name] = _reduced(document["definitions"][name])
        todo |= _references(definitions[name]) - set(definitions)
    # A quantity is written as a string or as a number (apimachinery pkg/api/resource).
    definitions["io.k8s.apimachinery.pkg.api.resource.Quantity"] = {"type": ["string", "number"]}
    return {"definitions": dict(sorted(definitions.items()))}


if __name__ == "__main__":
    print(json.dumps(schema(json.loads(Path(sys.argv[1]).read_text())), separators=(",", ":")))
