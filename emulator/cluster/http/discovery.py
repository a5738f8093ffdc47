"""What the server tells of itself: versions, groups, resources.

Source: the documents a Kubernetes 1.36 server gives at /version, /api, /apis and below.
"""

from __future__ import annotations

import platform
from typing import Any

from emulator.cluster.errors import ApiError, failure, unknown_path
from emulator.cluster.objects import Object
from emulator.cluster.resources import GROUPS, RESOURCES, ResourceType

__all__ = ["KUBERNETES_VERSION", "document"]

KUBERNETES_VERSION = "v1.36.3"
_SUB_VERBS = {
    "binding": ("create",),
    "eviction": ("create",),
    "finalize": ("update",),
    "log": ("get",),
    "proxy": ("create", "delete", "get", "patch", "update"),
    "scale": ("get", "patch", "update"),
    "status": ("get", "patch", "update"),
}
_SUB_KINDS = {
    "binding": ("", "v1", "Binding"),
    "eviction": ("policy", "v1", "Eviction"),
    "scale": ("autoscaling", "v1", "Scale"),
}


def document(path: str, address: str) -> Object | None:
    """The discovery document at a path, or None when there is none. Raises ApiError for what is refused by name."""
    parts = [part for part in path.split("/") if part]
    match parts:
        case ["version"]:
            return _version()
        case ["api"]:
            return {
                "kind": "APIVersions",
                "versions": ["v1"],
                "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
            }
        case ["apis"]:
            groups = [_group(group, version) for group, version in GROUPS if group]
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
        case ["api", version]:
            return _resources("", version)
        case ["apis", group]:
            for known, version in GROUPS:
                if known == group:
                    return {"kind": "APIGroup", "apiVersion": "v1"} | _group(group, version)
            raise unknown_path()
        case ["apis", group, version]:
            return _resources(group, version)
        case ["openapi", "v3"]:
            return {"paths": {_root(*known): {"serverRelativeURL": f"/openapi/v3/{_root(*known)}"} for known in GROUPS}}
        case ["openapi", "v3", *root]:
            return _openapi("/".join(root))
        case ["openapi", *_]:
            raise _refused("OpenAPI v2 documents")
        case _:
            return None


def _refused(what: str) -> ApiError:
    return failure(404, "NotFound", f"the emulator does not serve {what}", {})


def _root(group: str, version: str) -> str:
    return f"apis/{group}/{version}" if group else f"api/{version}"


def _version() -> Object:
    """The version document: Kubernetes 1.36.3's, stamped as the emulator's."""
    major, minor, _ = KUBERNETES_VERSION.removeprefix("v").split(".")
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return {
        "major": major,
        "minor": minor,
        "gitVersion": KUBERNETES_VERSION,
        "gitCommit": "imgvol-emulator",
        "gitTreeState": "emulator",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": f"python{platform.python_version()}",
        "compiler": "imgvol",
        "platform": f"linux/{machine}",
    }


def _group(group: str, version: str) -> Object:
    served = {"groupVersion": f"{group}/{version}", "version": version}
    return {"name": group, "versions": [served], "preferredVersion": served}


def _resources(group: str, version: str) -> Object:
    if (group, version) not in GROUPS:
        raise unknown_path()
    listed: list[Object] = []
    for resource in sorted(RESOURCES.values(), key=lambda item: item.plural):
        if (resource.group, resource.version) == (group, version):
            listed.append(_resource(resource))
            listed += [_subresource(resource, name) for name in sorted(resource.subresources)]
    group_version = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": listed}


def _resource(resource: ResourceType) -> Object:
    entry: Object = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    return entry


def _subresource(resource: ResourceType, name: str) -> Object:
    group, version, kind = _SUB_KINDS.get(name, ("", "", resource.kind))
    entry: Object = {
        "name": f"{resource.plural}/{name}",
        "singularName": "",
        "namespaced": resource.namespaced,
        "kind": kind,
        "verbs": list(_SUB_VERBS[name]),
    }
    if group:
        entry |= {"group": group, "version": version}
    return entry


def _openapi(root: str) -> Object:
    """What kubectl needs of OpenAPI v3 to leave validation to the server: that a patch takes `fieldValidation`.

    The schemas of the kinds are not served.
    """
    if root not in {_root(*known) for known in GROUPS}:
        raise unknown_path()
    paths: dict[str, Any] = {}
    for resource in RESOURCES.values():
        if _root(resource.group, resource.version) != root:
            continue
        scope = "namespaces/{namespace}/" if resource.namespaced else ""
        kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
        parameters = [{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}]
        patch = {"x-kubernetes-action": "patch", "x-kubernetes-group-version-kind": kind, "parameters": parameters}
        paths[f"/{root}/{scope}{resource.plural}/{{name}}"] = {"patch": patch}
    info = {"title": "Kubernetes (imgvol emulator)", "version": KUBERNETES_VERSION}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": {}}}
