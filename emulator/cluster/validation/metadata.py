"""What every object's metadata must be.

Source: k8s.io/apimachinery pkg/api/validation/objectmeta.go, kubernetes/pkg/apis/core/validation (finalizer names).
"""

from __future__ import annotations

from collections.abc import Callable

from emulator.cluster.errors import FieldError, forbidden_field, invalid_value, required, too_long
from emulator.cluster.objects import Object
from emulator.cluster.resources import ResourceType
from emulator.cluster.validation.checks import dns_label, dns_subdomain, qualified_name
from emulator.cluster.validation.walk import wrong_labels

__all__ = ["validate_metadata", "validate_metadata_update", "validate_parts"]

_NAMES: dict[str, Callable[[str], list[str]]] = {"namespaces": dns_label, "services": dns_label}
_ANNOTATIONS_LIMIT = 256 * 1024
_STANDARD_FINALIZERS = ("kubernetes", "orphan", "foregroundDeletion")


def validate_metadata(kind: ResourceType, meta: Object) -> list[FieldError]:
    """What is wrong with a new object's metadata; its name is generated already."""
    check = _NAMES.get(kind.plural, dns_subdomain)
    wrong = []
    base = meta.get("generateName")
    if base:
        # What follows the base makes a dash at its end harmless.
        masked = base[:-1] + "a" if base.endswith("-") and len(base) > 1 else base
        wrong += [invalid_value("metadata.generateName", base, problem) for problem in check(masked)]
    name = meta.get("name")
    if not name:
        wrong.append(required("metadata.name", "name or generateName is required"))
    else:
        wrong += [invalid_value("metadata.name", name, problem) for problem in check(name)]
    namespace = meta.get("namespace")
    if kind.namespaced and not namespace:
        wrong.append(required("metadata.namespace"))
    elif kind.namespaced:
        wrong += [invalid_value("metadata.namespace", namespace, problem) for problem in dns_label(str(namespace))]
    elif namespace:
        wrong.append(forbidden_field("metadata.namespace", "not allowed on this type"))
    return wrong + validate_parts(meta, "metadata")


def validate_parts(meta: Object, path: str) -> list[FieldError]:
    """What is wrong with labels, annotations, owner references and finalizers."""
    wrong = wrong_labels(meta.get("labels") or {}, f"{path}.labels")
    wrong += _annotations(meta.get("annotations") or {}, f"{path}.annotations")
    wrong += _owners(meta.get("ownerReferences") or [], f"{path}.ownerReferences")
    return wrong + _finalizers(meta.get("finalizers") or [], f"{path}.finalizers")


def validate_metadata_update(meta: Object, old: Object) -> list[FieldError]:
    """What is wrong with a change of metadata, system fields aside, which a change never reaches."""
    wrong = []
    before = old.get("finalizers") or []
    added = sorted(set(meta.get("finalizers") or ()) - set(before))
    if old.get("deletionTimestamp") is not None and added:
        shown = ", ".join(f'"{finalizer}"' for finalizer in added)
        detail = "no new finalizers can be added if the object is being deleted, found new finalizers "
        wrong.append(forbidden_field("metadata.finalizers", f"{detail}[]string{{{shown}}}"))
    return wrong + validate_parts(meta, "metadata")


def _annotations(annotations: Object, path: str) -> list[FieldError]:
    wrong = [invalid_value(path, key, problem) for key in annotations for problem in qualified_name(key.lower())]
    if sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items()) > _ANNOTATIONS_LIMIT:
        wrong.append(too_long(path, _ANNOTATIONS_LIMIT))
    return wrong


def _owners(owners: list[Object], path: str) -> list[FieldError]:
    wrong: list[FieldError] = []
    controllers: list[str] = []
    for owner in owners:
        if not owner.get("apiVersion"):
            wrong.append(invalid_value(f"{path}.apiVersion", "", "version must not be empty"))
        wrong += [
            invalid_value(f"{path}.{key}", "", "must not be empty")
            for key in ("kind", "name", "uid")
            if not owner.get(key)
        ]
        if (owner.get("apiVersion"), owner.get("kind")) == ("v1", "Event"):
            wrong.append(invalid_value(path, owner, "/v1, Kind=Event is disallowed from being an owner"))
        if owner.get("controller"):
            controllers.append(f"{owner.get('kind')}/{owner.get('name')}")
            if len(controllers) > 1:
                detail = (
                    'Only one reference can have Controller set to true. Found "true" in references for '
                    f"{controllers[0]} and {controllers[-1]}"
                )
                wrong.append(invalid_value(path, owners, detail))
    return wrong


def _finalizers(finalizers: list[str], path: str) -> list[FieldError]:
    wrong = [invalid_value(path, name, problem) for name in finalizers for problem in qualified_name(name)]
    if "orphan" in finalizers and "foregroundDeletion" in finalizers:
        detail = "finalizer orphan and foregroundDeletion cannot be both set"
        wrong.append(invalid_value(path, finalizers, detail))
    wrong += [
        invalid_value(f"{path}[{index}]", name, "name is neither a standard finalizer name nor is it fully qualified")
        for index, name in enumerate(finalizers)
        if "/" not in name and name not in _STANDARD_FINALIZERS
    ]
    return wrong
