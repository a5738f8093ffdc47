"""Where a Service leads: its pods' addresses as Endpoints and as EndpointSlices.

Source: kubernetes/pkg/controller/endpoint, staging/src/k8s.io/endpointslice (reconciler.go, utils.go).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from emulator.cluster.objects import Object

from .owners import labels_of, owner_reference
from .podstates import is_ready

__all__ = [
    "MANAGED_BY",
    "MANAGER",
    "SERVICE_NAME",
    "SliceChanges",
    "endpoint_slices",
    "endpoints",
    "is_backend",
    "ports_of",
]

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslice-controller.k8s.io"
HEADLESS = "service.kubernetes.io/headless"
SLICE_SIZE = 100
"""Endpoints a slice (the controller manager's --max-endpoints-per-slice)."""
CAPACITY = 1000
"""Addresses an Endpoints object."""


def is_backend(pod: Object, *, terminating: bool) -> bool:
    """Whether a pod has an address to list; `terminating`: also while it is being deleted."""
    status = pod.get("status") or {}
    restarts = pod["spec"].get("restartPolicy", "Always")
    ended = ("Succeeded", "Failed") if restarts == "Never" else ("Succeeded",) if restarts == "OnFailure" else ()
    going = "deletionTimestamp" in pod["metadata"]
    if status.get("phase") in ended or (going and status.get("phase") in ("Succeeded", "Failed")):
        return False
    return bool(status.get("podIP")) and (terminating or not going)


def ports_of(service: Object, pod: Object) -> list[Object]:
    """The Service's ports as this pod has them; one named after a port that the pod lacks is left out."""
    ports = []
    for port in service["spec"].get("ports") or ():
        number = _number(port, pod)
        if number is not None:
            entry = {"name": port.get("name", ""), "port": number, "protocol": port.get("protocol", "TCP")}
            if port.get("appProtocol"):
                entry["appProtocol"] = port["appProtocol"]
            ports.append(entry)
    return ports


def endpoints(service: Object, pods: Iterable[Object]) -> Object:
    """The Endpoints object of a Service: pods that are ready, and pods that are not."""
    everyone = bool(service["spec"].get("publishNotReadyAddresses"))
    subsets: dict[str, Object] = {}
    backends = [pod for pod in pods if is_backend(pod, terminating=everyone)]
    backends.sort(key=lambda pod: (pod["status"]["podIP"], pod["metadata"]["uid"]))
    room = CAPACITY
    for pod in sorted(backends, key=lambda pod: not (everyone or is_ready(pod))):
        ports = [{key: value for key, value in port.items() if value != ""} for port in ports_of(service, pod)]
        if room and (ports or _is_headless(service)):
            subset = subsets.setdefault(repr(ports), {"ports": ports} if ports else {})
            ready = everyone or is_ready(pod)
            subset.setdefault("addresses" if ready else "notReadyAddresses", []).append(_address(pod))
            room -= 1
    labels = {**labels_of(service), "endpoints.kubernetes.io/managed-by": "endpoint-controller"}
    if _is_headless(service):
        labels[HEADLESS] = ""
    metadata: Object = {
        "name": service["metadata"]["name"],
        "namespace": service["metadata"]["namespace"],
        "labels": labels,
    }
    if len(backends) > CAPACITY:
        metadata["annotations"] = {"endpoints.kubernetes.io/over-capacity": "truncated"}
    obj: Object = {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata}
    if subsets:
        obj["subsets"] = [subsets[ports] for ports in sorted(subsets)]
    return obj


@dataclass
class SliceChanges:
    """What to do so that a Service's slices say where it leads."""

    create: list[Object] = field(default_factory=list)
    update: list[Object] = field(default_factory=list)
    delete: list[Object] = field(default_factory=list)


def endpoint_slices(service: Object, pods: Iterable[Object], existing: Sequence[Object]) -> SliceChanges:
    """Bring `existing` slices to the Service's pods, moving no endpoint that has a place.

    Pods whose named ports lead to different numbers are in different slices; a slice holds 100 endpoints; a Service
    without any has one empty slice.
    """
    groups: dict[str, tuple[list[Object], dict[str, Object]]] = {}
    for pod in pods:
        ports = ports_of(service, pod)
        if is_backend(pod, terminating=True) and (ports or _is_headless(service)):
            _, members = groups.setdefault(repr(ports), (ports, {}))
            members[pod["metadata"]["uid"]] = _endpoint(service, pod)
    changes = SliceChanges()
    left = list(existing)
    for ports, members in groups.values():
        same = [each for each in left if (each.get("ports") or []) == ports and each.get("endpoints")]
        left = [each for each in left if each not in same]
        _fill(service, ports, members, same, changes)
    empty = _slice(service, [], [])
    if not groups and left:
        keep = next((each for each in left if _says(each, empty)), None)
        changes.delete.extend(each for each in left if each is not keep)
        if keep is None:
            changes.create.append(empty)
    elif not groups:
        changes.create.append(empty)
    else:
        changes.delete.extend(left)
    return changes


def _fill(
    service: Object, ports: list[Object], members: dict[str, Object], same: Sequence[Object], changes: SliceChanges
) -> None:
    """Lay the members of one group of ports out over the slices it has, and new ones."""
    rest = dict(members)
    kept = []
    for each in same:
        stay = [uid for uid in map(_target, each["endpoints"]) if uid in rest][:SLICE_SIZE]
        kept.append([rest.pop(uid) for uid in stay])
    waiting = list(rest.values())
    for each, held in zip(same, kept, strict=True):
        room = SLICE_SIZE - len(held)
        held += waiting[:room]
        waiting = waiting[room:]
        wanted = _slice(service, ports, held)
        if not held:
            changes.delete.append(each)
        elif not _says(each, wanted):
            changes.update.append({**each, **wanted, "metadata": {**each["metadata"], **_lasting(wanted)}})
    while waiting:
        changes.create.append(_slice(service, ports, waiting[:SLICE_SIZE]))
        waiting = waiting[SLICE_SIZE:]


def _slice(service: Object, ports: list[Object], members: list[Object]) -> Object:
    name = service["metadata"]["name"]
    labels = {**labels_of(service), SERVICE_NAME: name, MANAGED_BY: MANAGER}
    if _is_headless(service):
        labels[HEADLESS] = ""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "generateName": f"{name}-",
            "namespace": service["metadata"]["namespace"],
            "labels": labels,
            "ownerReferences": [owner_reference(service)],
        },
        "addressType": "IPv4",
        "endpoints": members,
        "ports": ports,
    }


def _lasting(wanted: Object) -> Object:
    return {key: wanted["metadata"][key] for key in ("labels", "ownerReferences")}


def _says(there: Object, wanted: Object) -> bool:
    """Whether a slice says already what it should."""
    if any((there.get(key) or []) != wanted[key] for key in ("endpoints", "ports")):
        return False
    return all(there["metadata"].get(key) == value for key, value in _lasting(wanted).items())


def _target(endpoint: Object) -> str:
    return str((endpoint.get("targetRef") or {}).get("uid", ""))


def _endpoint(service: Object, pod: Object) -> Object:
    going = "deletionTimestamp" in pod["metadata"]
    everyone = bool(service["spec"].get("publishNotReadyAddresses"))
    serving = everyone or is_ready(pod)
    address = _address(pod)
    conditions = {"ready": serving and (everyone or not going), "serving": serving, "terminating": going}
    return {"addresses": [address.pop("ip")], "conditions": conditions, **address}


def _address(pod: Object) -> Object:
    metadata, spec = pod["metadata"], pod["spec"]
    target = {"kind": "Pod", "namespace": metadata["namespace"], "name": metadata["name"], "uid": metadata["uid"]}
    address: Object = {"ip": pod["status"]["podIP"], "targetRef": target}
    if spec.get("nodeName"):
        address["nodeName"] = spec["nodeName"]
    return address


def _number(port: Object, pod: Object) -> int | None:
    """The pod's port that a Service port leads to; None if the pod has none of that name and protocol."""
    target = port.get("targetPort") or port["port"]
    if isinstance(target, int):
        return target
    for container in pod["spec"].get("containers") or ():
        for each in container.get("ports") or ():
            if each.get("name") == target and each.get("protocol", "TCP") == port.get("protocol", "TCP"):
                return int(each["containerPort"])
    return None


def _is_headless(service: Object) -> bool:
    return service["spec"].get("clusterIP") in (None, "", "None")
