"""Which kinds this API server serves, and how each of them behaves as a resource.

Source: the resources' storages and strategies in kubernetes/pkg/registry and the discovery document of a 1.36 server.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["GROUPS", "RESOURCES", "ResourceType", "by_kind", "by_path"]

_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True)
class ResourceType:
    """One resource: its names and what its registry strategy says of it."""

    plural: str
    kind: str
    group: str = ""
    version: str = "v1"
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    verbs: tuple[str, ...] = _VERBS
    generation: bool = False
    """Whether metadata.generation counts the changes of the specification."""
    returns_deleted: bool = False
    """Whether a delete answers with the object rather than with a Status."""
    unconditional_update: bool = True
    """Whether a replace without a resourceVersion is allowed."""
    creates_on_update: bool = False
    """Whether a replace of something absent creates it."""

    @property
    def singular(self) -> str:
        """The singular name kubectl understands."""
        return self.kind.lower()

    @property
    def api_version(self) -> str:
        """`v1` or `group/version`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """`plural` or `plural.group`, as messages name the resource."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def qualified_kind(self) -> str:
        """`Kind` or `Kind.group`, as messages name the kind."""
        return f"{self.kind}.{self.group}" if self.group else self.kind


_ALL = (
    ResourceType("configmaps", "ConfigMap", short_names=("cm",)),
    ResourceType("endpoints", "Endpoints", short_names=("ep",), creates_on_update=True),
    ResourceType("events", "Event", short_names=("ev",), creates_on_update=True),
    ResourceType(
        "namespaces",
        "Namespace",
        namespaced=False,
        short_names=("ns",),
        subresources=("finalize", "status"),
        verbs=("create", "delete", "get", "list", "patch", "update", "watch"),
    ),
    ResourceType("nodes", "Node", namespaced=False, short_names=("no",), subresources=("status",)),
    ResourceType(
        "pods",
        "Pod",
        short_names=("po",),
        categories=("all",),
        subresources=("binding", "eviction", "log", "proxy", "status"),
        generation=True,
        returns_deleted=True,
    ),
    ResourceType("secrets", "Secret"),
    ResourceType("serviceaccounts", "ServiceAccount", short_names=("sa",), returns_deleted=True),
    ResourceType(
        "services",
        "Service",
        short_names=("svc",),
        categories=("all",),
        subresources=("proxy", "status"),
        returns_deleted=True,
    ),
    ResourceType(
        "daemonsets",
        "DaemonSet",
        group="apps",
        short_names=("ds",),
        categories=("all",),
        subresources=("status",),
        generation=True,
    ),
    ResourceType(
        "deployments",
        "Deployment",
        group="apps",
        short_names=("deploy",),
        categories=("all",),
        subresources=("scale", "status"),
        generation=True,
    ),
    ResourceType(
        "replicasets",
        "ReplicaSet",
        group="apps",
        short_names=("rs",),
        categories=("all",),
        subresources=("scale", "status"),
        generation=True,
    ),
    ResourceType(
        "selfsubjectaccessreviews",
        "SelfSubjectAccessReview",
        group="authorization.k8s.io",
        namespaced=False,
        verbs=("create",),
    ),
    ResourceType(
        "leases",
        "Lease",
        group="coordination.k8s.io",
        creates_on_update=True,
        unconditional_update=False,
    ),
    ResourceType("endpointslices", "EndpointSlice", group="discovery.k8s.io", generation=True),
    ResourceType(
        "poddisruptionbudgets",
        "PodDisruptionBudget",
        group="policy",
        short_names=("pdb",),
        subresources=("status",),
        generation=True,
    ),
)

RESOURCES: dict[str, ResourceType] = {resource.plural: resource for resource in _ALL}
"""By plural, which is unique among the kinds modelled."""

GROUPS: tuple[tuple[str, str], ...] = tuple(dict.fromkeys((r.group, r.version) for r in _ALL))
"""Group and version of each API served, the core group (an empty name) first."""

_BY_KIND = {(resource.api_version, resource.kind): resource for resource in _ALL}


def by_kind(api_version: str, kind: str) -> ResourceType | None:
    """The resource that holds objects of this kind."""
    return _BY_KIND.get((api_version, kind))


def by_path(group: str, version: str, plural: str) -> ResourceType | None:
    """The resource behind /api/v1/… or /apis/GROUP/VERSION/…."""
    resource = RESOURCES.get(plural)
    if resource is None or (resource.group, resource.version) != (group, version):
        return None
    return resource
