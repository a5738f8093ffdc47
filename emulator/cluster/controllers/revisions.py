"""Which ReplicaSet holds which revision of a Deployment's template.

Source: kubernetes/pkg/controller/deployment/util/deployment_util.go.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

from emulator.cluster.objects import Object, clone

from .owners import owner_reference
from .rollout import DESIRED, MAX, fenceposts, oldest_first

__all__ = [
    "HASH_LABEL",
    "REVISION",
    "annotations_for",
    "expired",
    "find_new",
    "new_replicaset",
    "next_revision",
    "same_template",
    "template_hash",
]

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
HISTORY_CHARACTERS = 2000
_NOT_COPIED = (
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    HISTORY,
    DESIRED,
    MAX,
    "deprecated.deployment.rollback.to",
)
# Without vowels and look-alikes, as k8s.io/apimachinery/pkg/util/rand has it.
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_UNLIMITED = 2**31 - 1


def template_hash(template: Object, collisions: int = 0) -> str:
    """What tells this template from others in names and labels: the same template gives the same hash.

    As long and of the same letters as Kubernetes', but not the same value: there it is the FNV of a Go value's dump.
    """
    text = json.dumps([_meaning(template), collisions], sort_keys=True, separators=(",", ":"))
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
    return "".join(_ALPHABET[ord(digit) % len(_ALPHABET)] for digit in str(number))


def same_template(one: Object, other: Object) -> bool:
    """Whether two pod templates are equal, leaving out the hash label."""
    return bool(_without_hash(one) == _without_hash(other))


def find_new(deployment: Object, sets: Iterable[Object]) -> Object | None:
    """The ReplicaSet that has the Deployment's template; of several the oldest."""
    template = deployment["spec"]["template"]
    matching = [each for each in sets if same_template(each["spec"]["template"], template)]
    return min(matching, key=oldest_first, default=None)


def next_revision(olds: Iterable[Object]) -> int:
    """One more than any old ReplicaSet has."""
    return max(map(_revision, olds), default=0) + 1


def annotations_for(deployment: Object, existing: Object | None, revision: int) -> dict[str, str]:
    """The annotations of the new ReplicaSet: the Deployment's own, and its revision, which only ever grows.

    A ReplicaSet that gets a new revision (a roll-back) remembers those it had.
    """
    annotations = dict((existing or {"metadata": {}})["metadata"].get("annotations") or {})
    own = deployment["metadata"].get("annotations") or {}
    annotations |= {key: value for key, value in own.items() if key not in _NOT_COPIED}
    before = annotations.get(REVISION, "")
    if not before.isdecimal() or int(before) < revision:
        annotations[REVISION] = str(revision)
        if before:
            annotations[HISTORY] = _remembered(annotations.get(HISTORY, ""), before)
    if existing is None:
        wanted = deployment["spec"].get("replicas", 1)
        annotations[DESIRED] = str(wanted)
        annotations[MAX] = str(wanted + fenceposts(deployment).surge)
    return annotations


def new_replicaset(deployment: Object, size: int, revision: int) -> Object:
    """The ReplicaSet for the Deployment's template, to be created with `size` pods."""
    template = clone(deployment["spec"]["template"])
    suffix = template_hash(template, (deployment.get("status") or {}).get("collisionCount", 0))
    labels = {**(template.setdefault("metadata", {}).get("labels") or {}), HASH_LABEL: suffix}
    template["metadata"]["labels"] = labels
    selector = clone(deployment["spec"]["selector"])
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), HASH_LABEL: suffix}
    spec: Object = {"replicas": size, "selector": selector, "template": template}
    if deployment["spec"].get("minReadySeconds"):
        spec["minReadySeconds"] = deployment["spec"]["minReadySeconds"]
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{deployment['metadata']['name']}-{suffix}",
            "namespace": deployment["metadata"]["namespace"],
            "labels": dict(labels),
            "annotations": annotations_for(deployment, None, revision),
            "ownerReferences": [owner_reference(deployment)],
        },
        "spec": spec,
    }


def expired(deployment: Object, olds: Sequence[Object]) -> list[str]:
    """The names of old ReplicaSets beyond revisionHistoryLimit, lowest revisions first; those with pods stay."""
    limit = deployment["spec"].get("revisionHistoryLimit", 10)
    alive = [old for old in olds if "deletionTimestamp" not in old["metadata"]]
    if limit == _UNLIMITED or len(alive) <= limit:
        return []
    surplus = sorted(alive, key=lambda old: (_revision(old), *oldest_first(old)))[: len(alive) - limit]
    return [old["metadata"]["name"] for old in surplus if _is_idle(old)]


def _is_idle(replicaset: Object) -> bool:
    status = replicaset.get("status") or {}
    seen = status.get("observedGeneration", 0) >= replicaset["metadata"].get("generation", 0)
    return seen and not status.get("replicas") and not replicaset["spec"].get("replicas", 1)


def _revision(replicaset: Object) -> int:
    text = (replicaset["metadata"].get("annotations") or {}).get(REVISION, "")
    return int(text) if text.isdecimal() else 0


def _remembered(history: str, revision: str) -> str:
    kept = [*history.split(","), revision] if history else [revision]
    while len(",".join(kept)) > HISTORY_CHARACTERS:
        kept.pop(0)
    return ",".join(kept)


def _without_hash(template: Object) -> Any:
    metadata = template.get("metadata") or {}
    labels = {key: value for key, value in (metadata.get("labels") or {}).items() if key != HASH_LABEL}
    return _meaning({**template, "metadata": {**metadata, "labels": labels}})


def _meaning(value: Any) -> Any:
    """A value without what is empty: Kubernetes takes an absent and an empty field for the same."""
    if isinstance(value, dict):
        kept = {key: _meaning(each) for key, each in value.items()}
        return {key: each for key, each in kept.items() if each is not None and each != {} and each != []}
    if isinstance(value, list):
        return [_meaning(each) for each in value]
    return value
