"""What a pod must be beyond its schema, and what of it may change.

Source: kubernetes/pkg/apis/core/validation/validation.go (ValidatePodSpec, ValidatePodUpdate,
ValidatePodStatusUpdate).
"""

from __future__ import annotations

import posixpath
from typing import Any

from emulator.cluster.errors import (
    FieldError,
    duplicate,
    forbidden_field,
    invalid_value,
    not_found_value,
    not_supported,
    required,
)
from emulator.cluster.objects import Object, clone
from emulator.cluster.validation import quantity
from emulator.cluster.validation.checks import FORMATS, label_value, qualified_name
from emulator.cluster.validation.spec_diff import spec_diff
from emulator.cluster.validation.walk import At, instead, rule, wrong_labels

__all__ = ["validate_pod_status_update", "validate_pod_update"]

_ENV_FIELDS = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
_UPDATABLE = (
    "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
    "`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


@instead("Volume", "image")
def _second_source(volume: Object, at: At, _field: str) -> list[FieldError] | None:
    if "emptyDir" in volume and "image" in volume:
        return [forbidden_field(f"{at.path}.image", "may not specify more than 1 volume type")]
    return None


@rule("Volume")
def _volume(volume: Object, at: At) -> list[FieldError]:
    name = volume.get("name", "")
    if name in at.scope.volumes:
        return [duplicate(f"{at.path}.name", name)]
    if not at.found:
        at.scope.volumes.add(name)
    return []


@rule("VolumeMount")
def _volume_mount(mount: Object, at: At) -> list[FieldError]:
    mounts = at.path.rpartition("[")[0]  # the paths below are checked without the index, as the API server does
    name, target = mount.get("name", ""), mount.get("mountPath", "")
    wrong = []
    if not name:
        wrong.append(required(f"{at.path}.name"))
    if name not in at.scope.volumes:
        wrong.append(not_found_value(f"{at.path}.name", name))
    if not target:
        wrong.append(required(f"{at.path}.mountPath"))
    if at.scope.repeats(mounts, target):
        wrong.append(invalid_value(f"{at.path}.mountPath", target, "must be unique"))
    if mount.get("subPath"):
        wrong += _descending(mount["subPath"], f"{mounts}.subPath")
    if mount.get("subPathExpr"):
        if mount.get("subPath"):
            detail = "subPathExpr and subPath are mutually exclusive"
            wrong.append(invalid_value(f"{at.path}.subPathExpr", mount["subPathExpr"], detail))
        wrong += _descending(mount["subPathExpr"], f"{mounts}.subPathExpr")
    return wrong


def _descending(value: str, path: str) -> list[FieldError]:
    wrong = []
    if posixpath.isabs(value):
        wrong.append(invalid_value(path, value, "must be a relative path"))
    if ".." in value.split("/"):
        wrong.append(invalid_value(path, value, "must not contain '..'"))
    return wrong


@rule("ContainerPort", after="name")
def _port_name(port: Object, at: At) -> list[FieldError]:
    name = port.get("name")
    if not name or at.found or not at.scope.repeats(at.path.rpartition("[")[0], name):
        return []
    return [duplicate(f"{at.path}.name", name)]


@rule("EnvVar")
def _env_var(variable: Object, at: At) -> list[FieldError]:
    source = variable.get("valueFrom")
    if source is None:
        return []
    if not source:
        detail = (
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        )
        return [invalid_value(f"{at.path}.valueFrom", "", detail)]
    if variable.get("value"):
        return [invalid_value(f"{at.path}.valueFrom", "", "may not be specified when `value` is not empty")]
    if len(source) > 1:
        return [invalid_value(f"{at.path}.valueFrom", "", "may not have more than one field specified at a time")]
    return []


@rule("ObjectFieldSelector")
def _field_selector(selector: Object, at: At) -> list[FieldError]:
    if at.found:
        return []
    version, field = selector["apiVersion"], selector["fieldPath"]
    if version != "v1":
        detail = f"error converting fieldPath: unsupported pod version: {version}"
        return [invalid_value(f"{at.path}.fieldPath", field, detail)]
    name, bracket, subscript = field.partition("['")
    if bracket and subscript.endswith("']") and name in ("metadata.annotations", "metadata.labels"):
        key = subscript[:-2]
        key = key.lower() if name == "metadata.annotations" else key
        return [invalid_value(at.path, key, problem) for problem in qualified_name(key)]
    if field in _ENV_FIELDS or field == "spec.host":
        return []
    if field in ("metadata.annotations", "metadata.labels", "spec.restartPolicy", "spec.schedulerName", "status.phase"):
        return [not_supported(f"{at.path}.fieldPath", field, _ENV_FIELDS)]
    detail = f"error converting fieldPath: field label not supported: {field}"
    return [invalid_value(f"{at.path}.fieldPath", field, detail)]


@rule("EnvFromSource")
def _env_from(source: Object, at: At) -> list[FieldError]:
    given = [key for key in ("configMapRef", "secretRef") if key in source]
    sources = at.path.rpartition("[")[0]
    if not given:
        return [invalid_value(sources, "", "must specify one of: `configMapRef` or `secretRef`")]
    if len(given) > 1:
        return [invalid_value(sources, "", "may not have more than one field specified at a time")]
    return []


@rule("ResourceRequirements")
def _resources(resources: Object, at: At) -> list[FieldError]:
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    wrong = []
    for listed, amounts in (("limits", limits), ("requests", requests)):
        for name, amount in amounts.items():
            here = f"{at.path}.{listed}[{name}]"
            if name not in ("cpu", "memory"):
                if name == "ephemeral-storage" or name.startswith("hugepages-") or "/" in name:
                    wrong.append(forbidden_field(here, "the emulator does not model this resource"))
                else:
                    wrong.append(invalid_value(here, name, "must be a standard resource type or fully qualified"))
                    wrong.append(invalid_value(here, name, "must be a standard resource for containers"))
            elif quantity.parse(amount) < 0:
                wrong.append(invalid_value(here, amount, "must be greater than or equal to 0"))
    for name, amount in requests.items():
        if name in limits and quantity.parse(amount) > quantity.parse(limits[name]):
            detail = f"must be less than or equal to {name} limit of {limits[name]}"
            wrong.append(invalid_value(f"{at.path}.requests", amount, detail))
    return wrong


@rule("SecurityContext")
def _security_context(context: Object, at: At) -> list[FieldError]:
    added = (context.get("capabilities") or {}).get("add") or ()
    if context.get("allowPrivilegeEscalation") is False and "CAP_SYS_ADMIN" in added:
        detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
        return [invalid_value(at.path, context, detail)]
    return []


@rule("SeccompProfile")
def _seccomp(profile: Object, at: At) -> list[FieldError]:
    kind, local = profile.get("type"), profile.get("localhostProfile")
    here = f"{at.path}.localhostProfile"
    if kind == "Localhost":
        return [forbidden_field(f"{at.path}.type", 'the emulator does not model the value "Localhost" of this field')]
    if local is not None:
        shown = {"Type": kind, "LocalhostProfile": local}  # the API server's internal form
        return [invalid_value(here, shown, "can only be set when seccomp type is Localhost")]
    return []


@rule("SleepAction")
def _sleep(action: Object, at: At) -> list[FieldError]:
    grace = at.scope.grace_period
    if grace is None or 0 <= action.get("seconds", 0) <= grace:
        return []
    detail = f"must be non-negative and less than terminationGracePeriodSeconds ({grace})"
    return [invalid_value(at.path, action["seconds"], detail)]


@rule("LifecycleHandler")
def _handler(handler: Object, at: At) -> list[FieldError]:
    return [] if handler else [required(at.path, "must specify a handler type")]


@rule("HTTPGetAction")
def _http_get(action: Object, at: At) -> list[FieldError]:
    return [
        invalid_value(f"{at.path}.httpHeaders", header["name"], problem)
        for header in action.get("httpHeaders") or ()
        for problem in FORMATS["httpHeaderName"](header["name"])
    ]


@instead("Probe", "tcpSocket")
def _second_handler(probe: Object, at: At, _field: str) -> list[FieldError] | None:
    if "httpGet" in probe and "tcpSocket" in probe:
        return [forbidden_field(f"{at.path}.tcpSocket", "may not specify more than 1 handler type")]
    return None


@rule("Probe", after="tcpSocket")
def _no_handler(probe: Object, at: At) -> list[FieldError]:
    if "httpGet" in probe or "tcpSocket" in probe:
        return []
    return [required(at.path, "must specify a handler type")]


@rule("Probe")
def _probe(probe: Object, at: At) -> list[FieldError]:
    if at.path.endswith(".readinessProbe") or probe["successThreshold"] == 1:
        return []
    return [invalid_value(f"{at.path}.successThreshold", probe["successThreshold"], "must be 1")]


@rule("Toleration", after="value")
def _toleration(toleration: Object, at: At) -> list[FieldError]:
    key, operator, value = (toleration.get(name, "") for name in ("key", "operator", "value"))
    wrong = [invalid_value(f"{at.path}.key", key, problem) for problem in (qualified_name(key) if key else ())]
    if not key and operator != "Exists":
        detail = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
        wrong.append(invalid_value(f"{at.path}.operator", operator, detail))
    if toleration.get("tolerationSeconds") is not None and toleration.get("effect") != "NoExecute":
        detail = "effect must be 'NoExecute' when `tolerationSeconds` is set"
        wrong.append(invalid_value(f"{at.path}.effect", toleration.get("effect", ""), detail))
    if operator in ("", "Equal"):
        problems = label_value(value)
        if problems:
            wrong.append(invalid_value(f"{at.path}.operator", value, ";".join(problems)))
    elif operator == "Exists":
        if value:
            wrong.append(invalid_value(f"{at.path}.operator", value, "value must be empty when `operator` is 'Exists'"))
    else:
        wrong.append(not_supported(f"{at.path}.operator", operator, ("Equal", "Exists")))
    return wrong


@rule("TopologySpreadConstraint", after="maxSkew")
def _max_skew(constraint: Object, at: At) -> list[FieldError]:
    skew = constraint.get("maxSkew", 0)
    return [] if skew > 0 else [invalid_value(f"{at.path}.maxSkew", skew, "must be greater than zero")]


@instead("PodSpec", "topologySpreadConstraints")
def _kinds_of_spread(spec: Object, at: At, field: str) -> None:
    """Remember what kind each constraint is, for those before it that repeat it."""
    kinds = [_kind_of_spread(constraint) for constraint in spec.get(field) or ()]
    at.scope.seen[f"{at.path}.{field}"] = set(enumerate(kinds))


@rule("TopologySpreadConstraint", after="whenUnsatisfiable")
def _repeated(constraint: Object, at: At) -> list[FieldError]:
    where, _, index = at.path.removesuffix("]").rpartition("[")
    kind = _kind_of_spread(constraint)
    if not any(other == kind and later > int(index) for later, other in at.scope.seen[where]):
        return []
    return [duplicate(f"{at.path}.{{topologyKey, whenUnsatisfiable}}", kind)]


def _kind_of_spread(constraint: Object) -> str:
    return f"{{{constraint.get('topologyKey', '')}, {constraint.get('whenUnsatisfiable', '')}}}"


def _initial(at: At) -> bool:
    return at.path.rpartition("[")[0].endswith(".initContainers")


@instead("Container", "lifecycle", "livenessProbe", "readinessProbe", "startupProbe")
def _not_for_init_containers(container: Object, at: At, field: str) -> list[FieldError] | None:
    if field in container and _initial(at):
        detail = "may not be set for init containers without restartPolicy=Always"
        return [forbidden_field(f"{at.path}.{field}", detail)]
    return None


@rule("Container", after="securityContext")
def _container_name(container: Object, at: At) -> list[FieldError]:
    name, names = container.get("name", ""), at.scope.seen.setdefault("containers", set())
    if name in names:
        return [duplicate(f"{at.path}.name", name)]
    if name or not _initial(at):
        names.add(name)
    return []


@rule("PodTemplateSpec", after="metadata")
def _template(template: Object, at: At) -> list[FieldError]:
    meta = template.get("metadata") or {}
    wrong = wrong_labels(meta.get("labels") or {}, f"{at.path}.labels")
    return wrong + [
        invalid_value(f"{at.path}.annotations", key, problem)
        for key in meta.get("annotations") or ()
        for problem in qualified_name(key.lower())
    ]


@rule("PodSpec")
def _pod_spec(spec: Object, at: At) -> list[FieldError]:
    if "template" in at.scope.flags:
        return []
    wrong = []
    for kind in ("containers", "initContainers"):
        for index, container in enumerate(spec.get(kind) or ()):
            image = container.get("image", "")
            if image != image.strip():
                detail = "must not have leading or trailing whitespace"
                wrong.append(invalid_value(f"{at.path}.{kind}[{index}].image", image, detail))
    return wrong


def validate_pod_update(pod: Object, old: Object) -> list[FieldError]:
    """What is wrong with a change of a pod's specification: only images, tolerations and little else may change."""
    spec, before = pod["spec"], old["spec"]
    wrong: list[FieldError] = []
    for kind in ("containers", "initContainers"):
        if len(spec.get(kind) or ()) != len(before.get(kind) or ()):
            return [*wrong, forbidden_field(f"spec.{kind}", "pod updates may not add or remove containers")]
    wrong += _tolerations_update(spec.get("tolerations") or [], before.get("tolerations") or [])
    munged = clone(spec)
    for kind in ("containers", "initContainers"):
        for container, was in zip(munged.get(kind) or (), before.get(kind) or (), strict=True):
            container["image"] = was.get("image", "")
    munged.pop("tolerations", None)
    if "tolerations" in before:
        munged["tolerations"] = before["tolerations"]
    grace = before.get("terminationGracePeriodSeconds")
    if grace is not None and grace < 0 and munged.get("terminationGracePeriodSeconds") == 1:
        munged["terminationGracePeriodSeconds"] = grace
    if munged != before:
        detail = f"pod updates may not change fields other than {_UPDATABLE}\n{spec_diff(before, munged)}"
        wrong.append(forbidden_field("spec", detail))
    return wrong


def _tolerations_update(after: list[Any], before: list[Any]) -> list[FieldError]:
    def key(toleration: Object) -> Object:
        return {name: value for name, value in toleration.items() if name != "tolerationSeconds"}

    if all(any(key(was) == key(now) for now in after) for was in before):
        return []
    detail = "existing toleration can not be modified except its tolerationSeconds"
    return [forbidden_field("spec.tolerations", detail)]


def validate_pod_status_update(pod: Object, old: Object) -> list[FieldError]:
    """What is wrong with a change of a pod's status."""
    status, before = pod.get("status") or {}, old.get("status") or {}
    wrong: list[FieldError] = []
    if status.get("qosClass") != before.get("qosClass"):
        wrong.append(invalid_value("status.qosClass", status.get("qosClass", ""), "field is immutable"))
    policy = old["spec"].get("restartPolicy")
    if policy == "Always":
        return wrong
    for listed in ("containerStatuses", "initContainerStatuses"):
        now = {item["name"]: item for item in status.get(listed) or ()}
        for index, was in enumerate(before.get(listed) or ()):
            ended = (was.get("state") or {}).get("terminated")
            if ended is None or (policy == "OnFailure" and ended.get("exitCode", 0) != 0):
                continue
            state = now.get(was["name"], {}).get("state")
            if was["name"] in now and "terminated" not in (state or {}):
                detail = "may not be transitioned to non-terminated state"
                wrong.append(forbidden_field(f"status.{listed}[{index}].state", detail))
    return wrong
