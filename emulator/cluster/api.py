"""The API server in process: every request, as the HTTP layer makes it too, is a method call.

The methods run admission, defaulting, validation and deletion semantics. They do not wait and run in one thread, so
each is atomic. Objects are in wire form; what comes back is the caller's own copy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from emulator.cluster import admission, deletion, errors, reviews, services, strategies, subresources
from emulator.cluster.kubelets import Kubelet
from emulator.cluster.objects import Object, clone, identity, metadata
from emulator.cluster.patches import apply_json_patch, apply_merge_patch, apply_strategic_patch
from emulator.cluster.patches.json_patch import PatchError
from emulator.cluster.resources import RESOURCES, ResourceType
from emulator.cluster.schema import struct
from emulator.cluster.selectors import matcher
from emulator.cluster.store import Store
from emulator.cluster.validation import decode, set_defaults, validate, validate_update
from emulator.cluster.watch import Watch

__all__ = ["Api", "Listing", "PatchKind"]

PatchKind = Literal["json", "merge", "strategic"]

_FIRST_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")


@dataclass(frozen=True)
class Listing:
    """The items of a collection at one revision."""

    items: list[Object]
    resource_version: str


class Api:
    """A cluster's API.

    Every method raises `ApiError` with the API server's own Status: 404 for what is not there, 409 on a conflict, 422
    with every violation for an invalid object, 403 when admission refuses. `history` is how many changes a watch can
    go back.
    """

    def __init__(self, *, history: int = 8192) -> None:
        self.kubelets: dict[str, Kubelet] = {}
        self.store = Store(history)
        self._warnings: tuple[str, ...] = ()
        for name in _FIRST_NAMESPACES:
            self.create("namespaces", {"metadata": {"name": name}})

    # Reading

    def get(self, resource: str, name: str, namespace: str | None = None) -> Object:
        """One object."""
        return clone(self._stored(self._resource(resource), name, namespace))

    def list(
        self,
        resource: str,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
    ) -> Listing:
        """A collection, or the whole cluster's where `namespace` is None."""
        matches = matcher(self._resource(resource), label_selector, field_selector)
        items = [clone(obj) for obj in self.store.scan(resource, namespace, matches)]
        return Listing(items, str(self.store.revision))

    def watch(
        self,
        resource: str,
        namespace: str | None = None,
        *,
        since: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
    ) -> Watch:
        """Watch a collection from a resourceVersion, or (`since=None`) beginning with the present state as ADDED."""
        matches = matcher(self._resource(resource), label_selector, field_selector)
        return self.store.watch(resource, namespace, matches, None if since is None else _revision(since))

    def exists(self, resource: str, name: str, namespace: str | None = None) -> bool:
        """Whether an object of that name is there."""
        home = (namespace or "default") if self._resource(resource).namespaced else ""
        return self.store.get(resource, home, name) is not None

    def get_subresource(self, resource: str, name: str, namespace: str | None, subresource: str) -> Object:
        """One object as its subresource (status, scale) shows it."""
        kind = self._resource(resource)
        return subresources.view(kind, self._stored(kind, name, namespace), subresource)

    def close_watches(self) -> None:
        """End every watch."""
        self.store.close_watches()

    def take_warnings(self) -> tuple[str, ...]:
        """The warnings of the last create or update, once."""
        warnings, self._warnings = self._warnings, ()
        return warnings

    # Writing

    def create(self, resource: str, obj: Object, namespace: str | None = None, *, dry_run: bool = False) -> Object:
        """Create an object; its name may come from metadata.generateName."""
        kind = self._resource(resource)
        obj = self._taken(kind, obj, namespace)
        decode(kind, obj)
        set_defaults(kind, obj)
        if resource in reviews.REVIEWS:
            return reviews.review(kind, obj)
        admission.admit_create(self.store, kind, obj)
        strategies.prepare_for_create(kind, obj)
        _refuse(kind, obj, validate(kind, obj))
        self._warnings = admission.validate_create(self.store, kind, obj)
        namespace, name = identity(obj)
        if self.store.get(resource, namespace, name) is not None:
            raise errors.already_exists(kind, name)
        if resource == "services":
            services.allocate(self.store, kind, obj)
        if not dry_run:
            self.store.put(resource, clone(obj))
            obj["metadata"]["resourceVersion"] = str(self.store.revision)
        return obj

    def update(self, resource: str, obj: Object, *, subresource: str | None = None, dry_run: bool = False) -> Object:
        """Replace an object, or one of its subresources: status, scale, binding, finalize.

        With a resourceVersion in the metadata the replace is refused (409) unless it is the present one.
        """
        kind = self._resource(resource)
        meta = metadata(obj)
        existing = self._stored(kind, str(meta.get("name", "")), meta.get("namespace"))
        if subresource is None and not kind.unconditional_update and not meta.get("resourceVersion"):
            cause = errors.invalid_value("metadata.resourceVersion", 0, "must be specified for an update")
            raise errors.invalid(kind, existing["metadata"]["name"], [cause])
        return self._replace(kind, existing, clone(obj), subresource, dry_run=dry_run)

    def patch(
        self,
        resource: str,
        name: str,
        patch: Any,
        namespace: str | None = None,
        *,
        kind: PatchKind,
        subresource: str | None = None,
        dry_run: bool = False,
    ) -> Object:
        """Change an object, or one of its subresources, by a JSON, merge or strategic merge patch."""
        resource_type = self._resource(resource)
        existing = self._stored(resource_type, name, namespace)
        before = subresources.view(resource_type, existing, subresource)
        try:
            if kind == "json":
                after = apply_json_patch(before, patch)
            elif kind == "merge":
                after = apply_merge_patch(before, patch)
            else:
                shape = struct(before["kind"]) if before["kind"] == resource_type.kind else None
                after = apply_strategic_patch(before, patch, shape)
        except PatchError as error:
            raise _patch_failed(error) from None
        if not isinstance(after, dict):
            raise errors.bad_request("the patch does not leave an object")
        return self._replace(resource_type, existing, after, subresource, dry_run=dry_run)

    def delete(
        self,
        resource: str,
        name: str,
        namespace: str | None = None,
        *,
        grace_period: int | None = None,
        propagation: str | None = None,
        uid: str | None = None,
        dry_run: bool = False,
    ) -> Object:
        """Delete an object: at once, or, with a grace period or finalizers, mark it as going.

        The object's last state comes back; it is still there if it has to wait. `grace_period` in seconds,
        `propagation` is Background, Foreground or Orphan, `uid` a precondition.
        """
        options = deletion.DeleteOptions(grace_period, propagation, uid)
        return self.delete_with(resource, name, namespace, options, dry_run=dry_run)

    def delete_with(
        self,
        resource: str,
        name: str,
        namespace: str | None,
        options: deletion.DeleteOptions,
        *,
        dry_run: bool = False,
    ) -> Object:
        """Delete with all of metav1.DeleteOptions."""
        kind = self._resource(resource)
        existing = self._stored(kind, name, namespace)
        problem = deletion.check_preconditions(kind, existing, options)
        if problem is not None:
            raise problem
        if kind.plural == "namespaces" and name in ("default", "kube-public", "kube-system"):
            raise errors.forbidden(kind, name, "this namespace may not be deleted")
        obj = clone(existing)
        removed = deletion.begin(kind, obj, options)
        if dry_run:
            return obj
        if removed:
            self.store.remove(resource, obj)
        elif obj != existing:
            self.store.put(resource, obj)
        return clone(obj)

    # What the methods share

    @staticmethod
    def _resource(resource: str) -> ResourceType:
        if resource not in RESOURCES:
            raise errors.unknown_path()
        return RESOURCES[resource]

    def _stored(self, kind: ResourceType, name: str, namespace: str | None) -> Object:
        home = (namespace or "default") if kind.namespaced else ""
        obj = self.store.get(kind.plural, home, name)
        if obj is None:
            raise errors.not_found(kind, name)
        return obj

    @staticmethod
    def _taken(kind: ResourceType, obj: Object, namespace: str | None) -> Object:
        """A copy of what was sent, with its type and namespace settled."""
        obj = clone(obj)
        sent = (obj.get("apiVersion") or kind.api_version, obj.get("kind") or kind.kind)
        if sent[0] != kind.api_version:
            raise errors.bad_request(
                f"the API version in the data ({sent[0]}) does not match the expected API version ({kind.api_version})"
            )
        if sent[1] != kind.kind:
            raise errors.bad_request(
                f'{sent[1]} in version "{kind.version}" cannot be handled as a {kind.kind}: '
                f"converting ({kind.version}.{sent[1]}) to (core.{kind.kind}): unknown conversion"
            )
        meta = metadata(obj)
        if kind.namespaced:
            if namespace is not None and meta.get("namespace") not in (None, "", namespace):
                raise errors.bad_request(
                    "the namespace of the provided object does not match the namespace sent on the request"
                )
            meta["namespace"] = meta.get("namespace") or namespace or "default"
        return {"apiVersion": sent[0], "kind": sent[1], "metadata": meta} | obj

    def _replace(
        self, kind: ResourceType, existing: Object, sent: Object, subresource: str | None, *, dry_run: bool
    ) -> Object:
        _check_identity(kind, existing, sent)
        if subresource in (None, "status"):
            obj = self._taken(kind, sent, existing["metadata"].get("namespace"))
            decode(kind, obj)
            set_defaults(kind, obj)
        else:
            obj = subresources.replace(kind, existing, sent, subresource)
        if kind.plural == "services" and subresource is None:
            services.keep_allocated(obj, existing)
        if subresource == "status":
            strategies.prepare_for_status(kind, obj, existing)
        elif subresource in (None, "scale"):
            strategies.prepare_for_update(kind, obj, existing)
        _refuse(kind, obj, validate_update(kind, obj, existing, subresource or ""))
        self._warnings = admission.validate_update(self.store, kind, obj, existing, subresource or "")
        obj["metadata"]["resourceVersion"] = existing["metadata"]["resourceVersion"]
        removed = deletion.finished(existing, obj)
        if not dry_run and removed:
            self.store.remove(kind.plural, obj)
        elif not dry_run and obj != existing:
            self.store.put(kind.plural, obj)
        return subresources.view(kind, obj, subresource)


def _check_identity(kind: ResourceType, existing: Object, sent: Object) -> None:
    meta, old = metadata(sent), existing["metadata"]
    if meta.get("name") not in (None, "", old["name"]):
        raise errors.bad_request(
            f"the name of the object ({meta['name']}) does not match the name on the URL ({old['name']})"
        )
    if meta.get("namespace") not in (None, "", old.get("namespace", "")):
        raise errors.bad_request(
            f"the namespace of the object ({meta['namespace']}) does not match the namespace on the request "
            f"({old.get('namespace', '')})"
        )
    meta["name"] = old["name"]
    if meta.get("uid") not in (None, "", old["uid"]):
        raise errors.conflict(
            kind,
            old["name"],
            f"Precondition failed: UID in precondition: {meta['uid']}, UID in object meta: {old['uid']}",
        )
    if meta.get("resourceVersion") not in (None, "", "0", old["resourceVersion"]):
        raise errors.conflict(kind, old["name"])


def _refuse(kind: ResourceType, obj: Object, causes: list[errors.FieldError]) -> None:
    if causes:
        raise errors.invalid(kind, str(metadata(obj).get("name") or metadata(obj).get("generateName", "")), causes)


def _revision(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise errors.bad_request(f"invalid resource version {errors.quote(text)}")
    return int(text)


def _patch_failed(error: PatchError) -> errors.ApiError:
    if error.code == 400:
        return errors.bad_request(str(error))
    if error.code == 422:
        return errors.failure(422, "Invalid", "the server rejected our request due to an error in our request", {})
    return errors.failure(error.code, "", str(error))
