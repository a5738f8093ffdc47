"""Content changes as a roll-out of k8s/deployment.yaml: forward, back, and into a wall."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from conformance.claims import claim
from conformance.engine import DEPLOYMENT, PROJECT_CONTENT, content_image, deploy, is_ready, served, tree_of, updated
from conformance.kube import Object
from conformance.lab import Lab

_PROJECT = "project: roll-out and roll-back by digest"


@pytest.fixture
def next_content(tmp_path: Path) -> Path:
    """The project's content with a change: one file more."""
    directory = tmp_path / "content"
    shutil.copytree(PROJECT_CONTENT, directory, symlinks=True)
    (directory / "NEWS.txt").write_text("the next version\n")
    return directory


@claim("rollout/new-digest-loses-no-request", source=_PROJECT)
def test_forward(lab: Lab, next_content: Path, evidence: list[str]) -> None:
    """Rolling out the next digest serves its tree in the end, and no request fails on the way."""
    deploy(lab, content_image(lab, PROJECT_CONTENT))
    with _asking(lab) as answers:
        _set_reference(lab, content_image(lab, next_content, "v2.0.0"))
        updated(lab)
    assert served(lab) == tree_of(next_content)
    evidence.append(f"{len(answers)} requests during the roll-out")
    assert answers, "no request was made during the roll-out"
    assert {code for code, _ in answers} == {200}, [answer for answer in answers if answer[0] != 200][:3]
    trees = {json.dumps(json.loads(body), sort_keys=True) for _, body in answers}
    assert trees <= {json.dumps(tree_of(content), sort_keys=True) for content in (PROJECT_CONTENT, next_content)}


@claim("rollout/back-to-the-old-digest-is-byte-identical", source=_PROJECT)
def test_back(lab: Lab, next_content: Path) -> None:
    """Rolling back to the old digest serves the very bytes that it served before, from the old ReplicaSet."""
    old = content_image(lab, PROJECT_CONTENT)
    deploy(lab, old)
    before = lab.cluster.fetch_service(DEPLOYMENT, "/tree")
    (old_set,) = lab.cluster.all("replicasets")
    _set_reference(lab, content_image(lab, next_content, "v2.0.0"))
    updated(lab)
    assert lab.cluster.fetch_service(DEPLOYMENT, "/tree") != before
    _set_reference(lab, old)
    updated(lab)
    assert lab.cluster.fetch_service(DEPLOYMENT, "/tree") == before
    sets = {found["metadata"]["name"]: found["spec"]["replicas"] for found in lab.cluster.all("replicasets")}
    assert sets.pop(old_set["metadata"]["name"]) == 1
    assert list(sets.values()) == [0]


@claim("rollout/bad-digest-leaves-the-old-version-serving", source=_PROJECT)
def test_bad_digest(lab: Lab) -> None:
    """A roll-out to a digest that is not there leaves the old version serving, and the new pod saying why."""
    good = content_image(lab, PROJECT_CONTENT)
    deploy(lab, good)
    _set_reference(lab, f"{good.split('@')[0]}@sha256:{'0' * 64}")
    lab.cluster.wait(
        "deployments", DEPLOYMENT, lambda found: found["status"].get("unavailableReplicas", 0) == 1, "to try"
    )
    stuck = next(pod for pod in lab.cluster.all("pods", labels="app=demo-engine") if not is_ready(pod))
    lab.cluster.wait("pods", stuck["metadata"]["name"], _cannot_pull, "to fail to pull")
    assert served(lab) == tree_of(PROJECT_CONTENT)
    assert lab.cluster.get("deployments", DEPLOYMENT)["status"]["availableReplicas"] == 1


def _set_reference(lab: Lab, reference: str) -> None:
    volume = {"name": "project-content", "image": {"reference": reference}}
    lab.cluster.patch("deployments", DEPLOYMENT, {"spec": {"template": {"spec": {"volumes": [volume]}}}})


@contextmanager
def _asking(lab: Lab) -> Iterator[list[tuple[int, bytes]]]:
    """Ask the service for its tree, again and again, from another thread; the answers."""
    answers: list[tuple[int, bytes]] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            answers.append(lab.cluster.fetch_service(DEPLOYMENT, "/tree"))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answers
    finally:
        stop.set()
        thread.join()


def _cannot_pull(pod: Object) -> bool:
    states = [status["state"] for status in pod["status"].get("containerStatuses", [])]
    return any(state.get("waiting", {}).get("reason") in {"ErrImagePull", "ImagePullBackOff"} for state in states)
