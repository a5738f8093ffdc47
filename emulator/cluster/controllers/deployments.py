"""The Deployment controller: ReplicaSets that lead from one template to the next (pkg/controller/deployment)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from emulator.cluster.errors import ApiError
from emulator.cluster.objects import Object, clone, identity

from .conditions import condition, set_condition
from .controller import Controller, OwnerKeys, Source
from .owners import Key, claim, controller_of, is_controlled_by, references_with, references_without
from .podstates import is_terminal
from .progress import (
    basic_status,
    deadline,
    has_advanced,
    is_complete,
    is_waiting,
    pause_status,
    progressing,
    rollout_status,
)
from .revisions import (
    REVISION,
    annotations_for,
    expired,
    find_new,
    new_replicaset,
    next_revision,
    same_template,
)
from .rollout import (
    DESIRED,
    MAX,
    fenceposts,
    initial_size,
    is_scaling,
    proportional_step,
    recreate_down,
    rolling_step,
)

if TYPE_CHECKING:
    from emulator.cluster.watch import WatchEvent

__all__ = ["Deployments"]


class Deployments(Controller):
    """Rolls a Deployment's template out, and reports how that goes."""

    component = "deployment-controller"

    def start(self) -> None:
        """Forget what is known of ReplicaSets and of progress."""
        self._owners = OwnerKeys("Deployment")
        self._progressed: dict[str, float] = {}

    def sources(self) -> Mapping[str, Source]:
        """Deployments, their ReplicaSets, and the ReplicaSets they could adopt."""
        return {"deployments": self._of_deployment, "replicasets": self._of_replicaset}

    def sync(self, key: Key) -> float | None:
        """Take one Deployment one step further."""
        namespace, name = key
        try:
            deployment = self.api.get("deployments", name, namespace)
        except ApiError as error:
            if error.code == 404:
                return None
            raise
        sets = self._claimed(deployment)
        if "deletionTimestamp" in deployment["metadata"]:
            new = find_new(deployment, sets)
            return self._write(deployment, basic_status(deployment, new, _others(sets, new), self.clock.timestamp()))
        paused = pause_status(deployment, self.clock.timestamp())
        if paused is not None:
            deployment = self._put_status(deployment, paused)
        if deployment["spec"].get("paused") or is_scaling(deployment, sets):
            return self._scale(deployment, sets)
        if (deployment["spec"].get("strategy") or {}).get("type") == "Recreate":
            return self._recreate(deployment, sets)
        return self._roll(deployment, sets)

    def _of_deployment(self, event: WatchEvent) -> tuple[Key]:
        if event.type == "DELETED":
            self._progressed.pop(event.object["metadata"]["uid"], None)
        return (identity(event.object),)

    def _of_replicaset(self, event: WatchEvent) -> set[Key]:
        keys = self._owners(event)
        if controller_of(event.object) is None and event.type != "DELETED":
            candidates = self.peek("deployments", event.object["metadata"]["namespace"])
            keys |= {identity(each) for each in candidates if claim(each, (event.object,)).adopt}
        return keys

    def _claimed(self, deployment: Object) -> list[Object]:
        """The Deployment's ReplicaSets, after adopting and letting go."""
        claims = claim(deployment, self.api.list("replicasets", deployment["metadata"]["namespace"]).items)
        adopted = [self._patch_owners(each, references_with(each, deployment)) for each in claims.adopt]
        for each in claims.release:
            self._patch_owners(each, references_without(each, deployment["metadata"]["uid"]))
        return [*claims.owned, *adopted]

    def _patch_owners(self, replicaset: Object, references: list[Object]) -> Object:
        metadata = replicaset["metadata"]
        patch = {"metadata": {"uid": metadata["uid"], "ownerReferences": references or None}}
        return self.api.patch("replicasets", metadata["name"], patch, metadata["namespace"], kind="merge")

    def _scale(self, deployment: Object, sets: Sequence[Object]) -> float | None:
        """spec.replicas changed, or the rollout is paused: sizes follow, templates do not."""
        deployment, new, olds = self._revised(deployment, sets)
        new, olds = self._resize(deployment, new, olds, proportional_step(deployment, new, olds))
        if deployment["spec"].get("paused"):
            self._clean(deployment, olds)
        return self._write(deployment, basic_status(deployment, new, olds, self.clock.timestamp()))

    def _roll(self, deployment: Object, sets: Sequence[Object]) -> float | None:
        deployment, new, olds = self._revised(deployment, sets)
        if new is None:
            deployment, new = self._create(deployment, olds)
        sizes = rolling_step(deployment, new, olds)
        if sizes:
            new, olds = self._resize(deployment, new, olds, sizes)
        elif is_complete(deployment, deployment.get("status") or {}):
            self._clean(deployment, olds)
        return self._write_rollout(deployment, new, olds)

    def _recreate(self, deployment: Object, sets: Sequence[Object]) -> float | None:
        deployment, new, olds = self._revised(deployment, sets)
        sizes = recreate_down(olds)
        if sizes:
            new, olds = self._resize(deployment, new, olds, sizes)
            return self._write_rollout(deployment, new, olds)
        if self._has_pods(olds):
            return self._write_rollout(deployment, new, olds)
        if new is None:
            deployment, new = self._create(deployment, olds)
        new, olds = self._resize(deployment, new, olds, {new["metadata"]["name"]: deployment["spec"]["replicas"]})
        if is_complete(deployment, deployment.get("status") or {}):
            self._clean(deployment, olds)
        return self._write_rollout(deployment, new, olds)

    def _has_pods(self, olds: Sequence[Object]) -> bool:
        """Whether a pod of an old template is still there, be it that it ends."""
        pods = self.peek("pods", olds[0]["metadata"]["namespace"]) if olds else []
        return any(not is_terminal(pod) and is_controlled_by(pod, old) for old in olds for pod in pods)

    def _revised(self, deployment: Object, sets: Sequence[Object]) -> tuple[Object, Object | None, list[Object]]:
        """New and old ReplicaSets; the new one carries the highest revision, and the Deployment the same."""
        new = find_new(deployment, sets)
        olds = _others(sets, new)
        if new is None:
            return deployment, None, olds
        annotations = annotations_for(deployment, new, next_revision(olds))
        patience = deployment["spec"].get("minReadySeconds", 0)
        if annotations != new["metadata"].get("annotations") or patience != new["spec"].get("minReadySeconds", 0):
            new["metadata"]["annotations"] = annotations
            new["spec"]["minReadySeconds"] = patience
            new = self.api.update("replicasets", new)
        deployment = self._number(deployment, annotations[REVISION])
        status = deployment.get("status") or {}
        if deadline(deployment) is not None and condition(status, "Progressing") is None:
            text = f'Found new replica set "{new["metadata"]["name"]}"'
            deployment = self._progress(deployment, progressing("FoundNewReplicaSet", text, self.clock.timestamp()))
        return deployment, new, olds

    def _number(self, deployment: Object, revision: str) -> Object:
        metadata = deployment["metadata"]
        if (metadata.get("annotations") or {}).get(REVISION) == revision:
            return deployment
        patch = {"metadata": {"annotations": {REVISION: revision}}}
        return self.api.patch("deployments", metadata["name"], patch, metadata["namespace"], kind="merge")

    def _progress(self, deployment: Object, told: Object) -> Object:
        status = clone(deployment.get("status") or {})
        set_condition(status, told)
        return self._put_status(deployment, status)

    def _create(self, deployment: Object, olds: Sequence[Object]) -> tuple[Object, Object]:
        """The ReplicaSet for a template that has none."""
        fresh = new_replicaset(deployment, initial_size(deployment, olds), next_revision(olds))
        name, now = fresh["metadata"]["name"], self.clock.timestamp()
        try:
            new = self.api.create("replicasets", fresh)
        except ApiError as error:
            if error.status.get("reason") == "AlreadyExists":
                self._collided(deployment, name)
            else:
                text = f'Failed to create new replica set "{name}": {error}'
                if deadline(deployment) is not None:
                    failed = {**progressing("ReplicaSetCreateError", text, now), "status": "False"}
                    self._progress(deployment, failed)
                self.event(deployment, "Warning", "ReplicaSetCreateError", text)
            raise
        size = new["spec"]["replicas"]
        if size:
            self.event(deployment, "Normal", "ScalingReplicaSet", f"Scaled up replica set {name} from 0 to {size}")
        deployment = self._number(deployment, new["metadata"]["annotations"][REVISION])
        if deadline(deployment) is not None:
            told = progressing("NewReplicaSetCreated", f'Created new replica set "{name}"', now)
            deployment = self._progress(deployment, told)
        return deployment, new

    def _collided(self, deployment: Object, name: str) -> None:
        """Another template has this hash: count that, so that the next try has another name."""
        there = self.api.get("replicasets", name, deployment["metadata"]["namespace"])
        if is_controlled_by(there, deployment) and same_template(
            there["spec"]["template"], deployment["spec"]["template"]
        ):
            return
        status = deployment.get("status") or {}
        self._put_status(deployment, {**status, "collisionCount": status.get("collisionCount", 0) + 1})

    def _resize(
        self, deployment: Object, new: Object | None, olds: Sequence[Object], sizes: Mapping[str, int]
    ) -> tuple[Object | None, list[Object]]:
        """Write these sizes, and in the annotations what they were computed from."""
        written = [self._sized(deployment, each, sizes) for each in olds]
        return (None if new is None else self._sized(deployment, new, sizes)), written

    def _sized(self, deployment: Object, replicaset: Object, sizes: Mapping[str, int]) -> Object:
        name = replicaset["metadata"]["name"]
        if name not in sizes:
            return replicaset
        wanted = deployment["spec"]["replicas"]
        before, size = replicaset["spec"]["replicas"], sizes[name]
        marks = {DESIRED: str(wanted), MAX: str(wanted + fenceposts(deployment).surge)}
        annotations = replicaset["metadata"].get("annotations") or {}
        if before == size and marks.items() <= annotations.items():
            return replicaset
        replicaset["metadata"]["annotations"] = {**annotations, **marks}
        replicaset["spec"]["replicas"] = size
        replicaset = self.api.update("replicasets", replicaset)
        if before != size:
            way = "up" if size > before else "down"
            text = f"Scaled {way} replica set {name} from {before} to {size}"
            self.event(deployment, "Normal", "ScalingReplicaSet", text)
        return replicaset

    def _clean(self, deployment: Object, olds: Sequence[Object]) -> None:
        """Delete what revisionHistoryLimit does not keep."""
        for name in expired(deployment, olds):
            self.api.delete("replicasets", name, deployment["metadata"]["namespace"])

    def _write_rollout(self, deployment: Object, new: Object | None, olds: Sequence[Object]) -> float | None:
        uid, limit, now = deployment["metadata"]["uid"], deadline(deployment), self.clock.now()
        since = self._progressed.setdefault(uid, now)
        overdue = limit is not None and now - since >= limit
        status = rollout_status(deployment, new, olds, self.clock.timestamp(), overdue=overdue)
        if has_advanced(deployment.get("status") or {}, status):
            self._progressed[uid] = now
        return self._write(deployment, status)

    def _write(self, deployment: Object, status: Object) -> float | None:
        """Write a status that changed; when to look whether the rollout is stuck."""
        deployment = self._put_status(deployment, status)
        limit = deadline(deployment)
        if limit is None or deployment["spec"].get("paused") or not is_waiting(deployment, status):
            return None
        return max(0.0, self._progressed[deployment["metadata"]["uid"]] + limit - self.clock.now())

    def _put_status(self, deployment: Object, status: Object) -> Object:
        before = deployment.get("status") or {}
        if status == before:
            return deployment
        if condition(status, "Progressing") != condition(before, "Progressing"):
            # The deadline counts from here on our clock: the condition's own time is in whole seconds.
            self._progressed[deployment["metadata"]["uid"]] = self.clock.now()
        return self.api.update("deployments", {**deployment, "status": status}, subresource="status")


def _others(sets: Sequence[Object], new: Object | None) -> list[Object]:
    return [each for each in sets if new is None or each["metadata"]["uid"] != new["metadata"]["uid"]]
