"""What a Deployment, a ReplicaSet or a PodDisruptionBudget must be beyond its schema.

Source: kubernetes/pkg/apis/apps/validation/validation.go (ValidateDeploymentSpec, ValidateReplicaSetSpec) and
pkg/apis/policy/validation/validation.go (ValidatePodDisruptionBudgetSpec).
"""

from __future__ import annotations

import re
from typing import Any

from emulator.cluster.errors import FieldError, forbidden_field, invalid_value, not_supported, required
from emulator.cluster.objects import Object
from emulator.cluster.schema import struct
from emulator.cluster.selectors import match_labels
from emulator.cluster.validation.checks import label_value, qualified_name
from emulator.cluster.validation.walk import At, Scope, instead, rule, walk, wrong_labels

__all__: list[str] = []


@rule("LabelSelectorRequirement")
def _requirement(term: Object, at: At) -> list[FieldError]:
    operator, values = term.get("operator"), term.get("values") or []
    wrong: list[FieldError] = []
    if operator in ("In", "NotIn"):
        if not values:
            wrong.append(required(f"{at.path}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            wrong.append(forbidden_field(f"{at.path}.values", detail))
    else:
        wrong.append(invalid_value(f"{at.path}.operator", operator, "not a valid selector operator"))
    wrong += [
        invalid_value(f"{at.path}.key", term.get("key", ""), problem) for problem in qualified_name(term.get("key", ""))
    ]
    return wrong + [
        invalid_value(f"{at.path}.values[{index}]", value, problem)
        for index, value in enumerate(values)
        for problem in label_value(value)
    ]


@rule("LabelSelector", after="matchLabels")
def _selector(selector: Object, at: At) -> list[FieldError]:
    return wrong_labels(selector.get("matchLabels") or {}, f"{at.path}.matchLabels")


@rule("DeploymentSpec", after="selector")
@rule("ReplicaSetSpec", after="selector")
@rule("DaemonSetSpec", after="selector")
def _template_labels(spec: Object, at: At) -> list[FieldError]:
    selector, template = spec.get("selector"), spec.get("template") or {}
    here, wrong = f"{at.path}.selector", []
    if selector is None:
        wrong.append(required(here))
    elif not selector.get("matchLabels") and not selector.get("matchExpressions"):
        kind = "daemonset" if "updateStrategy" in spec else "deployment"
        return [invalid_value(here, selector, f"empty selector is invalid for {kind}")]
    elif not _readable(selector):
        return [invalid_value(here, selector, "invalid label selector")]
    labels = (template.get("metadata") or {}).get("labels") or {}
    if not match_labels(selector, labels):
        detail = "`selector` does not match template `labels`"
        wrong.append(invalid_value(f"{at.path}.template.metadata.labels", labels or None, detail))
    return wrong


def _readable(selector: Object) -> bool:
    """Whether a selector can be turned into one that matches; if not, the template is not looked at."""
    return not walk(struct("LabelSelector"), selector, "", Scope())


@instead("DeploymentSpec", "template")
@instead("ReplicaSetSpec", "template")
@instead("DaemonSetSpec", "template")
def _template(spec: Object, _at: At, _field: str) -> list[FieldError] | None:
    selector = spec.get("selector")
    return None if selector is None or _readable(selector) else []


@rule("DeploymentSpec", after="template")
@rule("ReplicaSetSpec", after="template")
@rule("DaemonSetSpec", after="template")
def _restart_policy(spec: Object, at: At) -> list[FieldError]:
    selector = spec.get("selector")
    policy = ((spec.get("template") or {}).get("spec") or {}).get("restartPolicy", "")
    if policy == "Always" or (selector is not None and not _readable(selector)):
        return []
    return [not_supported(f"{at.path}.template.spec.restartPolicy", policy, ("Always",))]


@rule("DeploymentSpec")
def _deployment(spec: Object, at: At) -> list[FieldError]:
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is None or deadline > spec.get("minReadySeconds", 0):
        return []
    return [invalid_value(f"{at.path}.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")]


@instead("DeploymentStrategy", "rollingUpdate")
def _rolling_update_of(strategy: Object, at: At, _field: str) -> list[FieldError] | None:
    kind = strategy.get("type")
    if kind == "RollingUpdate":
        return None
    if kind != "Recreate":
        # The API server's internal form, and none of its parts.
        shown = {"Type": kind or "", "RollingUpdate": strategy.get("rollingUpdate")}
        return [not_supported(at.path, shown, ("Recreate", "RollingUpdate"))]
    if "rollingUpdate" not in strategy:
        return []
    return [forbidden_field(f"{at.path}.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'")]


@rule("RollingUpdateDaemonSet")
def _rolling_update_daemons(rolling: Object, at: At) -> list[FieldError]:
    wrong = _amount(rolling.get("maxUnavailable", 0), f"{at.path}.maxUnavailable")
    if not wrong and _number(rolling.get("maxUnavailable", 0)) == 0:
        wrong.append(required(f"{at.path}.maxUnavailable", "cannot be 0 when maxSurge is 0"))
    return wrong


@rule("RollingUpdateDeployment")
def _rolling_update(rolling: Object, at: At) -> list[FieldError]:
    wrong: list[FieldError] = []
    for name in ("maxUnavailable", "maxSurge"):
        wrong += _amount(rolling.get(name, 0), f"{at.path}.{name}")
    if _number(rolling.get("maxUnavailable", 0)) == 0 and _number(rolling.get("maxSurge", 0)) == 0:
        detail = "may not be 0 when `maxSurge` is 0"
        wrong.append(invalid_value(f"{at.path}.maxUnavailable", rolling.get("maxUnavailable", 0), detail))
    return wrong + _at_most_all(rolling.get("maxUnavailable"), f"{at.path}.maxUnavailable")


def _at_most_all(value: Any, path: str) -> list[FieldError]:
    if isinstance(value, str) and _number(value) > 100:
        return [invalid_value(path, value, "must not be greater than 100%")]
    return []


def _number(value: Any) -> int:
    if isinstance(value, str):
        found = re.fullmatch(r"([0-9]+)%", value)
        return int(found[1]) if found else 0
    return int(value)


def _amount(value: Any, path: str) -> list[FieldError]:
    if isinstance(value, str):
        if re.fullmatch("[0-9]+%", value):
            return []
        detail = (
            "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', "
            "regex used for validation is '[0-9]+%')"
        )
        return [invalid_value(path, value, detail)]
    return [] if value >= 0 else [invalid_value(path, value, "must be greater than or equal to 0")]


@rule("PodDisruptionBudgetSpec", after="maxUnavailable")
def _disruption_budget(spec: Object, at: At) -> list[FieldError]:
    wrong: list[FieldError] = []
    if "minAvailable" in spec and "maxUnavailable" in spec:
        # The API server's internal form.
        parts = ("minAvailable", "selector", "maxUnavailable", "unhealthyPodEvictionPolicy")
        shown = {name[0].upper() + name[1:]: spec.get(name) for name in parts}
        wrong.append(invalid_value(at.path, shown, "minAvailable and maxUnavailable cannot be both set"))
    for name in ("minAvailable", "maxUnavailable"):
        if name in spec:
            wrong += _amount(spec[name], f"{at.path}.{name}") + _at_most_all(spec[name], f"{at.path}.{name}")
    return wrong


@rule("DeploymentStatus")
def _deployment_status(status: Object, at: At) -> list[FieldError]:
    return _replicas(status, at.path, ("updatedReplicas", "readyReplicas", "availableReplicas"))


@rule("ReplicaSetStatus")
def _replica_set_status(status: Object, at: At) -> list[FieldError]:
    return _replicas(status, at.path, ("fullyLabeledReplicas", "readyReplicas", "availableReplicas"))


def _replicas(status: Object, path: str, parts: tuple[str, ...]) -> list[FieldError]:
    whole, ready, available = (status.get(name, 0) for name in ("replicas", "readyReplicas", "availableReplicas"))
    wrong = [
        invalid_value(f"{path}.{name}", status[name], "cannot be greater than status.replicas")
        for name in parts
        if status.get(name, 0) > whole
    ]
    if available > ready:
        wrong.append(invalid_value(f"{path}.availableReplicas", available, "cannot be greater than readyReplicas"))
    return wrong
