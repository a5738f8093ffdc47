"""The DaemonSet controller: one pod of a template on every node that takes it.

Source: kubernetes/pkg/controller/daemon/daemon_controller.go, update.go, util/daemonset_util.go.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from emulator.cluster.errors import ApiError
from emulator.cluster.objects import Object, clone, identity
from emulator.cluster.selectors import match_labels

from .controller import Controller, OwnerKeys, Source, is_ending
from .feasibility import daemon_fits
from .owners import Key, claim, controller_of, labels_of, owner_reference, references_with, references_without
from .podstates import is_ready
from .revisions import template_hash
from .rollout import amount

if TYPE_CHECKING:
    from emulator.cluster.watch import WatchEvent

__all__ = ["GENERATION", "HASH_LABEL", "DaemonSets"]

HASH_LABEL = "controller-revision-hash"
GENERATION = "deprecated.daemonset.template.generation"
_GENERATION_LABEL = "pod-template-generation"
# What a DaemonSet's pods stand that others do not (util.AddOrUpdateDaemonPodTolerations).
_TOLERATED = (
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
)
_BURST = 250


class DaemonSets(Controller):
    """Creates a pod for every node that should have one, replaces failed and outdated ones, and counts them.

    Revisions are told apart by a hash of the template; they are not kept as ControllerRevision objects.
    """

    component = "daemonset-controller"

    def start(self) -> None:
        """Forget which pods are known."""
        self._owners = OwnerKeys("DaemonSet")

    def sources(self) -> Mapping[str, Source]:
        """DaemonSets, the pods they own or could own, and every node."""
        return {
            "daemonsets": lambda event: (identity(event.object),),
            "pods": self._of_pod,
            "nodes": lambda _: [identity(each) for each in self.peek("daemonsets")],
        }

    def sync(self, key: Key) -> float | None:
        """Bring one DaemonSet's pods to every node that should have one, and write its status."""
        namespace, name = key
        try:
            daemonset = self.api.get("daemonsets", name, namespace)
        except ApiError as error:
            if error.code == 404:
                return None
            raise
        pods = self._claimed(daemonset)
        wanted = self._wanted(daemonset, {_target_of(pod) for pod in pods})
        if "deletionTimestamp" not in daemonset["metadata"]:
            self._place(daemonset, pods, wanted)
            self._update(daemonset, self._by_node(self._claimed(daemonset)), wanted)
        self._report(daemonset, self._by_node(self._claimed(daemonset)), wanted)
        return None

    def _of_pod(self, event: WatchEvent) -> Iterable[Key]:
        pod = event.object
        keys = self._owners(event)
        if controller_of(pod) is None and event.type != "DELETED":
            candidates = self.peek("daemonsets", pod["metadata"]["namespace"])
            keys |= {identity(each) for each in candidates if match_labels(each["spec"]["selector"], labels_of(pod))}
        return keys

    def _claimed(self, daemonset: Object) -> list[Object]:
        claims = claim(daemonset, self.peek("pods", daemonset["metadata"]["namespace"]))
        adopted = [self._patch_owners(pod, references_with(pod, daemonset)) for pod in claims.adopt]
        for pod in claims.release:
            self._patch_owners(pod, references_without(pod, daemonset["metadata"]["uid"]))
        return [*claims.owned, *adopted]

    def _patch_owners(self, pod: Object, references: list[Object]) -> Object:
        metadata = pod["metadata"]
        patch = {"metadata": {"uid": metadata["uid"], "ownerReferences": references or None}}
        return self.api.patch("pods", metadata["name"], patch, metadata["namespace"], kind="merge")

    def _wanted(self, daemonset: Object, having: set[str]) -> set[str]:
        """The nodes that should have a pod: those that take one, and those that have one and let it go on."""
        found = set()
        for node in self.peek("nodes"):
            name = node["metadata"]["name"]
            runs, goes_on = daemon_fits(self._pod(daemonset, name), node)
            if runs or (goes_on and name in having):
                found.add(name)
        return found

    @staticmethod
    def _by_node(pods: Iterable[Object]) -> dict[str, list[Object]]:
        """Pods by the node they are for, the oldest first; those that are going already left out."""
        found = defaultdict(list)
        for pod in sorted(pods, key=lambda pod: (pod["metadata"]["creationTimestamp"], pod["metadata"]["name"])):
            if "deletionTimestamp" not in pod["metadata"]:
                found[_target_of(pod)].append(pod)
        return found

    def _place(self, daemonset: Object, pods: Sequence[Object], wanted: set[str]) -> None:
        """Create where one is missing, delete where none should be, and replace what failed."""
        there = self._by_node(pods)
        # A node whose pod is still going gets its next one only when that is gone.
        going = {_target_of(pod) for pod in pods if "deletionTimestamp" in pod["metadata"]}
        for node, own in there.items():
            if node not in wanted:
                for pod in own:
                    self._delete(daemonset, pod)
                continue
            for pod in own:
                if (pod.get("status") or {}).get("phase") == "Failed":
                    name = "/".join(identity(pod))
                    text = f"Found failed daemon pod {name} on node {node}, will try to kill it"
                    self.event(daemonset, "Warning", "FailedDaemonPod", text)
                    self._delete(daemonset, pod)
            for pod in [pod for pod in own if (pod.get("status") or {}).get("phase") != "Failed"][1:]:
                self._delete(daemonset, pod)
        for node in sorted(wanted - set(there) - going)[:_BURST]:
            self._create(daemonset, node)

    def _update(self, daemonset: Object, there: Mapping[str, Sequence[Object]], wanted: set[str]) -> None:
        """Delete outdated pods, as many at a time as may be unavailable (rollingUpdate)."""
        strategy = daemonset["spec"]["updateStrategy"]
        if strategy["type"] != "RollingUpdate":
            return
        limit = (strategy.get("rollingUpdate") or {}).get("maxUnavailable", 1)
        most = max(amount(limit, len(wanted), up=True), 0)
        current = template_hash(daemonset["spec"]["template"])
        unavailable = sum(not any(map(is_ready, there.get(node, ()))) for node in wanted)
        outdated = [
            pod for node in sorted(wanted) for pod in there.get(node, ()) if labels_of(pod).get(HASH_LABEL) != current
        ]
        # Those that do not serve anyway go at once; of the others as many as may.
        for pod in [pod for pod in outdated if not is_ready(pod)]:
            self._delete(daemonset, pod)
        for pod in [pod for pod in outdated if is_ready(pod)][: max(most - unavailable, 0)]:
            self._delete(daemonset, pod)

    def _pod(self, daemonset: Object, node: str) -> Object:
        """The pod for a node: the template, bound to it by affinity, with what such pods tolerate."""
        template = daemonset["spec"]["template"]
        given = template.get("metadata") or {}
        spec = clone(template["spec"])
        term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
        affinity = spec.setdefault("affinity", {}).setdefault("nodeAffinity", {})
        affinity["requiredDuringSchedulingIgnoredDuringExecution"] = {"nodeSelectorTerms": [term]}
        own = spec.get("tolerations") or []
        added = [{"key": key, "operator": "Exists", "effect": effect} for key, effect in _TOLERATED]
        spec["tolerations"] = [*own, *(each for each in added if each not in own)]
        generation = (daemonset["metadata"].get("annotations") or {}).get(GENERATION, "1")
        labels = {
            **(given.get("labels") or {}),
            HASH_LABEL: template_hash(template),
            _GENERATION_LABEL: generation,
        }
        metadata = {
            **{key: clone(given[key]) for key in ("annotations", "finalizers") if given.get(key)},
            "labels": labels,
            "generateName": f"{daemonset['metadata']['name']}-",
            "namespace": daemonset["metadata"]["namespace"],
            "ownerReferences": [owner_reference(daemonset)],
        }
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}

    def _create(self, daemonset: Object, node: str) -> None:
        try:
            pod = self.api.create("pods", self._pod(daemonset, node), daemonset["metadata"]["namespace"])
        except ApiError as error:
            if is_ending(error):
                return
            self.event(daemonset, "Warning", "FailedCreate", f"Error creating: {error}")
            raise
        self.event(daemonset, "Normal", "SuccessfulCreate", f"Created pod: {pod['metadata']['name']}")

    def _delete(self, daemonset: Object, pod: Object) -> None:
        metadata = pod["metadata"]
        try:
            self.api.delete("pods", metadata["name"], metadata["namespace"], uid=metadata["uid"])
        except ApiError as error:
            if error.code == 404:
                return
            self.event(daemonset, "Warning", "FailedDelete", f"Error deleting: {error}")
            raise
        self.event(daemonset, "Normal", "SuccessfulDelete", f"Deleted pod: {metadata['name']}")

    def _report(self, daemonset: Object, there: Mapping[str, Sequence[Object]], wanted: set[str]) -> None:
        current = template_hash(daemonset["spec"]["template"])
        oldest = {node: there[node][0] for node in wanted if there.get(node)}
        ready = sum(is_ready(pod) for pod in oldest.values())
        counts = {
            "observedGeneration": daemonset["metadata"].get("generation", 0),
            "updatedNumberScheduled": sum(labels_of(pod).get(HASH_LABEL) == current for pod in oldest.values()),
            "numberAvailable": ready,
            "numberUnavailable": len(wanted) - ready,
        }
        status = {
            "currentNumberScheduled": len(oldest),
            "numberMisscheduled": sum(bool(there.get(node)) for node in there if node not in wanted),
            "desiredNumberScheduled": len(wanted),
            "numberReady": ready,
            **{key: count for key, count in counts.items() if count},
        }
        if status != (daemonset.get("status") or {}):
            self.api.update("daemonsets", {**daemonset, "status": status}, subresource="status")


def _target_of(pod: Object) -> str:
    """The node that a pod runs on, or is bound to by its affinity."""
    if pod["spec"].get("nodeName"):
        return str(pod["spec"]["nodeName"])
    affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    for term in (affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}).get("nodeSelectorTerms") or ():
        for field in term.get("matchFields") or ():
            if field["key"] == "metadata.name" and field["operator"] == "In":
                return str(field["values"][0])
    return ""
