"""What a target makes of trees: many images in one pod, surveyed by the probe; refused ones found and told apart."""

from __future__ import annotations

import dataclasses
import re
import secrets
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Self

from conformance.cluster import Cluster
from conformance.differential.trees import Tree, image_of
from conformance.kube import Object, path_of
from conformance.lab import Lab
from conformance.observation import Observation, is_settled, normalised, observe_pod
from conformance.oci import Repository
from conformance.targets import Target
from fixtures import forge

__all__ = ["Seen", "Surveyor"]

_AT = "/trees"
_MOUNTED = "mounted"
# A directory or file that no header dates has the time of its unpacking; clocks may differ by so many seconds.
_SLACK = 600
# How long a node may take over a tree, at its slowest.
_SECONDS_PER_TREE = 20.0


@dataclass(frozen=True)
class Seen:
    """What became of one tree: `mounted` with a line for every entry (fixtures/probe/survey.go), or why not.

    outcome is the waiting reason and message its text where it is not `mounted`, both as observations normalise them.
    """

    outcome: str
    message: str = ""
    files: Mapping[str, str] = field(default_factory=dict)


class Surveyor:
    """One target's view of trees, in a namespace and repositories of its own until `close`."""

    def __init__(self, target: Target, *, per_pod: int = 30, workers: int = 4) -> None:
        self.target = target
        self._per_pod = per_pod
        self._workers = workers
        self._run = f"differential-{secrets.token_hex(3)}"
        # A pod does here what thirty do elsewhere.
        target.patience = max(target.patience, _SECONDS_PER_TREE * per_pod)
        self._cluster = Cluster(target, self._run)
        Lab.prepare(target, self._run)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the namespace."""
        self._cluster.remove()

    def survey(
        self,
        trees: Sequence[Tree],
        *,
        refused: Collection[int] | None = None,
        tell: Callable[[int], None] = lambda _: None,
    ) -> list[Seen]:
        """What became of each tree, in their order.

        Trees that mount share a container; those that are refused would keep it from starting, and have one each.
        Whoever knows which are `refused` (by their numbers) saves the others' containers; no more than that depends
        on it. `tell` hears how many trees are done.
        """
        numbers = range(len(trees))
        apart = list(numbers) if refused is None else sorted(refused)
        together = [number for number in numbers if number not in set(apart)]
        found: dict[int, Seen] = {}
        with ThreadPoolExecutor(self._workers) as pool:
            references = dict(zip(numbers, pool.map(self._push, trees), strict=True))
            runs = [
                pool.submit(look, {number: references[number] for number in chosen[at : at + self._per_pod]})
                for look, chosen in ((self._apart, apart), (self._together, together))
                for at in range(0, len(chosen), self._per_pod)
            ]
            try:
                for run in runs:
                    found |= run.result()
                    tell(len(found))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return [found[number] for number in numbers]

    def _push(self, tree: Tree) -> str:
        """Push a tree's image, whose tag says what it is; its reference."""
        image = forge(image_of(tree), architecture=self.target.architecture)
        repository = Repository(self.target.registry, f"{self._run}/tree")
        tag = f"t{image.digest[7:27]}"
        repository.push(image, tag)
        return f"{repository.reference}:{tag}"

    def _together(self, references: Mapping[int, str]) -> dict[int, Seen]:
        """What became of images that one container mounts; if it does not start, each gets a container of its own."""
        (seen,) = self._look({"all": references}).values()
        if seen.outcome != _MOUNTED:
            return self._apart(references)
        return {number: Seen(_MOUNTED, files=seen.probe[f"{_AT}/{number}"]) for number in references}

    def _apart(self, references: Mapping[int, str]) -> dict[int, Seen]:
        """What became of images that a container each mounts; the kubelet starts those containers that it can."""
        containers = {f"tree-{number}": {number: reference} for number, reference in references.items()}
        found: dict[int, Seen] = {}
        for name, seen in self._look(containers).items():
            ((number, reference),) = containers[name].items()
            if seen.outcome == _MOUNTED:
                found[number] = Seen(_MOUNTED, files=seen.probe[f"{_AT}/{number}"])
            else:
                plain = normalised(seen, {reference: "<image>"})
                found[number] = Seen(plain.outcome, plain.message)
        return found

    def _look(self, containers: Mapping[str, Mapping[int, str]]) -> dict[str, Observation]:
        """Run a pod until all its containers have come to an end or are stuck: what was seen of each."""
        began = time.time()
        name = f"trees-{secrets.token_hex(5)}"
        self._cluster.create("pods", self._pod(name, containers))
        pod = self._cluster.wait("pods", name, _is_settled, "to have all containers ended or stuck")
        found = {}
        for status in pod["status"]["containerStatuses"]:
            ended = "terminated" in status["state"]
            log = self._cluster.log(name, status["name"]) if ended else ""
            phase = "" if not ended else "Failed" if status["state"]["terminated"]["exitCode"] else "Succeeded"
            seen = observe_pod({"status": {"phase": phase, "containerStatuses": [status]}}, [], log)
            surveys = {place: dict(_timeless(files, began)) for place, files in seen.probe.items()}
            found[status["name"]] = dataclasses.replace(seen, probe=surveys)
        self._cluster.kube.delete(path_of("pods", self._cluster.namespace, name), {"gracePeriodSeconds": "0"})
        return found

    def _pod(self, name: str, containers: Mapping[str, Mapping[int, str]]) -> Object:
        """A pod of root's, who sees everything."""
        return {
            "metadata": {"name": name},
            "spec": {
                "restartPolicy": "Never",
                "automountServiceAccountToken": False,
                "terminationGracePeriodSeconds": 1,
                "containers": [
                    {
                        "name": container,
                        "image": f"{self.target.registry.name}/{self._run}/probe:v1",
                        "args": ["survey", *(f"{_AT}/{number}" for number in references)],
                        "volumeMounts": [
                            {"name": f"v{number}", "mountPath": f"{_AT}/{number}"} for number in references
                        ],
                    }
                    for container, references in containers.items()
                ],
                "volumes": [
                    {"name": f"v{number}", "image": {"reference": reference, "pullPolicy": "IfNotPresent"}}
                    for references in containers.values()
                    for number, reference in references.items()
                ],
            },
        }


def _is_settled(pod: Object) -> bool:
    statuses = pod["status"].get("containerStatuses", [])
    return bool(statuses) and all(
        "terminated" in status["state"] or is_settled({"status": {"containerStatuses": [status]}})
        for status in statuses
    )


def _timeless(files: Mapping[str, str], began: float) -> Iterator[tuple[str, str]]:
    """The lines with `now` for a time of this run."""
    for name, line in files.items():
        words = line.split(" ", 3)
        if len(words) > 2 and _is_time(words[2]) and began - _SLACK < float(words[2]) < time.time() + _SLACK:
            words[2] = "now"
        yield name, " ".join(words)


def _is_time(word: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?", word) is not None
