"""Create, read, update, delete over HTTP: each a call of `Api` and a representation of what comes back.

Source: k8s.io/apiserver pkg/endpoints/handlers (create.go, get.go, update.go, patch.go, delete.go).
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from emulator.cluster import errors, evictions
from emulator.cluster.api import Api
from emulator.cluster.http import negotiation
from emulator.cluster.http.paths import Target
from emulator.cluster.objects import Object, metadata
from emulator.cluster.resources import ResourceType

__all__ = ["Body", "Continuations", "perform"]

_REMEMBERED_LISTS = 64
_EXPIRED = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list "
    "without the continue parameter."
)


@dataclass(frozen=True)
class Body:
    """A request's body and how it is written."""

    data: bytes
    content_type: str | None


@dataclass
class Continuations:
    """What is left of lists that were asked for in chunks, so that each list is of one moment."""

    left: OrderedDict[str, tuple[str, list[Object]]] = field(default_factory=OrderedDict)

    def keep(self, revision: str, items: list[Object]) -> str:
        """Remember the rest of a list; gives the token to go on with."""
        token = secrets.token_urlsafe(12)
        self.left[token] = (revision, items)
        while len(self.left) > _REMEMBERED_LISTS:
            self.left.popitem(last=False)
        return token

    def take(self, token: str) -> tuple[str, list[Object]]:
        """The rest of a list. Raises ApiError (410)."""
        if token not in self.left:
            raise errors.gone(_EXPIRED)
        return self.left[token]


def perform(
    api: Api, lists: Continuations, target: Target, kind: ResourceType, query: Mapping[str, str], body: Body
) -> tuple[int, Object]:
    """Carry out a call that is answered at once: the HTTP status and the document. Raises ApiError."""
    if target.rest is not None or (kind.namespaced and target.namespace is None and target.name):
        raise errors.unknown_path()
    if not kind.namespaced and target.namespace is not None:
        raise errors.unknown_path()
    if target.subresource:
        return _subresource(api, target, kind, query, body)
    if target.verb not in kind.verbs:
        raise errors.method_not_allowed()
    match target.verb:
        case "list":
            return 200, _list(api, lists, target, kind, query)
        case "get":
            return 200, api.get(kind.plural, target.name, target.namespace)
        case "create":
            return 201, _create(api, target, kind, query, body)
        case "update":
            return _update(api, target, kind, query, body)
        case "patch":
            return 200, _patch(api, target, query, body)
        case "delete":
            return 200, _delete(api, target, kind, query, body)
        case "deletecollection":
            return 200, _delete_collection(api, target, kind, query, body)
        case _:
            raise errors.method_not_allowed()


def _subresource(
    api: Api, target: Target, kind: ResourceType, query: Mapping[str, str], body: Body
) -> tuple[int, Object]:
    if target.subresource not in kind.subresources:
        if target.subresource in ("attach", "ephemeralcontainers", "exec", "portforward", "resize", "token"):
            raise errors.failure(
                501, "NotImplemented", f"the emulator does not model {kind.plural}/{target.subresource}"
            )
        raise errors.unknown_path()
    verbs = {"binding": ("create",), "eviction": ("create",), "finalize": ("update",)}
    if target.verb not in verbs.get(target.subresource, ("get", "patch", "update")):
        raise errors.method_not_allowed()
    match target.verb:
        case "get":
            return 200, api.get_subresource(kind.plural, target.name, target.namespace, target.subresource)
        case "patch":
            return 200, _patch(api, target, query, body)
        case "create":
            return _act(api, target, query, body)
        case _:
            return _update(api, target, kind, query, body)


def _addressed(target: Target, obj: Object) -> Object:
    """The object with the name and namespace of the URL, which it may leave out but not contradict."""
    meta = metadata(obj)
    name, namespace = meta.get("name"), meta.get("namespace")
    if name not in (None, "", target.name):
        raise errors.bad_request(f"the name of the object ({name}) does not match the name on the URL ({target.name})")
    if namespace not in (None, "", target.namespace):
        raise errors.bad_request(
            f"the namespace of the object ({namespace}) does not match the namespace on the request "
            f"({target.namespace or ''})"
        )
    meta["name"] = target.name
    if target.namespace is not None:
        meta["namespace"] = target.namespace
    return obj


def _create(api: Api, target: Target, kind: ResourceType, query: Mapping[str, str], body: Body) -> Object:
    if target.name or (kind.namespaced and target.namespace is None):
        raise errors.method_not_allowed()
    obj = negotiation.body_of(body.data, body.content_type)
    return api.create(kind.plural, obj, target.namespace, dry_run=negotiation.dry_run(query))


def _update(api: Api, target: Target, kind: ResourceType, query: Mapping[str, str], body: Body) -> tuple[int, Object]:
    if not target.name:
        raise errors.method_not_allowed()
    obj = _addressed(target, negotiation.body_of(body.data, body.content_type))
    rehearsal = negotiation.dry_run(query)
    subresource = target.subresource or None
    if kind.creates_on_update and subresource is None and not api.exists(kind.plural, target.name, target.namespace):
        return 201, api.create(kind.plural, obj, target.namespace, dry_run=rehearsal)
    return 200, api.update(kind.plural, obj, subresource=subresource, dry_run=rehearsal)


def _patch(api: Api, target: Target, query: Mapping[str, str], body: Body) -> Object:
    if not target.name:
        raise errors.method_not_allowed()
    kind = negotiation.patch_kind(body.content_type)
    if "force" in query:
        cause = errors.forbidden_field("force", "may not be specified for non-apply patch")
        raise errors.invalid_options("PatchOptions", [cause])
    return api.patch(
        target.plural,
        target.name,
        negotiation.patch_body(body.data),
        target.namespace,
        kind=kind,
        subresource=target.subresource or None,
        dry_run=negotiation.dry_run(query),
    )


def _act(api: Api, target: Target, query: Mapping[str, str], body: Body) -> tuple[int, Object]:
    obj = _addressed(target, negotiation.body_of(body.data, body.content_type))
    rehearsal = negotiation.dry_run(query)
    if target.subresource == "binding":
        api.update(target.plural, obj, subresource="binding", dry_run=rehearsal)
    else:
        sent = negotiation.encode(obj.get("deleteOptions") or {})
        options, rehearsed = negotiation.delete_options(sent, "application/json", query)
        budgets = api.list("poddisruptionbudgets", target.namespace).items
        drawn_on = evictions.spend(api.get(target.plural, target.name, target.namespace), budgets)
        if drawn_on is not None:
            api.update("poddisruptionbudgets", drawn_on, subresource="status", dry_run=rehearsal or rehearsed)
        api.delete_with(target.plural, target.name, target.namespace, options, dry_run=rehearsal or rehearsed)
    return 201, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


def _delete(api: Api, target: Target, kind: ResourceType, query: Mapping[str, str], body: Body) -> Object:
    options, rehearsal = negotiation.delete_options(body.data, body.content_type, query)
    obj = api.delete_with(kind.plural, target.name, target.namespace, options, dry_run=rehearsal)
    if kind.returns_deleted or (not rehearsal and api.exists(kind.plural, target.name, target.namespace)):
        return obj
    details: Object = {"name": target.name, "kind": kind.plural, "uid": obj["metadata"]["uid"]}
    if kind.group:
        details["group"] = kind.group
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def _delete_collection(api: Api, target: Target, kind: ResourceType, query: Mapping[str, str], body: Body) -> Object:
    options, rehearsal = negotiation.delete_options(body.data, body.content_type, query)
    listing = api.list(
        kind.plural,
        target.namespace,
        label_selector=query.get("labelSelector", ""),
        field_selector=query.get("fieldSelector", ""),
    )
    items = [
        api.delete_with(
            kind.plural, item["metadata"]["name"], item["metadata"].get("namespace"), options, dry_run=rehearsal
        )
        for item in listing.items
    ]
    return _collection(kind, items, {"resourceVersion": listing.resource_version})


def _list(api: Api, lists: Continuations, target: Target, kind: ResourceType, query: Mapping[str, str]) -> Object:
    limit, token = negotiation.number(query, "limit") or 0, query.get("continue", "")
    if token:
        revision, items = lists.take(token)
    else:
        _check_revision(api, query)
        listing = api.list(
            kind.plural,
            target.namespace,
            label_selector=query.get("labelSelector", ""),
            field_selector=query.get("fieldSelector", ""),
        )
        revision, items = listing.resource_version, listing.items
    meta: dict[str, Any] = {"resourceVersion": revision}
    if 0 < limit < len(items):
        items, left = items[:limit], items[limit:]
        meta["continue"] = lists.keep(revision, left)
        if not query.get("labelSelector") and not query.get("fieldSelector"):
            meta["remainingItemCount"] = len(left)
    return _collection(kind, items, meta)


def _check_revision(api: Api, query: Mapping[str, str]) -> None:
    revision, match = query.get("resourceVersion", ""), query.get("resourceVersionMatch", "")
    if match and not revision:
        detail = "resourceVersionMatch is forbidden unless resourceVersion is provided"
        cause = errors.forbidden_field("resourceVersionMatch", detail)
        raise errors.invalid_options("ListOptions", [cause])
    if revision in ("", "0"):
        return
    if not revision.isascii() or not revision.isdigit():
        cause = errors.invalid_value("resourceVersion", revision, "strconv.ParseUint: invalid syntax")
        raise errors.invalid_options("ListOptions", [cause])
    if int(revision) > api.store.revision:
        raise errors.failure(
            504,
            "Timeout",
            f"Timeout: Too large resource version: {revision}, current: {api.store.revision}",
            {
                "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
                "retryAfterSeconds": 1,
            },
        )
    if match == "Exact" and int(revision) != api.store.revision:
        raise errors.gone(f"the emulator keeps no old lists: {revision} is not the present resource version")


def _collection(kind: ResourceType, items: list[Object], meta: Object) -> Object:
    shown = [{key: value for key, value in item.items() if key not in ("apiVersion", "kind")} for item in items]
    return {"kind": f"{kind.kind}List", "apiVersion": kind.api_version, "metadata": meta, "items": shown}
