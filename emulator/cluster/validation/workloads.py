"""What a Deployment or a ReplicaSet must be beyond its schema.

Source: kubernetes/pkg/apis/apps/validation/validation.go (ValidateDeploymentSpec, ValidateReplicaSetSpec).
"""

from __future__ import annotations

import re
from typing import Any

from emulator.cluster.errors import FieldError, forbidden_field, invalid_value, not_supported, required
from emulator.cluster.objects import Object
from emulator.cluster.selectors import match_labels
from emulator.cluster.validation.checks import label_value, qualified_name
from emulator.cluster.validation.walk import At, rule, wrong_labels

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


@rule("LabelSelector")
def _selector(selector: Object, at: At) -> list[FieldError]:
    return wrong_labels(selector.get("matchLabels") or {}, f"{at.path}.matchLabels")


def _workload(spec: Object, path: str) -> list[FieldError]:
    selector, template = spec.get("selector"), spec.get("template") or {}
    if selector is None:
        return [required(f"{path}.selector")]
    wrong: list[FieldError] = []
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        wrong.append(invalid_value(f"{path}.selector", selector, "empty selector is invalid for deployment"))
    labels = (template.get("metadata") or {}).get("labels") or {}
    if not wrong and not match_labels(selector, labels):
        detail = "`selector` does not match template `labels`"
        wrong.append(invalid_value(f"{path}.template.metadata.labels", labels or None, detail))
    policy = (template.get("spec") or {}).get("restartPolicy", "Always")
    if policy in ("OnFailure", "Never"):
        wrong.append(not_supported(f"{path}.template.spec.restartPolicy", policy, ("Always",)))
    return wrong


@rule("ReplicaSetSpec")
def _replica_set(spec: Object, at: At) -> list[FieldError]:
    return _workload(spec, at.path)


@rule("DeploymentSpec")
def _deployment(spec: Object, at: At) -> list[FieldError]:
    wrong = _workload(spec, at.path)
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None and deadline <= spec.get("minReadySeconds", 0):
        detail = "must be greater than minReadySeconds"
        wrong.append(invalid_value(f"{at.path}.progressDeadlineSeconds", deadline, detail))
    return wrong


@rule("DeploymentStrategy")
def _strategy(strategy: Object, at: At) -> list[FieldError]:
    if strategy.get("type") not in ("Recreate", "RollingUpdate"):
        shown = {"Type": strategy.get("type", ""), "RollingUpdate": None}  # the API server's internal form
        return [not_supported(at.path, shown, ("Recreate", "RollingUpdate"))]
    if strategy.get("type") == "Recreate" and "rollingUpdate" in strategy:
        detail = "may not be specified when strategy `type` is 'Recreate'"
        return [forbidden_field(f"{at.path}.rollingUpdate", detail)]
    return []


@rule("RollingUpdateDeployment")
def _rolling_update(rolling: Object, at: At) -> list[FieldError]:
    wrong: list[FieldError] = []
    for name in ("maxUnavailable", "maxSurge"):
        wrong += _amount(rolling.get(name, 0), f"{at.path}.{name}")
    if _number(rolling.get("maxUnavailable", 0)) == 0 and _number(rolling.get("maxSurge", 0)) == 0:
        detail = "may not be 0 when `maxSurge` is 0"
        wrong.append(invalid_value(f"{at.path}.maxUnavailable", rolling.get("maxUnavailable", 0), detail))
    limit = rolling.get("maxUnavailable")
    if isinstance(limit, str) and _number(limit) > 100:
        wrong.append(invalid_value(f"{at.path}.maxUnavailable", limit, "must not be greater than 100%"))
    return wrong


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
