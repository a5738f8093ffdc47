"""Recording Events the way client-go does: an event that repeats is counted, not written anew, and so are similar ones.

Source: k8s.io/client-go tools/record/event.go and events_cache.go.
"""

from __future__ import annotations

import time
from collections import OrderedDict

from emulator.clock import Clock
from emulator.cluster.api import Api
from emulator.cluster.errors import ApiError
from emulator.cluster.objects import Object

__all__ = ["EventRecorder"]

_REMEMBERED = 4096
# The tenth message of one reason about one object, and what comes after it, are written as one event. Nobody forgets
# them after ten minutes, as client-go does: here a clock may run faster, and that of real time means little.
_SIMILAR = 10
_COMBINED = "(combined from similar events): "
_REFUSALS = frozenset({403, 404, 409})


class EventRecorder:
    """Records events of one component, such as `kubelet`, on one host."""

    def __init__(self, api: Api, component: str, host: str = "") -> None:
        self._api = api
        self._component = component
        self._host = host
        self._seen: OrderedDict[tuple[str, ...], tuple[str, str]] = OrderedDict()
        self._similar: OrderedDict[tuple[str, ...], set[str]] = OrderedDict()

    def record(self, regarding: Object, type_: str, reason: str, message: str, field_path: str = "") -> None:
        """Write an event, or count it once more where the same one was written before.

        `type_` is Normal or Warning; `field_path` names a part of the object, as `spec.containers{engine}`. An event
        that the API server refuses, because its namespace is going or gone, is dropped, as client-go drops it.
        """
        meta = regarding["metadata"]
        involved = {
            "kind": regarding["kind"],
            "namespace": meta.get("namespace", ""),
            "name": meta["name"],
            "uid": meta.get("uid", ""),
            "apiVersion": regarding["apiVersion"],
            "fieldPath": field_path,
        }
        group = (*(value for field, value in involved.items() if field != "fieldPath"), type_, reason)
        if self._are_many(group, message):
            key, message = group, _COMBINED + message
        else:
            key = (*involved.values(), type_, reason, message)
        involved["resourceVersion"] = meta.get("resourceVersion", "")
        try:
            if key not in self._seen or not self._count(key, message):
                self._seen[key] = self._write(involved, type_, reason, message)
        except ApiError as error:
            if error.code not in _REFUSALS:
                raise
        self._seen.move_to_end(key) if key in self._seen else None
        while len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)

    def _are_many(self, group: tuple[str, ...], message: str) -> bool:
        """Whether a reason has come with so many messages about one object that they are one event from now on."""
        messages = self._similar.setdefault(group, set())
        self._similar.move_to_end(group)
        messages.add(message)
        while len(self._similar) > _REMEMBERED:
            self._similar.popitem(last=False)
        if len(messages) < _SIMILAR:
            return False
        messages.pop()
        return True

    def _count(self, key: tuple[str, ...], message: str) -> bool:
        namespace, name = self._seen[key]
        try:
            event = self._api.get("events", name, namespace)
        except ApiError:
            return False
        patch = {"count": event.get("count", 1) + 1, "message": message, "lastTimestamp": Clock.timestamp()}
        self._api.patch("events", name, patch, namespace, kind="merge")
        return True

    def _write(self, involved: dict[str, str], type_: str, reason: str, message: str) -> tuple[str, str]:
        now = Clock.timestamp()
        namespace = involved["namespace"] or "default"
        source = {"component": self._component} | ({"host": self._host} if self._host else {})
        event: Object = {
            "metadata": {"name": f"{involved['name']}.{time.time_ns():x}", "namespace": namespace},
            "involvedObject": {field: value for field, value in involved.items() if value},
            "reason": reason,
            "message": message,
            "source": source,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "type": type_,
            "reportingComponent": self._component,
            "reportingInstance": self._host,
        }
        return namespace, str(self._api.create("events", event, namespace)["metadata"]["name"])
