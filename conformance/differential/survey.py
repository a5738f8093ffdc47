"""What a target makes of trees: many images in one pod, surveyed by the probe; refused ones found and told apart."""

from __future__ import annotations

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
        alone: Collection[int] = (),
        tell: Callable[[int], None] = lambda _: None,
    ) -> list[Seen]:
        """What became of each tree, in their order.

        Trees share pods, but for those whose number is in `alone`: known to fail, they would stop the pod of the
        others, which then has to be run again without them. `tell` hears how many are done.
        """
        found: dict[int, Seen] = {}
        together = [number for number in range(len(trees)) if number not in alone]
        groups = [[number] for number in sorted(alone)]
        groups += [together[at : at + self._per_pod] for at in range(0, len(together), self._per_pod)]
        with ThreadPoolExecutor(self._workers) as pool:
            references = dict(enumerate(pool.map(self._push, trees)))
            runs = [pool.submit(self._group, {number: references[number] for number in group}) for group in groups]
            try:
                for run in runs:
                    found |= run.result()
                    tell(len(found))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return [found[number] for number in range(len(trees))]

    def _push(self, tree: Tree) -> str:
        """Push a tree's image, whose tag says what it is; its reference."""
        image = forge(image_of(tree), architecture=self.target.architecture)
        repository = Repository(self.target.registry, f"{self._run}/tree")
        tag = f"t{image.digest[7:27]}"
        repository.push(image, tag)
        return f"{repository.reference}:{tag}"

    def _group(self, references: dict[int, str]) -> dict[int, Seen]:
        """Mount images in one pod, without those that turn out to stop it."""
        found: dict[int, Seen] = {}
        while references:
            began = time.time()
            seen = self._look(references)
            if seen.outcome == _MOUNTED:
                for number, files in _listings(seen, references):
                    found[number] = Seen(_MOUNTED, files=dict(_timeless(files, began)))
                return found
            culprits = [number for number, reference in references.items() if f'"{reference}"' in seen.message]
            if len(references) == 1 or len({references[number] for number in culprits}) == 1:
                refused = culprits or list(references)
                for number in refused:
                    plain = normalised(seen, {references[number]: "<image>"})
                    found[number] = Seen(plain.outcome, plain.message)
                    del references[number]
                continue
            # The message does not say which of them: each half by itself.
            numbers = list(references)
            for half in (numbers[: len(numbers) // 2], numbers[len(numbers) // 2 :]):
                found |= self._group({number: references[number] for number in half})
            return found
        return found

    def _look(self, references: Mapping[int, str]) -> Observation:
        name = f"trees-{secrets.token_hex(5)}"
        self._cluster.create("pods", self._pod(name, references))
        settled = self._cluster.wait("pods", name, is_settled, "to end or to be stuck")
        log = self._cluster.log(name) if settled["status"]["phase"] in {"Succeeded", "Failed"} else ""
        self._cluster.kube.delete(path_of("pods", self._cluster.namespace, name), {"gracePeriodSeconds": "0"})
        return observe_pod(settled, [], log)

    def _pod(self, name: str, references: Mapping[int, str]) -> Object:
        """A pod of root's, who sees everything."""
        places = {number: f"{_AT}/{number}" for number in references}
        return {
            "metadata": {"name": name},
            "spec": {
                "restartPolicy": "Never",
                "automountServiceAccountToken": False,
                "terminationGracePeriodSeconds": 1,
                "containers": [
                    {
                        "name": "probe",
                        "image": f"{self.target.registry.name}/{self._run}/probe:v1",
                        "args": ["survey", *places.values()],
                        "volumeMounts": [{"name": f"v{number}", "mountPath": at} for number, at in places.items()],
                    }
                ],
                "volumes": [
                    {"name": f"v{number}", "image": {"reference": reference, "pullPolicy": "IfNotPresent"}}
                    for number, reference in references.items()
                ],
            },
        }


def _listings(seen: Observation, references: Mapping[int, str]) -> Iterator[tuple[int, Mapping[str, str]]]:
    for number in references:
        yield number, seen.probe[f"{_AT}/{number}"]


def _timeless(files: Mapping[str, str], began: float) -> Iterator[tuple[str, str]]:
    """The lines with `now` for a time of this run."""
    for name, line in files.items():
        words = line.split(" ", 3)
        if len(words) > 2 and _is_time(words[2]) and began - _SLACK < float(words[2]) < time.time() + _SLACK:
            words[2] = "now"
        yield name, " ".join(words)


def _is_time(word: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?", word) is not None
