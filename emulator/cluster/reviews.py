"""What a user may do: everything, since this API server authorizes as one with --authorization-mode=AlwaysAllow does.

Source: kubernetes/pkg/registry/authorization/selfsubjectaccessreview/rest.go, pkg/apis/authorization/validation.
"""

from __future__ import annotations

from emulator.cluster.errors import invalid, invalid_value
from emulator.cluster.objects import Object
from emulator.cluster.resources import ResourceType

__all__ = ["REVIEWS", "review"]

REVIEWS = frozenset({"selfsubjectaccessreviews"})
"""The resources that are questions: they are answered, and not stored."""

_ONE = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
_BOTH = "cannot be specified in combination with resourceAttributes"


def review(kind: ResourceType, obj: Object) -> Object:
    """The question with its answer. Raises ApiError (422) where it asks for nothing, or for two things."""
    spec = obj.get("spec") or {}
    resource, other = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    causes = []
    if resource is not None and other is not None:
        causes.append(invalid_value("spec.nonResourceAttributes", other, _BOTH))
    if resource is None and other is None:
        causes.append(invalid_value("spec.resourceAttributes", None, _ONE))
    if any(obj["metadata"].values()):
        causes.append(invalid_value("metadata", obj["metadata"], "must be empty"))
    if causes:
        raise invalid(kind, "", causes)
    return {**obj, "metadata": {}, "status": {"allowed": True}}
