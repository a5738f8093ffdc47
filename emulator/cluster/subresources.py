"""Subresources that are objects of their own: a workload's scale, a pod's binding, a namespace's finalize.

Source: kubernetes/pkg/registry/apps/deployment/storage, pkg/registry/core/pod/storage (BindingREST),
pkg/registry/core/namespace/storage (FinalizeREST).
"""

from __future__ import annotations

from emulator.clock import Clock
from emulator.cluster import errors
from emulator.cluster.objects import Object, clone
from emulator.cluster.resources import ResourceType
from emulator.cluster.strategies import prepare_for_finalize

__all__ = ["replace", "view"]

_BINDING = ResourceType("pods/binding", "Binding")


def view(kind: ResourceType, obj: Object, subresource: str | None) -> Object:
    """A copy of the object as the subresource shows it."""
    if subresource != "scale":
        return clone(obj)
    if "scale" not in kind.subresources:
        raise errors.unknown_path()
    meta, spec, status = obj["metadata"], obj["spec"], obj.get("status") or {}
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    scale: Object = {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {key: meta[key] for key in kept if key in meta},
        "spec": {"replicas": spec.get("replicas", 1)},
        "status": {"replicas": status.get("replicas", 0)},
    }
    selector = _selector_text(spec.get("selector") or {})
    if selector:
        scale["status"]["selector"] = selector
    return scale


def _selector_text(selector: Object) -> str:
    terms = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for term in selector.get("matchExpressions") or ():
        values = ",".join(sorted(term.get("values") or ()))
        terms.append(
            {
                "In": f"{term['key']} in ({values})",
                "NotIn": f"{term['key']} notin ({values})",
                "Exists": term["key"],
                "DoesNotExist": f"!{term['key']}",
            }[term["operator"]]
        )
    return ",".join(sorted(terms))


def replace(kind: ResourceType, existing: Object, sent: Object, subresource: str | None) -> Object:
    """The object as it is once the subresource has the value sent."""
    if subresource not in kind.subresources:
        raise errors.unknown_path()
    obj = clone(existing)
    if subresource == "scale":
        replicas = (sent.get("spec") or {}).get("replicas", 0)
        if isinstance(replicas, bool) or not isinstance(replicas, int) or replicas < 0:
            cause = errors.invalid_value("spec.replicas", replicas, "must be greater than or equal to 0")
            raise errors.invalid(kind, existing["metadata"]["name"], [cause])
        obj["spec"]["replicas"] = replicas
    elif subresource == "binding":
        _bind(kind, obj, sent)
    elif subresource == "finalize":
        prepare_for_finalize(sent, existing)
        return sent
    else:
        raise errors.method_not_allowed(kind, f"update of {subresource}")
    return obj


def _bind(kind: ResourceType, pod: Object, binding: Object) -> None:
    name, target = pod["metadata"]["name"], binding.get("target") or {}
    causes = []
    if target.get("kind") not in (None, "", "Node"):
        causes.append(errors.not_supported("target.kind", target["kind"], ("Node", "<empty>")))
    if not target.get("name"):
        causes.append(errors.required("target.name"))
    if causes:
        raise errors.invalid(kind, name, causes)
    if pod["metadata"].get("deletionTimestamp") is not None:
        raise errors.conflict(_BINDING, name, f"pod {name} is being deleted, cannot be assigned to a host")
    if pod["spec"].get("nodeName"):
        raise errors.conflict(
            _BINDING, name, f"pod {name} is already assigned to node {errors.quote(pod['spec']['nodeName'])}"
        )
    pod["spec"]["nodeName"] = target["name"]
    for key in ("annotations", "labels"):
        pod["metadata"].setdefault(key, {}).update((binding.get("metadata") or {}).get(key) or {})
        if not pod["metadata"][key]:
            del pod["metadata"][key]
    conditions = pod.setdefault("status", {}).setdefault("conditions", [])
    conditions[:] = [condition for condition in conditions if condition["type"] != "PodScheduled"]
    conditions.append(
        {
            "type": "PodScheduled",
            "status": "True",
            "observedGeneration": pod["metadata"].get("generation", 1),
            "lastTransitionTime": Clock.timestamp(),
        }
    )
