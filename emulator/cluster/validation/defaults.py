"""What an object means where it leaves something out.

Source: kubernetes/pkg/apis/{core,apps,discovery}/v1/defaults.go. What is a plain value stands in the schemas; this
module holds what depends on something else.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from emulator.cluster.objects import Object, clone
from emulator.cluster.resources import ResourceType
from emulator.cluster.schema import Struct, struct

__all__ = ["pull_policy", "set_defaults"]


def set_defaults(kind: ResourceType, obj: Object) -> None:
    """Fill in (in place) what the API server would; templates inside workloads too."""
    _fill(struct(kind.kind), obj)
    if kind.plural == "pods":
        _pod_alone(obj.get("spec") or {})


def _fill(shape: Struct, value: Object) -> None:
    before = _BEFORE.get(shape.name)
    if before is not None:
        before(value)
    for name, field in shape.fields.items():
        present = value.get(name)
        if present is None:
            if field.default is None:
                continue
            present = value[name] = clone(field.default)
        if field.struct is None or (not present and field.shape != "struct"):
            continue
        items: Any = {"struct": [present], "list": present, "map": ()}[field.shape]
        for item in items:
            _fill(field.struct, item)


# distribution/reference, as far as the default of a pull policy depends on it.
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_HOST = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DOMAIN = rf"(?:\[[0-9a-fA-F:]+\]|{_HOST}(?:\.{_HOST})*)(?::\d+)?"
_REFERENCE = re.compile(
    rf"(?:{_DOMAIN}/)?{_COMPONENT}(?:/{_COMPONENT})*(?::(?P<tag>\w[\w.-]{{0,127}}))?"
    r"(?P<digest>@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,})?",
    re.ASCII,
)


def pull_policy(reference: str) -> str:
    """The default policy: Always for the tag latest, given or implied, else IfNotPresent.

    A reference that cannot be parsed gets IfNotPresent, since the API server ignores the parser's error.
    """
    found = _REFERENCE.fullmatch(reference)
    if found is None:
        return "IfNotPresent"
    tag = found["tag"] or ("" if found["digest"] else "latest")
    return "Always" if tag == "latest" else "IfNotPresent"


def _container(container: Object) -> None:
    if not container.get("imagePullPolicy"):
        container["imagePullPolicy"] = pull_policy(container.get("image", ""))


def _pod_alone(spec: Object) -> None:
    """What is filled into a pod but not into a template."""
    spec.setdefault("enableServiceLinks", True)
    if spec.get("terminationGracePeriodSeconds", 0) < 0:
        spec["terminationGracePeriodSeconds"] = 1
    for container in [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]:
        resources = container.get("resources") or {}
        for name, limit in (resources.get("limits") or {}).items():
            resources.setdefault("requests", {}).setdefault(name, limit)


def _image_volume(source: Object) -> None:
    if not source.get("pullPolicy"):
        source["pullPolicy"] = pull_policy(source.get("reference", ""))


def _volume(volume: Object) -> None:
    if "image" not in volume and "emptyDir" not in volume:
        volume["emptyDir"] = {}


def _strategy(strategy: Object) -> None:
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        strategy.setdefault("rollingUpdate", {})


def _service_port(port: Object) -> None:
    if port.get("targetPort") in (None, 0, ""):
        port["targetPort"] = port.get("port", 0)


def _pod_spec(spec: Object) -> None:
    # The deprecated field and the present one say the same thing.
    name = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if name:
        spec["serviceAccountName"] = spec["serviceAccount"] = name


_BEFORE: dict[str, Callable[[Object], None]] = {
    "Container": _container,
    "DaemonSetUpdateStrategy": _strategy,
    "DeploymentStrategy": _strategy,
    "ImageVolumeSource": _image_volume,
    "PodSpec": _pod_spec,
    "ServicePort": _service_port,
    "Volume": _volume,
}
