"""Who owns what: owner references, by which controllers find what is theirs.

Source: kubernetes/pkg/controller/controller_ref_manager.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from emulator.cluster.objects import Object
from emulator.cluster.selectors import match_labels

__all__ = [
    "Claims",
    "Key",
    "claim",
    "controller_of",
    "is_controlled_by",
    "labels_of",
    "owner_reference",
    "references_with",
    "references_without",
]

Key = tuple[str, str]
"""Namespace (empty for cluster-wide kinds) and name: what tells an object from the others of its resource."""


def labels_of(obj: Object) -> dict[str, str]:
    """The labels of an object; empty if it has none."""
    return obj["metadata"].get("labels") or {}


def controller_of(obj: Object) -> Object | None:
    """The owner reference that manages this object, if any."""
    for owner in obj["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            return dict(owner)
    return None


def is_controlled_by(obj: Object, owner: Object) -> bool:
    """Whether `owner` manages `obj`."""
    reference = controller_of(obj)
    return reference is not None and reference["uid"] == owner["metadata"]["uid"]


def owner_reference(owner: Object) -> Object:
    """A reference by which `owner` manages what it makes: controller and blockOwnerDeletion are true."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


@dataclass(frozen=True)
class Claims:
    """What an owner has after looking at every candidate: its own, those to adopt, those to let go."""

    owned: tuple[Object, ...]
    adopt: tuple[Object, ...]
    release: tuple[Object, ...]


def claim(owner: Object, candidates: Iterable[Object]) -> Claims:
    """Sort candidates by owner reference and by the owner's selector.

    Its own that no longer match are let go; those of nobody that match are adopted; both only while neither the owner
    nor, for adoption, the candidate is being deleted. What another controller manages is never touched.
    """
    leaving = "deletionTimestamp" in owner["metadata"]
    selector = owner["spec"].get("selector")
    owned, adopt, release = [], [], []
    for each in candidates:
        matches = match_labels(selector, labels_of(each))
        reference = controller_of(each)
        if reference is None:
            if matches and not leaving and "deletionTimestamp" not in each["metadata"]:
                adopt.append(each)
        elif reference["uid"] == owner["metadata"]["uid"]:
            if matches:
                owned.append(each)
            elif not leaving:
                release.append(each)
    return Claims(tuple(owned), tuple(adopt), tuple(release))


def references_with(obj: Object, owner: Object) -> list[Object]:
    """The owner references of `obj` once `owner` adopts it."""
    return [*(obj["metadata"].get("ownerReferences") or ()), owner_reference(owner)]


def references_without(obj: Object, uid: str) -> list[Object]:
    """The owner references of `obj` once the owner of this uid lets it go."""
    return [each for each in obj["metadata"].get("ownerReferences") or () if each["uid"] != uid]
