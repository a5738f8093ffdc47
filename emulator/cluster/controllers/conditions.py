"""Conditions of a status: found, set and removed by their type."""

from __future__ import annotations

from emulator.cluster.objects import Object

__all__ = ["condition", "remove_condition", "set_condition"]


def condition(status: Object, type_: str) -> Object | None:
    """The condition of this type, if the status has one."""
    for each in status.get("conditions") or ():
        if each["type"] == type_:
            return dict(each)
    return None


def set_condition(status: Object, new: Object) -> None:
    """Put `new` in place of the condition of its type.

    One of the same status and reason stays as it is; one of the same status keeps its lastTransitionTime
    (pkg/controller/deployment/util, SetDeploymentCondition).
    """
    old = condition(status, new["type"])
    if old is not None and old["status"] == new["status"]:
        if old.get("reason") == new.get("reason"):
            return
        new = {**new, "lastTransitionTime": old["lastTransitionTime"]}
    remove_condition(status, new["type"])
    status["conditions"] = [*status.get("conditions", ()), new]


def remove_condition(status: Object, type_: str) -> None:
    """Drop the condition of this type."""
    kept = [each for each in status.get("conditions") or () if each["type"] != type_]
    if kept:
        status["conditions"] = kept
    else:
        status.pop("conditions", None)
