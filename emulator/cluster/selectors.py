"""Label and field selectors.

Source: k8s.io/apimachinery pkg/labels/selector.go and pkg/fields/selector.go; which fields a kind offers:
kubernetes/pkg/apis/core/v1/conversion.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from emulator.cluster.errors import bad_request, quote
from emulator.cluster.objects import Object
from emulator.cluster.resources import ResourceType

__all__ = ["Matcher", "match_labels", "matcher", "parse_labels"]

Matcher = Callable[[Object], bool]

_REQUIREMENT = re.compile(
    r"""\s*(?:
        (?P<not>!)\s*(?P<absent>[^\s=!,()<>]+)
      | (?P<key>[^\s=!,()<>]+)(?:
            \s+(?P<set>in|notin)\s*\((?P<values>[^()]*)\)
          | \s*(?P<op>==|=|!=|>|<)\s*(?P<value>[^\s=!,()<>]*)
        )?
    )\s*(?P<end>,|$)""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Requirement:
    """One term of a label selector: `operator` is In, NotIn, Exists, DoesNotExist, Gt or Lt."""

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether a set of labels satisfies this term."""
        value = labels.get(self.key)
        if self.operator == "Exists":
            return value is not None
        if self.operator == "DoesNotExist":
            return value is None
        if self.operator == "In":
            return value in self.values
        if self.operator == "NotIn":
            return value not in self.values
        if value is None or not re.fullmatch(r"[+-]?\d+", value):
            return False
        (bound,) = self.values
        return int(value) > int(bound) if self.operator == "Gt" else int(value) < int(bound)


def parse_labels(selector: str) -> tuple[Requirement, ...]:
    """Read `a=b,c!=d,e in (f,g),h,!i`. Raises ApiError (400) when it is not one."""
    position, requirements = 0, []
    text = selector.strip()
    while position < len(text):
        found = _REQUIREMENT.match(text, position)
        if found is None or found.end() == position or (found["end"] and found.end() == len(text)):
            raise bad_request(f"unable to parse requirement: found {quote(text[position:])}, expected: label selector")
        position = found.end()
        requirements.append(_requirement(found))
    return tuple(requirements)


def _requirement(found: re.Match[str]) -> Requirement:
    if found["absent"]:
        return Requirement(found["absent"], "DoesNotExist")
    key = found["key"]
    if found["set"]:
        values = frozenset(value.strip() for value in found["values"].split(","))
        return Requirement(key, "In" if found["set"] == "in" else "NotIn", values)
    if found["op"] is None:
        return Requirement(key, "Exists")
    value = found["value"]
    if found["op"] in ("<", ">"):
        if not re.fullmatch(r"[+-]?\d+", value):
            raise bad_request(
                f"unable to parse requirement: values[0][{key}]: Invalid value: {quote(value)}: "
                "for 'Gt', 'Lt' operators, the value must be an integer"
            )
        return Requirement(key, "Gt" if found["op"] == ">" else "Lt", frozenset((value,)))
    return Requirement(key, "NotIn" if found["op"] == "!=" else "In", frozenset((value,)))


def match_labels(selector: Object | None, labels: Mapping[str, str]) -> bool:
    """Whether labels satisfy a metav1.LabelSelector. An absent selector matches nothing, an empty one everything."""
    if selector is None:
        return False
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(
        Requirement(term["key"], term["operator"], frozenset(term.get("values") or ())).matches(labels)
        for term in selector.get("matchExpressions") or ()
    )


_FIELDS: dict[str, tuple[str, ...]] = {
    "pods": (
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.podIPs",
        "status.nominatedNodeName",
    ),
    "events": (
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ),
    "namespaces": ("status.phase",),
    "nodes": ("spec.unschedulable",),
    "replicasets": ("status.replicas",),
    "secrets": ("type",),
    "services": ("spec.clusterIP", "spec.type"),
}


def _field(obj: Object, path: str) -> str:
    if path == "source":
        return str(obj.get("source", {}).get("component") or obj.get("reportingComponent", ""))
    value: object = obj
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, bool) or value is None:
        absent = "false" if path in ("spec.unschedulable", "spec.hostNetwork") else ""
        return "true" if value else absent
    return str(value)


def _parse_fields(resource: ResourceType, selector: str) -> list[tuple[str, bool, str]]:
    terms = []
    for term in filter(None, (part.strip() for part in selector.split(","))):
        found = re.fullmatch(r"([^=!]+?)(!=|==|=)(.*)", term)
        if found is None:
            raise bad_request(f"invalid selector: '{selector}'; can't understand '{term}'")
        path, operator, value = found.groups()
        known = ("metadata.name", "metadata.namespace") if resource.namespaced else ("metadata.name",)
        if path not in known + _FIELDS.get(resource.plural, ()):
            if resource.group or resource.plural not in _FIELDS:
                raise bad_request(
                    f'{quote(path)} is not a known field selector: only "metadata.name", "metadata.namespace"'
                )
            raise bad_request(f"field label not supported: {path}")
        terms.append((path, operator != "!=", re.sub(r"\\(.)", r"\1", value)))
    return terms


def matcher(resource: ResourceType, label_selector: str = "", field_selector: str = "") -> Matcher | None:
    """A predicate for both selectors; None when there is nothing to test. Raises ApiError (400) on a bad selector."""
    requirements = parse_labels(label_selector)
    fields = _parse_fields(resource, field_selector)
    if not requirements and not fields:
        return None

    def matches(obj: Object) -> bool:
        labels = obj.get("metadata", {}).get("labels") or {}
        return all(requirement.matches(labels) for requirement in requirements) and all(
            (_field(obj, path) == value) is equal for path, equal, value in fields
        )

    return matches
