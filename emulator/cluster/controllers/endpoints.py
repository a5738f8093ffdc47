"""The endpoints and endpointslice controllers: what a Service's selector finds, written down where proxies read it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from emulator.cluster.errors import ApiError
from emulator.cluster.objects import Object, identity

from .addresses import MANAGED_BY, MANAGER, SERVICE_NAME, endpoint_slices, endpoints
from .controller import Controller, Source
from .owners import Key, labels_of

if TYPE_CHECKING:
    from emulator.cluster.watch import WatchEvent

__all__ = ["Endpoints"]

TRIGGERED = "endpoints.kubernetes.io/last-change-trigger-time"


class Endpoints(Controller):
    """Keeps the Endpoints and the EndpointSlices of Services that have a selector.

    Endpoints that somebody wrote by hand for a Service without a selector are not mirrored into slices.
    """

    component = "endpoint-controller"

    def start(self) -> None:
        """Forget which Services a pod was found by."""
        self._found: dict[str, frozenset[Key]] = {}

    def sources(self) -> Mapping[str, Source]:
        """Services, pods, and what this controller writes, so that it mends what others change."""
        return {
            "services": lambda event: (identity(event.object),),
            "pods": self._of_pod,
            "endpoints": lambda event: (identity(event.object),),
            "endpointslices": self._of_slice,
        }

    def sync(self, key: Key) -> float | None:
        """Write one Service's Endpoints and EndpointSlices, as far as they changed."""
        namespace, name = key
        service = self._get("services", key)
        if service is None:
            # The slices go with the Service that owns them; an Endpoints object has no owner.
            there = self._get("endpoints", key)
            if there is not None and labels_of(there).get("endpoints.kubernetes.io/managed-by"):
                self.api.delete("endpoints", name, namespace)
            return None
        if not service["spec"].get("selector"):
            return None
        pods = [pod for pod in self.peek("pods", namespace) if _finds(service, pod)]
        self._write_endpoints(key, endpoints(service, pods))
        self._write_slices(service, pods)
        return None

    def _of_pod(self, event: WatchEvent) -> Iterable[Key]:
        pod = event.object
        uid = pod["metadata"]["uid"]
        before = self._found.pop(uid, frozenset())
        if event.type == "DELETED":
            return before
        services = self.peek("services", pod["metadata"]["namespace"])
        self._found[uid] = frozenset(identity(service) for service in services if _finds(service, pod))
        return before | self._found[uid]

    def _of_slice(self, event: WatchEvent) -> Iterable[Key]:
        labels = labels_of(event.object)
        if labels.get(MANAGED_BY) != MANAGER or SERVICE_NAME not in labels:
            return ()
        return ((event.object["metadata"]["namespace"], labels[SERVICE_NAME]),)

    def _get(self, resource: str, key: Key) -> Object | None:
        try:
            return self.api.get(resource, key[1], key[0])
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    def _write_endpoints(self, key: Key, wanted: Object) -> None:
        there = self._get("endpoints", key)
        stamp = {TRIGGERED: self.clock.timestamp()}
        annotations = wanted["metadata"].get("annotations") or {}
        if there is None:
            self.api.create(
                "endpoints", {**wanted, "metadata": {**wanted["metadata"], "annotations": annotations | stamp}}
            )
            return
        had = dict(there["metadata"].get("annotations") or {})
        kept = {each: value for each, value in had.items() if each != "endpoints.kubernetes.io/over-capacity"}
        same = (there.get("subsets") or []) == (wanted.get("subsets") or [])
        if same and labels_of(there) == wanted["metadata"]["labels"] and kept | annotations == had:
            return
        there["metadata"].update(labels=wanted["metadata"]["labels"], annotations=kept | annotations | stamp)
        there["subsets"] = wanted.get("subsets", [])
        self.api.update("endpoints", there)

    def _write_slices(self, service: Object, pods: list[Object]) -> None:
        namespace, name = identity(service)
        ours = f"{SERVICE_NAME}={name},{MANAGED_BY}={MANAGER}"
        existing = self.api.list("endpointslices", namespace, label_selector=ours).items
        alive = [each for each in existing if "deletionTimestamp" not in each["metadata"]]
        changes = endpoint_slices(service, pods, alive)
        stamp = {TRIGGERED: self.clock.timestamp()}
        for each in changes.create:
            each["metadata"]["annotations"] = stamp
            self.api.create("endpointslices", each)
        for each in changes.update:
            each["metadata"]["annotations"] = {**(each["metadata"].get("annotations") or {}), **stamp}
            self.api.update("endpointslices", each)
        for each in changes.delete:
            self.api.delete("endpointslices", each["metadata"]["name"], namespace, uid=each["metadata"]["uid"])


def _finds(service: Object, pod: Object) -> bool:
    selector = service["spec"].get("selector") or {}
    return bool(selector) and selector.items() <= labels_of(pod).items()
