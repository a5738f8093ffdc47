"""Where cases are run: repositories and a namespace of one test, and the steps from a case to an observation."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable
from functools import cached_property

from conformance.cluster import Cluster, NodeLostError
from conformance.faulting import faults
from conformance.kube import Object, RefusedError
from conformance.observation import Observation, is_settled, observe_pod
from conformance.oci import Repository
from conformance.pods import case_pod, pull_secret, usual_pod
from conformance.targets import HOSTNAME, Target
from fixtures import Case, Forged, ImageSpec, forge

__all__ = ["Lab"]

_PROBE = ImageSpec(layers=(), config={}, manifest={}, index=None, registry={}, program="probe")


class Lab:
    """One test's place on a target.

    prefix: where its repositories are; shared: where those are that all tests of a run use. Layers carry `nonce`, so
    that nothing another test pulled is there already.
    """

    def __init__(self, cluster: Cluster, prefix: str, shared: str, nonce: str) -> None:
        self.cluster = cluster
        self.target = cluster.target
        self.prefix = prefix
        self.shared = shared
        self.nonce = nonce

    @property
    def probe(self) -> str:
        """The reference of the probe's image."""
        return f"{self.target.registry.name}/{_probe_in(self.shared, self.target)}:v1"

    def repository(self, name: str, *, private: bool = False, faulty: bool = False) -> Repository:
        """One of this test's repositories; in the private registry, or the faulty one, if asked for."""
        target, endpoint = self.target, self.target.registry
        if private:
            assert target.private is not None, "this target has no registry that wants credentials"
            endpoint = target.private
        if faulty:
            assert target.faulty is not None, "this target has no registry that fails when it is told to"
            endpoint = target.faulty
        return Repository(endpoint, f"{self.prefix}/{name}")

    def forge(self, spec: ImageSpec, nonce: str = "") -> Forged:
        """Build an image for the target's nodes."""
        return forge(spec, architecture=self.target.architecture, nonce=nonce or self.nonce)

    def push(self, name: str, spec: ImageSpec, tag: str = "v1") -> str:
        """Build and push an image; its digest."""
        return self.repository(name).push(self.forge(spec), tag)

    def run(self, pod: Object) -> Observation:
        """Create a pod and watch it until it is settled; a test's pods that do not say where share a node."""
        name, host = pod["metadata"]["name"], self._host
        if not self.target.is_one_node:
            pod["spec"].setdefault("nodeSelector", {HOSTNAME: host})
        self.cluster.create("pods", pod)
        settled = self.cluster.wait("pods", name, is_settled, "to end or to be stuck")
        return self.observe(settled)

    @cached_property
    def _host(self) -> str:
        """The node of the test's pods: another for each test, of those that are there; empty if none takes pods."""
        hosts = self.target.hosts
        first = zlib.crc32(self.nonce.encode()) % len(hosts) if hosts else 0
        for host in (turned := [*hosts[first:], *hosts[:first]]):
            if not self.target.trouble([host]):
                return host
        if turned:
            raise NodeLostError(self.target.trouble(hosts))
        return ""

    def look(self, pod: Object) -> Observation:
        """Run a pod whose container must run to its end, and say what it saw."""
        seen = self.run(pod)
        assert seen.outcome == "mounted", f"expected the pod to run to its end, saw {seen.brief()}"
        return seen

    def observe(self, pod: Object) -> Observation:
        """The observation of a settled pod."""
        name = pod["metadata"]["name"]
        log = ""
        if pod["status"].get("phase") in {"Succeeded", "Failed"}:
            log = self.cluster.log(name, pod["spec"]["containers"][0]["name"])
        return observe_pod(pod, self.cluster.events(name), log)

    def pull(self, reference: str) -> None:
        """Make the node have an image, by a pod of its own whose volume it is, whether or not that can be mounted."""
        name = "puller-" + str(len(self.cluster.all("pods")))
        seen = self.run(usual_pod(name, image=self.probe, reference=reference))
        assert seen.outcome != "ErrImagePull", f"an image that should have been there was not pulled: {seen.message}"

    def run_case(
        self, case: Case, *, enough: Callable[[Observation], bool] = lambda _: True, quiet: float = 0.0
    ) -> Observation:
        """Push a case's images, run its pod, and say what was seen.

        `enough` may ask to wait for more events; `quiet` for so many seconds in which there are none.
        """
        name = f"case-{case.name.lower().replace('+', '-')}"
        with contextlib.ExitStack() as stack:
            return self._run_case(case, name, enough, quiet, stack)

    def _run_case(
        self,
        case: Case,
        name: str,
        enough: Callable[[Observation], bool],
        quiet: float,
        stack: contextlib.ExitStack,
    ) -> Observation:
        first = next(iter(case.images))
        source = self.target.registry
        if case.faults:
            forged = {image: self.forge(spec) for image, spec in case.images.items()}
            repository = self.repository(first, faulty=True)
            source = repository.endpoint
            digests = [self.repository(image, faulty=True).push(one, "v1") for image, one in forged.items()]
            stack.enter_context(faults(repository, forged[first], case.faults))
        else:
            digests = [self.push(image, spec) for image, spec in case.images.items()]
        places = {
            "registry": self.target.registry.name,
            "source": source.name,
            "private": self.target.private.name if self.target.private else "",
            "closed": self.target.description.closed,
            "lab": self.prefix,
            "probe": _probe_in(self.shared, self.target),
            "first": first,
            "digest": digests[0],
        }
        for image in case.present:
            self.pull(f"{self.repository(image).reference}:v1")
        if case.namespace:
            self.cluster.label(case.namespace)
        if kind := case.pod.get("secret"):
            assert self.target.private is not None, "this target has no registry that wants credentials"
            self.cluster.create(
                "secrets",
                pull_secret(self.target.private, password=None if kind == "right" else "not-" + self.nonce),
            )
        try:
            seen = self.run(case_pod(name, case.pod, places))
        except RefusedError as refused:
            return Observation(rejected=str(refused))
        if quiet:
            self.cluster.wait_quiet(name, quiet)
            return self.observe(self.cluster.get("pods", name))
        return seen if enough(seen) else self._once_more(name, enough)

    def _once_more(self, name: str, enough: Callable[[Observation], bool]) -> Observation:
        def look(_: Object) -> bool:
            return enough(self.observe(self.cluster.get("pods", name)))

        self.cluster.wait_event(name, look, "all that the case calls for")
        return self.observe(self.cluster.get("pods", name))

    @staticmethod
    def prepare(target: Target, shared: str) -> None:
        """Push what every test uses: the probe's image, for the nodes of every pool."""
        for part in [target.of_pool(pool) for pool in target.description.pools if target.of_pool(pool).hosts] or [
            target
        ]:
            image = forge(_PROBE, architecture=part.architecture)
            Repository(target.registry, _probe_in(shared, part)).push(image, "v1")


def _probe_in(shared: str, target: Target) -> str:
    """The repository of the probe's image; one an architecture where there are pools, which may differ in it."""
    return f"{shared}/probe-{target.architecture}" if target.pool else f"{shared}/probe"
