"""A namespace of the target: what a test makes there, waits for there, and leaves behind as evidence.

Nothing sleeps: waiting is watching.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import yaml

from conformance.kube import Kube, Object, RefusedError, path_of
from conformance.observation import plight_of, symbolic
from conformance.targets import HOSTNAME, Target

__all__ = ["RUN_LABEL", "Cluster", "NodeLostError", "NotSeenError"]

# What the namespaces of a run have in common: what is left of a lost run is found by it.
RUN_LABEL = "imgvol.dev/run"
_WORKLOADS = ("daemonsets", "deployments", "replicasets")
_HIDDEN = "<redacted>"
# So often, in seconds, whoever waits asks whether the nodes are there that it waits for.
_LOOK = 10.0
# A kubelet that has not renewed its node's Lease for so many seconds is away (leaseDurationSeconds).
_SILENCE = 40.0
_FROM_BEHIND = 500


class NotSeenError(AssertionError):
    """What a claim waits for did not come."""


class NodeLostError(Exception):
    """A node went away that a claim's pods were for: what became of them says nothing of the claim."""


class Cluster:
    """One namespace, made here.

    Methods raise RefusedError for what the API refuses, NotSeenError for what never came, and NodeLostError where a
    node went away that it should have come from.
    """

    def __init__(self, target: Target, namespace: str, labels: Mapping[str, str] | None = None) -> None:
        self.target = target
        self.namespace = namespace
        self.kube = Kube(target.kube)
        self._hosts: set[str] = set()
        self._doubted = False
        labels = {RUN_LABEL: target.description.run, **(labels or {})}
        self.kube.create(path_of("namespaces"), {"metadata": {"name": namespace, "labels": labels}})
        self.wait("serviceaccounts", "default", lambda _: True, "to exist")

    def remove(self) -> None:
        """Delete the namespace and all in it; does not wait for it to be gone."""
        self.kube.delete(path_of("namespaces", name=self.namespace))

    def nodes(self) -> list[str]:
        """The nodes that take pods (`kubernetes.io/hostname`); those that have gone away since come last."""
        there = set(self.target.there)
        return sorted(self.target.hosts, key=lambda host: host not in there)

    def depend_on(self, hosts: Iterable[str]) -> None:
        """What is judged here is not to be judged without these nodes, whether or not a pod gets there."""
        self._hosts |= set(hosts)

    def lost(self) -> str:
        """What has become of the nodes that the namespace's pods are for, or were; empty if they are there.

        Where pods were waited for in vain, or did not answer, their nodes have to give a sign of life first: Kubernetes
        takes most of a minute to notice that one is gone.
        """
        self._note(*self.all("pods"))
        if not self._hosts:
            # No node took a pod: it matters only if there is none left to take one.
            return "" if self.target.there else self.target.trouble()
        if told := self.target.trouble(self._hosts):
            return told
        return self.target.silence(self._hosts, _SILENCE) if self._doubted else ""

    def label(self, labels: Mapping[str, str]) -> None:
        """Put labels on the namespace."""
        self.kube.patch(path_of("namespaces", name=self.namespace), {"metadata": {"labels": dict(labels)}})

    def create(self, resource: str, body: Object, *, dry_run: bool = False) -> Object:
        """Create an object in the namespace, or only hear what it would become; its pods are for the target's pool."""
        query = {"dryRun": "All"} if dry_run else {}
        body = copy.deepcopy(body)
        if resource == "pods":
            self.target.place(body["spec"])
        elif resource in _WORKLOADS:
            self.target.place(body["spec"]["template"]["spec"])
        created: Object = self.kube.create(path_of(resource, self.namespace), body, query)
        self._note(created)
        return created

    def get(self, resource: str, name: str) -> Object:
        """An object as it is now."""
        found: Object = self.kube.get(path_of(resource, self.namespace, name))
        return found

    def all(self, resource: str, labels: str = "", fields: str = "") -> list[Object]:
        """The namespace's objects of a kind, by selectors."""
        query = {key: value for key, value in (("labelSelector", labels), ("fieldSelector", fields)) if value}
        items: list[Object] = self.kube.get(path_of(resource, self.namespace), query)["items"]
        return items

    def _note(self, *objects: Object) -> None:
        """Remember which nodes pods are on, or are for."""
        for spec in (each.get("spec") or {} for each in objects):
            host = spec.get("nodeName") or (spec.get("nodeSelector") or {}).get(HOSTNAME)
            self._hosts |= {host} if host else set()

    def patch(self, resource: str, name: str, body: Object) -> Object:
        """Change an object by a strategic merge patch."""
        patched: Object = self.kube.patch(path_of(resource, self.namespace, name), body)
        return patched

    def delete(self, resource: str, name: str) -> None:
        """Delete an object and wait until it is gone."""
        self.kube.delete(path_of(resource, self.namespace, name))
        self.wait_gone(resource, name)

    def wait(
        self, resource: str, name: str, until: Callable[[Object], bool], what: str, since: Object | None = None
    ) -> Object:
        """Watch an object until it is as wanted, and return it so; `what` completes "waited for pods/a …".

        With `since`, an earlier state of the object, nothing that became of it after that is missed.
        """
        return self._watch(
            resource,
            f"metadata.name={name}",
            lambda event: event["type"] in {"ADDED", "MODIFIED"} and until(event["object"]),
            f"{resource}/{name} {what}",
            since=since,
        )

    def wait_gone(self, resource: str, name: str) -> None:
        """Watch until an object no longer exists."""
        if self.all(resource, fields=f"metadata.name={name}"):
            self._watch(
                resource,
                f"metadata.name={name}",
                lambda event: event["type"] == "DELETED",
                f"{resource}/{name} to be gone",
                done=lambda: not self.all(resource, fields=f"metadata.name={name}"),
            )

    def wait_event(self, pod: str, until: Callable[[Object], bool], what: str) -> Object:
        """Watch a pod's events until one is as wanted."""
        return self._watch(
            "events",
            f"involvedObject.name={pod}",
            lambda event: event["type"] in {"ADDED", "MODIFIED"} and until(event["object"]),
            f"an event of pods/{pod}: {what}",
        )

    def wait_quiet(self, pod: str, seconds: float) -> None:
        """Watch a pod's events until no new one has come for some seconds.

        One that repeats is not new, nor is one in which only what differs every time does, such as a container's id.
        """
        query = {"fieldSelector": f"involvedObject.name={pod}"}
        path = path_of("events", self.namespace)
        listed = self.kube.get(path, query)
        known = {_gist(event) for event in listed["items"]}
        query["resourceVersion"] = listed["metadata"]["resourceVersion"]
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            for event in self.kube.watch(path, query, left):
                query["resourceVersion"] = event["object"]["metadata"]["resourceVersion"]
                if event["type"] == "ADDED" and (gist := _gist(event["object"])) not in known:
                    known.add(gist)
                    deadline = time.monotonic() + seconds
                    break

    def events(self, pod: str) -> list[Object]:
        """A pod's events, in the order in which each first happened."""
        found = self.all("events", fields=f"involvedObject.name={pod}")
        # Names carry the time of the first occurrence in hexadecimal nanoseconds; time stamps only have seconds.
        return sorted(found, key=lambda event: (event["firstTimestamp"], event["metadata"]["name"].rsplit(".", 1)[-1]))

    def log(self, pod: str, container: str = "", **query: str) -> str:
        """What a container has written so far."""
        asked = {**query, **({"container": container} if container else {})}
        try:
            return self.kube.read(path_of("pods", self.namespace, pod, "log"), asked).decode()
        except RefusedError as refused:
            self._doubted |= refused.code >= _FROM_BEHIND
            raise

    def fetch(self, pod: str, port: int, path: str, method: str = "GET") -> tuple[int, bytes]:
        """Ask a pod's port through the API server: status and body."""
        return self._proxy(path_of("pods", self.namespace, f"{pod}:{port}", "proxy") + path, method)

    def fetch_service(self, service: str, path: str) -> tuple[int, bytes]:
        """GET from a service's port 80 through the API server: status and body."""
        return self._proxy(path_of("services", self.namespace, f"{service}:80", "proxy") + path)

    def _proxy(self, path: str, method: str = "GET") -> tuple[int, bytes]:
        try:
            return 200, self.kube.read(path, method=method)
        except RefusedError as refused:
            self._doubted |= refused.code >= _FROM_BEHIND
            return refused.code, str(refused).encode()

    def evidence(self) -> str:
        """Everything in the namespace that helps to understand a failure, as YAML, without secrets."""
        pods = self.all("pods")
        for pod in pods:
            pod["metadata"].pop("managedFields", None)
        found: dict[str, Any] = {
            "nodes": [vars(node) for node in self.target.fingerprint.nodes],
            "events": [
                f"{event['type']} {event['reason']} {event['involvedObject']['name']}: {event['message']}"
                for event in self.all("events")
            ],
            "pods": pods,
        }
        return self.redacted(yaml.safe_dump(found, sort_keys=False, width=140, allow_unicode=True))

    def redacted(self, text: str) -> str:
        """The text without the passwords that the suite knows."""
        for endpoint in (self.target.registry, self.target.private):
            if endpoint and endpoint.password:
                text = text.replace(endpoint.password, _HIDDEN)
        return text

    def _watch(
        self,
        resource: str,
        fields: str,
        wanted: Callable[[Object], bool],
        what: str,
        done: Callable[[], bool] = lambda: False,
        since: Object | None = None,
    ) -> Object:
        deadline = time.monotonic() + self.target.patience
        seen: Object = {}
        query = {"fieldSelector": fields}
        if since:
            query["resourceVersion"] = since["metadata"]["resourceVersion"]
        while (left := deadline - time.monotonic()) > 0:
            for event in self.kube.watch(path_of(resource, self.namespace), query, min(left, _LOOK)):
                seen = event["object"]
                if wanted(event):
                    return seen
            if done():
                return seen
            if lost := self._lost_by_now():
                raise NodeLostError(f"{lost}; waited for {what}")
        self._doubted = True
        raise NotSeenError(f"waited {self.target.patience:.0f} s in vain for {what}; {self._plight(seen)}")

    def _lost_by_now(self) -> str:
        self._note(*self.all("pods"))
        return self.target.trouble(self._hosts) if self._hosts else ""

    def _plight(self, seen: Object) -> str:
        """What keeps the namespace's pods, by their states and warnings; if nothing does, what was last seen."""
        told = [plight for pod in self.all("pods") if (plight := plight_of(pod, self.events(pod["metadata"]["name"])))]
        if not told:
            told = [f"last seen: {json.dumps(seen.get('status', seen)) if seen else 'nothing'}"]
        return self.redacted("; ".join(told))


def _gist(event: Object) -> tuple[str, str, str]:
    message = symbolic(event["message"], {})
    return event["reason"], message, event["involvedObject"].get("fieldPath", "")
