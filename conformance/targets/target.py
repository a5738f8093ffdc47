"""A target as the tests see it: a Kubernetes API, registries, and what the nodes say of themselves."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from conformance.kube import Kube, RefusedError, path_of
from conformance.targets.room import room

if TYPE_CHECKING:
    from kubernetes import client

__all__ = [
    "CLOSED",
    "HOSTNAME",
    "Description",
    "Finding",
    "Fingerprint",
    "NodeFingerprint",
    "RegistryEndpoint",
    "Tamper",
    "Target",
    "is_ready",
    "patience",
    "pool_of",
]

# On a node, port 1 of its own loopback: nobody listens there.
CLOSED = "127.0.0.1:1"
# The label that says which node a pod is for.
HOSTNAME = "kubernetes.io/hostname"

_EMULATOR = "imgvol.dev/emulator"
_LACKS = "imgvol.dev/lacks"
# How AKS labels the nodes of a pool, the newest name first, and what it says of them.
_POOL = ("kubernetes.azure.com/agentpool", "agentpool")
# Taints that Kubernetes, its autoscaler and virtual nodes put on nodes which run nothing of ours.
_TROUBLE = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/", "ToBeDeleted", "virtual-kubelet.io/")
_NODE_IMAGE = "kubernetes.azure.com/node-image-version"
_OS_SKU = "kubernetes.azure.com/os-sku"
# Where each kubelet renews a Lease of its node's name.
_LEASES = "kube-node-lease"
_NOT_FOUND = 404


@dataclass(frozen=True)
class Tamper:
    """How blobs that a registry stores can be damaged.

    kind `http`: `where` is a URL that takes a POST with the query parameters `repository` and `digest` (the emulator).
    kind `docker`: `where` is the name of the container in which a Docker Distribution registry keeps its files.
    """

    kind: Literal["http", "docker"]
    where: str


@dataclass(frozen=True)
class RegistryEndpoint:
    """A registry: where the suite pushes, the name that nodes pull by, and the credentials if it wants any.

    `url` is scheme and host, `prefix` the folder of all our repositories in that registry (empty or without slashes at
    its ends), and `name` what stands before a repository in a pod's reference: host, and prefix if there is one.
    `control` is the URL at which its faults are switched (docs/registry.md), empty where it has none.
    """

    url: str
    name: str
    username: str = ""
    password: str = dataclasses.field(default="", repr=False)
    tamper: Tamper | None = None
    prefix: str = ""
    control: str = ""

    @property
    def host(self) -> str:
        """The host that the suite pushes to, with its port."""
        return self.url.partition("://")[2]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RegistryEndpoint:
        """An endpoint from the mapping that `dataclasses.asdict` makes of it."""
        return cls(**{**data, "tamper": Tamper(**data["tamper"]) if data["tamper"] else None})


@dataclass(frozen=True)
class Finding:
    """One thing looked at before a run, for the report beside the claims: `preflight/<check>`.

    pool: the node pool it is about, empty for the target as a whole. verdict: as of a claim, e.g. `pass` or `fail`.
    """

    check: str
    pool: str
    verdict: str
    says: str
    source: str
    evidence: str


@dataclass(frozen=True)
class Description:
    """All that a test process needs to reach a target that is running; plain values, to be sent as JSON.

    closed: an address that no registry listens on, as nodes see it. patience: real seconds to wait for what should
    come. lacks: what the target's surroundings cannot do, by capability, with the reason. pools: the node pools on each
    of which every claim is judged; none where nodes are all one. findings: what was looked at beforehand.
    faulty: a registry that fails when it is told to.
    """

    name: str
    kubeconfig: str
    registry: RegistryEndpoint
    private: RegistryEndpoint | None
    closed: str
    patience: float
    run: str
    lacks: Mapping[str, str] = dataclasses.field(default_factory=dict)
    pools: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    faulty: RegistryEndpoint | None = None

    def to_json(self) -> str:
        """One line of JSON that `from_json` reads."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Description:
        """A description from its JSON."""
        data = json.loads(text)
        data["registry"] = RegistryEndpoint.from_json(data["registry"])
        data["private"] = RegistryEndpoint.from_json(data["private"]) if data["private"] else None
        data["pools"] = tuple(data["pools"])
        data["findings"] = tuple(Finding(**finding) for finding in data["findings"])
        data["faulty"] = RegistryEndpoint.from_json(data["faulty"]) if data["faulty"] else None
        return cls(**data)


@dataclass(frozen=True)
class NodeFingerprint:
    """What tells one node's behaviour from another's, as the node reports it (`status.nodeInfo`).

    pool, node_image and os_sku are what AKS labels its nodes with; empty where they are not known.
    """

    name: str
    kubelet: str
    runtime: str
    os_image: str
    kernel: str
    architecture: str
    pool: str = ""
    node_image: str = ""
    os_sku: str = ""


@dataclass(frozen=True)
class Fingerprint:
    """The versions that answered, per node; `emulator` is the emulator's version, empty on a real cluster."""

    target: str
    kubernetes: str
    emulator: str
    nodes: tuple[NodeFingerprint, ...]


class Target:
    """A running target: all of it, or one pool of its nodes."""

    def __init__(self, description: Description, pool: str = "") -> None:
        self.description = description
        self.name = description.name
        self.registry = description.registry
        self.private = description.private
        self.faulty = description.faulty
        self.patience = description.patience
        self.pool = pool
        self._pools: dict[str, Target] = {}

    def of_pool(self, pool: str) -> Target:
        """The target as one pool of its nodes, by the same connection."""
        if pool == self.pool:
            return self
        if pool not in self._pools:
            part = self._pools[pool] = Target(self.description, pool)
            part.kube, part._every_node = self.kube, self._every_node
        return self._pools[pool]

    @cached_property
    def kube(self) -> client.ApiClient:
        """The official client, connected."""
        # Imported where it is used: it takes most of a second, which runs without a target need not wait for.
        from kubernetes import config

        connected: client.ApiClient = config.new_client_from_config(self.description.kubeconfig)  # type: ignore[no-untyped-call]
        return connected

    @cached_property
    def _every_node(self) -> list[dict[str, Any]]:
        nodes: list[dict[str, Any]] = Kube(self.kube).get(path_of("nodes"))["items"]
        return nodes

    @property
    def _nodes(self) -> list[dict[str, Any]]:
        return [node for node in self._every_node if not self.pool or pool_of(node) == self.pool]

    def place(self, spec: dict[str, Any]) -> None:
        """Have a pod's specification run on this pool's nodes alone: select them, and tolerate their taints."""
        if not self.pool:
            return
        labels = self._nodes[0]["metadata"]["labels"] if self._nodes else {}
        label = next((name for name in _POOL if name in labels), _POOL[0])
        spec["nodeSelector"] = {label: self.pool, **spec.get("nodeSelector", {})}
        tolerated = [
            {"operator": "Exists", **{key: taint[key] for key in ("key", "effect")}}
            for node in self._nodes
            for taint in node["spec"].get("taints", ())
            if _is_tolerable(taint)
        ]
        spec["tolerations"] = [
            *spec.get("tolerations", ()),
            *(each for number, each in enumerate(tolerated) if each not in tolerated[:number]),
        ]

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """The versions of the API server and of every node."""
        version = Kube(self.kube).get("/version")
        nodes = []
        for node in self._nodes:
            info, labels = node["status"]["nodeInfo"], node["metadata"].get("labels", {})
            nodes.append(
                NodeFingerprint(
                    name=node["metadata"]["name"],
                    kubelet=info["kubeletVersion"],
                    runtime=info["containerRuntimeVersion"],
                    os_image=info["osImage"],
                    kernel=info["kernelVersion"],
                    architecture=info["architecture"],
                    pool=pool_of(node),
                    node_image=labels.get(_NODE_IMAGE, ""),
                    os_sku=labels.get(_OS_SKU, ""),
                )
            )
        stamps = (node["metadata"].get("annotations", {}).get(_EMULATOR, "") for node in self._nodes)
        return Fingerprint(self.name, version["gitVersion"], next(filter(None, stamps), ""), tuple(nodes))

    @cached_property
    def lacks(self) -> Mapping[str, str]:
        """Capabilities that the target declares missing, each with its reason.

        An emulator says so in an annotation of its nodes; what the surroundings lack comes with the description.
        """
        declared = dict(self.description.lacks)
        for node in self._nodes:
            declared |= json.loads(node["metadata"].get("annotations", {}).get(_LACKS, "{}"))
        if len(self.hosts) == 1:
            declared["several-nodes"] = f"{self.hosts[0]} is the only node that takes the suite's pods; see --nodes"
        return declared

    @property
    def architecture(self) -> str:
        """The architecture that images are built for, as Go names it: that of the first node that takes pods."""
        taking = self._taking or self._nodes
        architecture: str = taking[0]["status"]["nodeInfo"]["architecture"]
        return architecture

    @property
    def hosts(self) -> list[str]:
        """The nodes that take the suite's pods, by the label kubernetes.io/hostname."""
        return [
            node["metadata"]["labels"][HOSTNAME]
            for node in self._taking
            if node["status"]["nodeInfo"]["architecture"] == self.architecture
        ]

    def trouble(self, hosts: Iterable[str] | None = None) -> str:
        """What has become of nodes since they were first looked at: gone, or not ready; empty if nothing has.

        hosts: only of these, by name or by the label kubernetes.io/hostname; of all by default.
        """
        if hosts is None:
            return "; ".join(filter(None, self._troubles().values()))
        return "; ".join(filter(None, (_trouble(name, self._node(name)) for name in self._named(hosts))))

    @property
    def there(self) -> list[str]:
        """Of `hosts` those that are still there, and ready."""
        troubles = self._troubles()
        lost = {_host_of(node) for node in self._nodes if troubles[node["metadata"]["name"]]}
        return [host for host in self.hosts if host not in lost]

    def silence(self, hosts: Iterable[str], seconds: float) -> str:
        """Which of these nodes give no sign of life within some seconds: a kubelet renews its node's Lease.

        Empty if all do; of nodes whose Lease cannot be seen nothing is said.
        """
        kube, told = Kube(self.kube), []
        for name in self._named(hosts):
            try:
                last = kube.get(path_of("leases", _LEASES, name))["spec"].get("renewTime")
                events = kube.watch(path_of("leases", _LEASES), {"fieldSelector": f"metadata.name={name}"}, seconds)
                if not any(event["object"].get("spec", {}).get("renewTime") != last for event in events):
                    told.append(f"node {name} gives no sign of life since {last}")
            except RefusedError:
                continue
        return "; ".join(told)

    def _troubles(self) -> dict[str, str]:
        """By node as they were first looked at, what has become of it."""
        now = {node["metadata"]["name"]: node for node in Kube(self.kube).get(path_of("nodes"))["items"]}
        return {name: _trouble(name, now.get(name)) for name in (node["metadata"]["name"] for node in self._nodes)}

    def _named(self, hosts: Iterable[str]) -> list[str]:
        """The names of nodes that are given by name, or by the label kubernetes.io/hostname."""
        asked = set(hosts)
        names = {node["metadata"]["name"]: _host_of(node) for node in self._nodes}
        return [name for name, host in names.items() if {name, host} & asked]

    def _node(self, name: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = Kube(self.kube).get(path_of("nodes", name=name))
        except RefusedError as refused:
            if refused.code == _NOT_FOUND:
                return None
            raise
        return found

    def room(self, pods: Iterable[Mapping[str, Any]], wants: Mapping[str, Decimal]) -> int:
        """How many more pods that want this the nodes take that take pods, beside all those there are."""
        on: dict[str, list[Mapping[str, Any]]] = {}
        for pod in pods:
            on.setdefault(pod["spec"].get("nodeName", ""), []).append(pod)
        return sum(room(node, on.get(node["metadata"]["name"], []), wants) for node in self._taking)

    @property
    def is_one_node(self) -> bool:
        """Whether a pod has no choice of nodes."""
        return len(self._nodes) == 1

    @property
    def _taking(self) -> list[dict[str, Any]]:
        return [
            node
            for node in self._nodes
            if node["status"]["nodeInfo"].get("operatingSystem", "linux") == "linux"
            and not node["spec"].get("unschedulable")
            and not any(
                taint["effect"] != "PreferNoSchedule" and not (self.pool and _is_tolerable(taint))
                for taint in node["spec"].get("taints", ())
            )
        ]


def _trouble(name: str, now: Mapping[str, Any] | None) -> str:
    """What has become of a node, given how it is now; empty if it is ready."""
    if now is None:
        return f"node {name} is gone"
    return "" if is_ready(now) else f"node {name} is not ready: {_ready(now).get('message', '')}".rstrip(": ")


def _ready(node: Mapping[str, Any]) -> Mapping[str, Any]:
    conditions = node.get("status", {}).get("conditions", ())
    return next((one for one in conditions if one["type"] == "Ready"), {"status": "True"})


def _host_of(node: Mapping[str, Any]) -> str:
    return str(node["metadata"].get("labels", {}).get(HOSTNAME, ""))


def _is_tolerable(taint: Mapping[str, Any]) -> bool:
    """Whether a taint keeps pods apart by intent, as pools' own do, and does not tell of a node in trouble."""
    return not taint["key"].startswith(_TROUBLE)


def is_ready(node: Mapping[str, Any]) -> bool:
    """Whether a node says that it is ready, or nothing says that it is not."""
    return bool(_ready(node)["status"] == "True")


def pool_of(node: Mapping[str, Any]) -> str:
    """The node pool that a node belongs to; empty where there are none."""
    labels = node["metadata"].get("labels", {})
    return next((str(labels[name]) for name in _POOL if name in labels), "")


def patience(usual: float) -> float:
    """How many seconds claims wait for what should come: `usual` ones, if the environment does not say otherwise."""
    return float(os.environ.get("IMGVOL_PATIENCE", usual))
