"""Pod Security: the policy a namespace's labels enforce, and what a pod violates of it.

Source: k8s.io/pod-security-admission v0.36.3. Of its checks these are the ones that the modelled fields can violate;
what the others forbid is not modelled and refused before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from emulator.cluster import errors
from emulator.cluster.objects import Object
from emulator.cluster.resources import ResourceType
from emulator.cluster.store import Store

__all__ = ["check_labels", "check_pod", "check_template"]

_PREFIX = "pod-security.kubernetes.io/"
_LEVELS = ("privileged", "baseline", "restricted")
_LATEST = 10**6
_BASELINE_CAPABILITIES = frozenset(
    {"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP"}
    | {"SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"}
)
_SAFE_SECCOMP = ("Localhost", "RuntimeDefault")

Violation = tuple[str, str]
"""Reason and detail."""


@dataclass(frozen=True)
class Policy:
    """A level and the minor version of the policy, `_LATEST` for latest."""

    level: str = "privileged"
    minor: int = _LATEST

    def __str__(self) -> str:
        return f"{self.level}:{'latest' if self.minor == _LATEST else f'v1.{self.minor}'}"


def _policies(labels: Object) -> tuple[Policy, Policy, list[errors.FieldError]]:
    """What to enforce, what to warn of, and what is wrong with the labels."""
    wrong: list[errors.FieldError] = []
    policies = {}
    for mode in ("enforce", "audit", "warn"):
        level, minor = "privileged", _LATEST
        label = f"{_PREFIX}{mode}"
        if label in labels:
            level = labels[label]
            if level not in _LEVELS:
                detail = f"must be one of {', '.join(_LEVELS)}"
                wrong.append(errors.invalid_value(f"metadata.labels[{label}]", level, detail))
                # What cannot be read is enforced strictly and warned of not at all.
                level = "restricted" if mode == "enforce" else "privileged"
        label = f"{_PREFIX}{mode}-version"
        found = re.fullmatch(r"v1\.(0|[1-9][0-9]*)", labels.get(label, ""))
        if found:
            minor = int(found[1])
        elif labels.get(label, "latest") != "latest":
            detail = 'must be "latest" or "v1.x"'
            wrong.append(errors.invalid_value(f"metadata.labels[{label}]", labels[label], detail))
        policies[mode] = Policy(level, minor)
    enforce, warn = policies["enforce"], policies["warn"]
    stricter = _LEVELS.index(enforce.level) > _LEVELS.index(warn.level)
    if f"{_PREFIX}warn" not in labels and labels.get(f"{_PREFIX}enforce") in _LEVELS and stricter:
        warn = Policy(enforce.level, warn.minor if f"{_PREFIX}warn-version" in labels else enforce.minor)
    return enforce, warn, wrong


def check_labels(kind: ResourceType, namespace: Object, before: Object | None) -> None:
    """Raises ApiError (422) for policy labels that cannot be read, unless they were like that before."""
    wrong = _policies(namespace["metadata"].get("labels") or {})[2]
    if wrong and (before is None or wrong != _policies(before["metadata"].get("labels") or {})[2]):
        raise errors.invalid(kind, namespace["metadata"]["name"], wrong)


def check_pod(store: Store, kind: ResourceType, pod: Object) -> tuple[str, ...]:
    """The warnings about a pod. Raises ApiError (403) when it violates what its namespace enforces."""
    enforce, warn = _of_namespace(store, pod)
    violations = _violations(enforce, pod["spec"])
    if violations:
        raise errors.forbidden(kind, pod["metadata"]["name"], f'violates PodSecurity "{enforce}": {_text(violations)}')
    return _warnings(warn, pod["spec"])


def check_template(store: Store, workload: Object) -> tuple[str, ...]:
    """The warnings about the pods a workload is going to make; nothing is enforced on workloads."""
    _, warn = _of_namespace(store, workload)
    return _warnings(warn, ((workload.get("spec") or {}).get("template") or {}).get("spec") or {})


def _of_namespace(store: Store, obj: Object) -> tuple[Policy, Policy]:
    namespace = store.get("namespaces", "", obj["metadata"]["namespace"]) or {"metadata": {}}
    enforce, warn, _ = _policies(namespace["metadata"].get("labels") or {})
    return enforce, warn


def _warnings(policy: Policy, spec: Object) -> tuple[str, ...]:
    violations = _violations(policy, spec)
    return (f'would violate PodSecurity "{policy}": {_text(violations)}',) if violations else ()


def _text(violations: list[Violation]) -> str:
    return ", ".join(f"{reason} ({detail})" if detail else reason for reason, detail in violations)


def _violations(policy: Policy, spec: Object) -> list[Violation]:
    if policy.level == "privileged":
        return []
    checks = _BASELINE if policy.level == "baseline" else _RESTRICTED
    found = (check(spec) for minimum, check in checks if policy.minor >= minimum)
    return [violation for violation in found if violation is not None]


def _containers(spec: Object) -> Iterator[tuple[str, Object]]:
    """Name and security context of each container, init containers first."""
    for kind in ("initContainers", "containers"):
        for container in spec.get(kind) or ():
            yield container.get("name", ""), container.get("securityContext") or {}


def _quoted(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _named(names: list[str], noun: str = "container") -> str:
    return f"{noun if len(names) == 1 else noun + 's'} {_quoted(names)}"


def _setters(pod: bool, containers: list[str]) -> str:
    return " and ".join((["pod"] if pod else []) + ([_named(containers)] if containers else []))


def _capabilities_baseline(spec: Object) -> Violation | None:
    bad, forbidden = [], set()
    for name, context in _containers(spec):
        added = set((context.get("capabilities") or {}).get("add") or ()) - _BASELINE_CAPABILITIES
        if added:
            bad.append(name)
            forbidden |= added
    if not bad:
        return None
    detail = f"{_named(bad)} must not include {_quoted(sorted(forbidden))} in securityContext.capabilities.add"
    return "non-default capabilities", detail


def _probe_hosts(spec: Object) -> Violation | None:
    bad: set[str] = set()
    hosts: set[str] = set()
    for kind in ("initContainers", "containers"):
        for container in spec.get(kind) or ():
            for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
                for handler in ("httpGet", "tcpSocket"):
                    host = ((container.get(probe) or {}).get(handler) or {}).get("host")
                    if host:
                        bad.add(container.get("name", ""))
                        hosts.add(host)
    if not bad:
        return None
    uses = "uses" if len(bad) == 1 else "use"
    return "probe or lifecycle host", f"{_named(sorted(bad))} {uses} {_named(sorted(hosts), 'probe or lifecycle host')}"


def _seccomp_type(context: Object) -> str | None:
    profile = context.get("seccompProfile")
    return None if profile is None else str(profile.get("type", ""))


def _seccomp_baseline(spec: Object) -> Violation | None:
    kinds = {name: _seccomp_type(context) for name, context in _containers(spec)}
    of_pod = _seccomp_type(spec.get("securityContext") or {})
    bad = [name for name, kind in kinds.items() if kind is not None and kind not in _SAFE_SECCOMP]
    bad_pod = of_pod is not None and of_pod not in _SAFE_SECCOMP
    if not bad and not bad_pod:
        return None
    values = sorted({kind for kind in (*kinds.values(), of_pod) if kind is not None and kind not in _SAFE_SECCOMP})
    detail = f"{_setters(bad_pod, bad)} must not set securityContext.seccompProfile.type to {_quoted(values)}"
    return "seccompProfile", detail


def _seccomp_restricted(spec: Object) -> Violation | None:
    bad = _seccomp_baseline(spec)
    if bad is not None:
        return bad
    if _seccomp_type(spec.get("securityContext") or {}) is not None:
        return None
    unset = [name for name, context in _containers(spec) if _seccomp_type(context) is None]
    if not unset:
        return None
    wanted = 'must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
    return "seccompProfile", f"pod or {_named(unset)} {wanted}"


def _privilege_escalation(spec: Object) -> Violation | None:
    bad = [name for name, context in _containers(spec) if context.get("allowPrivilegeEscalation") is not False]
    if not bad:
        return None
    detail = f"{_named(bad)} must set securityContext.allowPrivilegeEscalation=false"
    return "allowPrivilegeEscalation != false", detail


def _capabilities_restricted(spec: Object) -> Violation | None:
    undropped, adding, forbidden = [], [], set()
    for name, context in _containers(spec):
        capabilities = context.get("capabilities") or {}
        if "ALL" not in (capabilities.get("drop") or ()):
            undropped.append(name)
        added = set(capabilities.get("add") or ()) - {"NET_BIND_SERVICE"}
        if added:
            adding.append(name)
            forbidden |= added
    details = []
    if undropped:
        details.append(f'{_named(undropped)} must set securityContext.capabilities.drop=["ALL"]')
    if adding:
        listed = _quoted(sorted(forbidden))
        details.append(f"{_named(adding)} must not include {listed} in securityContext.capabilities.add")
    return ("unrestricted capabilities", "; ".join(details)) if details else None


def _run_as_non_root(spec: Object) -> Violation | None:
    of_pod = (spec.get("securityContext") or {}).get("runAsNonRoot")
    settings = [(name, context.get("runAsNonRoot")) for name, context in _containers(spec)]
    bad = [name for name, setting in settings if setting is False]
    if bad or of_pod is False:
        detail = f"{_setters(of_pod is False, bad)} must not set securityContext.runAsNonRoot=false"
        return "runAsNonRoot != true", detail
    unset = [name for name, setting in settings if setting is None]
    if not unset or of_pod:
        return None
    return "runAsNonRoot != true", f"pod or {_named(unset)} must set securityContext.runAsNonRoot=true"


def _run_as_user(spec: Object) -> Violation | None:
    of_pod = (spec.get("securityContext") or {}).get("runAsUser") == 0
    bad = [name for name, context in _containers(spec) if context.get("runAsUser") == 0]
    if not bad and not of_pod:
        return None
    return "runAsUser=0", f"{_setters(of_pod, bad)} must not set runAsUser=0"


_Check = Callable[[Object], "Violation | None"]
_BASELINE: tuple[tuple[int, _Check], ...] = (
    (0, _capabilities_baseline),
    (34, _probe_hosts),
    (19, _seccomp_baseline),
)
"""Minor version of the policy from which a check holds, and the check; in the order of their ids."""
_RESTRICTED: tuple[tuple[int, _Check], ...] = (
    (34, _probe_hosts),
    (8, _privilege_escalation),
    (22, _capabilities_restricted),
    (0, _run_as_non_root),
    (23, _run_as_user),
    (19, _seccomp_restricted),
)
