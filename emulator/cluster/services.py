"""Cluster addresses of services, from 10.96.0.0/12.

Source: kubernetes/pkg/registry/core/service/storage/alloc.go and strategy (patchAllocatedValues).
"""

from __future__ import annotations

import ipaddress
import secrets

from emulator.cluster import errors
from emulator.cluster.objects import Object
from emulator.cluster.resources import ResourceType
from emulator.cluster.store import Store

__all__ = ["allocate", "keep_allocated"]

_RANGE = ipaddress.ip_network("10.96.0.0/12")


def allocate(store: Store, kind: ResourceType, service: Object) -> None:
    """Give a valid new service (in place) its address. Raises ApiError (422) when it asks for one it cannot have."""
    spec = service["spec"]
    asked = spec.get("clusterIP") or next(iter(spec.get("clusterIPs") or ()), "")
    taken = {other["spec"].get("clusterIP") for other in store.scan("services", None)}
    if asked == "None":
        address = asked
    elif asked:
        problem = ""
        if ipaddress.ip_address(asked) not in _RANGE:
            problem = f"the provided IP ({asked}) is not in the valid range. The range of valid IPs is {_RANGE}"
        elif asked in taken:
            problem = "provided IP is already allocated"
        if problem:
            detail = f"failed to allocate IP {asked}: {problem}"
            cause = errors.invalid_value("spec.clusterIPs", [asked], detail)
            raise errors.invalid(kind, service["metadata"]["name"], [cause])
        address = asked
    else:
        address = _free({str(item) for item in taken})
    spec["clusterIP"], spec["clusterIPs"] = address, [address]
    spec.setdefault("ipFamilies", ["IPv4"])
    spec.setdefault("ipFamilyPolicy", "SingleStack")


def _free(taken: set[str]) -> str:
    # The first address is the API server's own.
    while True:
        address = str(_RANGE[2 + secrets.randbelow(_RANGE.num_addresses - 3)])
        if address not in taken:
            return address


def keep_allocated(service: Object, existing: Object) -> None:
    """Carry over what a replace leaves out, so that it does not have to repeat what the server chose."""
    spec, before = service.setdefault("spec", {}), existing["spec"]
    if not spec.get("clusterIP") and not spec.get("clusterIPs"):
        for key in ("clusterIP", "clusterIPs"):
            spec[key] = before[key] if isinstance(before[key], str) else list(before[key])
    elif not spec.get("clusterIPs"):
        spec["clusterIPs"] = [spec["clusterIP"]]
    elif not spec.get("clusterIP"):
        spec["clusterIP"] = spec["clusterIPs"][0]
    for key in ("ipFamilies", "ipFamilyPolicy"):
        if key in before and key not in spec:
            spec[key] = before[key]
