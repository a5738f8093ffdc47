"""What a request is about, read from its path and method.

Source: k8s.io/apiserver pkg/endpoints/request/requestinfo.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from emulator.cluster.resources import ResourceType, by_path

__all__ = ["Target", "parse"]

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch"}


@dataclass(frozen=True)
class Target:
    """The resource a request is about. `rest` is what follows the subresource, as it was sent (for proxies)."""

    verb: str
    group: str
    version: str
    plural: str
    namespace: str | None
    name: str
    subresource: str
    rest: str | None

    @property
    def resource(self) -> ResourceType | None:
        """The resource, where this server serves it in that group and version."""
        return by_path(self.group, self.version, self.plural)


def parse(method: str, raw_path: str, query: Mapping[str, str]) -> Target | None:
    """The target of a request, or None when the path is not that of a resource."""
    raw = raw_path.split("/")[1:]
    parts = [unquote(part) for part in raw]
    if parts[:1] == ["api"] and len(parts) > 2:
        group, version, start = "", parts[1], 2
    elif parts[:1] == ["apis"] and len(parts) > 3:
        group, version, start = parts[1], parts[2], 3
    else:
        return None
    namespace: str | None = None
    if parts[start] == "namespaces" and len(parts) > start + 2 and parts[start + 2] not in ("status", "finalize"):
        namespace, start = parts[start + 1], start + 2
    plural, name, subresource, rest = parts[start], "", "", None
    if len(parts) > start + 1:
        name = parts[start + 1]
    if len(parts) > start + 2:
        subresource = parts[start + 2]
    if len(parts) > start + 3:
        rest = "/".join(raw[start + 3 :])
    if not plural:
        return None
    verb = _verb(method, name, query)
    return Target(verb, group, version, plural, namespace, name, subresource, rest)


def _verb(method: str, name: str, query: Mapping[str, str]) -> str:
    if method in ("GET", "HEAD"):
        if name:
            return "get"
        return "watch" if query.get("watch") in ("1", "true", "True") else "list"
    if method == "DELETE":
        return "delete" if name else "deletecollection"
    return _VERBS.get(method, method.lower())
