"""The ReplicaSet controller: as many pods of a template as asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from emulator.cluster.errors import ApiError
from emulator.cluster.objects import Object, identity
from emulator.cluster.selectors import match_labels

from .controller import Controller, OwnerKeys, Source, is_ending
from .owners import (
    Key,
    claim,
    controller_of,
    is_controlled_by,
    labels_of,
    references_with,
    references_without,
)
from .podstates import is_active, is_ready, ready_condition
from .replicas import Plan, batches, plan, pod_of, replicaset_status

if TYPE_CHECKING:
    from emulator.cluster.watch import WatchEvent

__all__ = ["ReplicaSets"]


class ReplicaSets(Controller):
    """Creates and deletes pods, adopts those that match and belong to nobody, and counts them."""

    component = "replicaset-controller"

    def start(self) -> None:
        """Forget which pods are known."""
        self._owners = OwnerKeys("ReplicaSet")
        self._ready_since: dict[str, tuple[str, float]] = {}

    def sources(self) -> Mapping[str, Source]:
        """ReplicaSets, and the pods they own or could own."""
        return {"replicasets": lambda event: (identity(event.object),), "pods": self._of_pod}

    def sync(self, key: Key) -> float | None:
        """Bring one ReplicaSet's pods to the number wanted and write its status."""
        namespace, name = key
        try:
            replicaset = self.api.get("replicasets", name, namespace)
        except ApiError as error:
            if error.code == 404:
                return None
            raise
        everything = self.peek("pods", namespace)
        pods = self._claimed(replicaset, everything)
        failure: ApiError | None = None
        if "deletionTimestamp" not in replicaset["metadata"]:
            todo = plan(replicaset, pods, self._related(replicaset, everything), datetime.now(UTC))
            failure = self._carry_out(replicaset, todo)
            if todo != Plan():
                # The status counts what is there now: a count of pods just deleted would look like available ones.
                pods = [pod for pod in self.peek("pods", namespace) if is_controlled_by(pod, replicaset)]
        return self._report(replicaset, pods, failure)

    def _of_pod(self, event: WatchEvent) -> Iterable[Key]:
        pod = event.object
        self._time(pod, gone=event.type == "DELETED")
        keys = self._owners(event)
        if controller_of(pod) is None and event.type != "DELETED":
            candidates = self.peek("replicasets", pod["metadata"]["namespace"])
            keys |= {identity(each) for each in candidates if match_labels(each["spec"]["selector"], labels_of(pod))}
        return keys

    def _time(self, pod: Object, *, gone: bool) -> None:
        """Remember since when, on our clock, a pod is ready: its own times are in whole seconds of wall time."""
        uid, ready = pod["metadata"]["uid"], ready_condition(pod)
        if ready is None or gone:
            self._ready_since.pop(uid, None)
            return
        changed = ready.get("lastTransitionTime", "")
        if self._ready_since.get(uid, ("", 0.0))[0] != changed or uid not in self._ready_since:
            self._ready_since[uid] = (changed, self.clock.now())

    def _claimed(self, replicaset: Object, everything: Sequence[Object]) -> list[Object]:
        """The ReplicaSet's pods: its own, and active ones it adopts; what no longer matches is let go."""
        claims = claim(replicaset, everything)
        adopt = [pod for pod in claims.adopt if is_active(pod)]
        adopted = [self._patch_owners(pod, references_with(pod, replicaset)) for pod in adopt]
        for pod in claims.release:
            self._patch_owners(pod, references_without(pod, replicaset["metadata"]["uid"]))
        return [*claims.owned, *adopted]

    def _patch_owners(self, pod: Object, references: list[Object]) -> Object:
        metadata = pod["metadata"]
        patch = {"metadata": {"uid": metadata["uid"], "ownerReferences": references or None}}
        return self.api.patch("pods", metadata["name"], patch, metadata["namespace"], kind="merge")

    def _carry_out(self, replicaset: Object, todo: Plan) -> ApiError | None:
        """Create or delete pods; the last failure, if any."""
        if todo.create:
            return self._create(replicaset, todo.create)
        failure = None
        for pod in todo.delete:
            failure = self._delete(replicaset, pod) or failure
        return failure

    def _related(self, replicaset: Object, everything: Sequence[Object]) -> list[Object]:
        """The pods of every ReplicaSet with the same owner; of this one alone if it has none."""
        owner = controller_of(replicaset)
        siblings = [replicaset]
        if owner is not None:
            sets = self.peek("replicasets", replicaset["metadata"]["namespace"])
            siblings = [each for each in sets if (controller_of(each) or {}).get("uid") == owner["uid"]]
        return [pod for pod in everything if any(is_controlled_by(pod, each) for each in siblings)]

    def _create(self, replicaset: Object, count: int) -> ApiError | None:
        for batch in batches(count):
            failure = None
            for _ in range(batch):
                try:
                    pod = self.api.create("pods", pod_of(replicaset), replicaset["metadata"]["namespace"])
                except ApiError as error:
                    if is_ending(error):
                        return None
                    failure = error
                    self.event(replicaset, "Warning", "FailedCreate", f"Error creating: {error}")
                else:
                    text = f"Created pod: {pod['metadata']['name']}"
                    self.event(replicaset, "Normal", "SuccessfulCreate", text)
            if failure is not None:
                return failure
        return None

    def _delete(self, replicaset: Object, pod: Object) -> ApiError | None:
        metadata = pod["metadata"]
        try:
            self.api.delete("pods", metadata["name"], metadata["namespace"], uid=metadata["uid"])
        except ApiError as error:
            if error.code == 404:
                return None
            self.event(replicaset, "Warning", "FailedDelete", f"Error deleting: {error}")
            return error
        self.event(replicaset, "Normal", "SuccessfulDelete", f"Deleted pod: {metadata['name']}")
        return None

    def _report(self, replicaset: Object, pods: Sequence[Object], failure: ApiError | None) -> float | None:
        patience = replicaset["spec"].get("minReadySeconds", 0)
        now = self.clock.now()
        waits = {pod["metadata"]["uid"]: patience - (now - self._since(pod, now)) for pod in pods if is_ready(pod)}
        text = None if failure is None else str(failure)
        status = replicaset_status(
            replicaset, pods, lambda pod: waits[pod["metadata"]["uid"]] <= 0, text, self.clock.timestamp()
        )
        if status != (replicaset.get("status") or {}):
            self.api.update("replicasets", {**replicaset, "status": status}, subresource="status")
        if failure is not None:
            raise failure
        return min((wait for wait in waits.values() if wait > 0), default=None)

    def _since(self, pod: Object, now: float) -> float:
        return self._ready_since.get(pod["metadata"]["uid"], ("", now))[1]
