"""Every node of a pool, all at once: a DaemonSet that mounts an image volume. Judged with --every-node."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from conformance.claims import claim
from conformance.kube import Object
from conformance.lab import Lab
from conformance.pods import usual_pod
from fixtures import ImageSpec

_SOURCE = "Kubernetes docs: image volumes"
_AT_ONCE = 16
_ATTEMPTS = ("create", "mkdir", "unlink", "rename", "chmod")
_PULLED = re.compile(r'Successfully pulled image "(?P<image>[^"]+)" in (?P<seconds>[0-9a-zµ.]+)')
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}
_CONTENT = ImageSpec(({"content": [{"path": "config/app.yaml", "text": "a: 1\n"}]},), {}, {}, None, {})


@dataclass(frozen=True)
class _OnNode:
    """What a node's pod saw, and the seconds that pulling the volume's image took; None if no event told."""

    node: str
    probe: dict[str, Any]
    pulled: float | None


@claim("node/content-on-every-node", source=_SOURCE)
def test_content(lab: Lab, evidence: list[str]) -> None:
    """Every node mounts the image's content; its cold pull and the one after it are told."""
    lab.push("ok", _CONTENT)
    cold = _everywhere(lab, "cold")
    warm = {one.node: one for one in _everywhere(lab, "warm")}
    evidence += [
        f"{one.node}: pulled cold in {_shown(one.pulled)}, warm in {_shown(warm[one.node].pulled)}" for one in cold
    ]
    wrong = [one.node for one in cold if "config/app.yaml" not in one.probe["files"]]
    assert not wrong, f"not mounted on {', '.join(wrong)}"


@claim("node/read-only-on-every-node", source=_SOURCE)
def test_read_only(lab: Lab, evidence: list[str]) -> None:
    """No node lets a container write into the volume."""
    lab.push("ok", _CONTENT)
    seen = _everywhere(lab, "writes")
    evidence.append(f"{len(seen)} nodes")
    wrong = [
        f"{one.node}: {attempt} said {said!r}"
        for one in seen
        for attempt in _ATTEMPTS
        if not (said := one.probe["writes"][attempt]).endswith("read-only file system")
    ]
    assert not wrong, "; ".join(wrong)


@claim("node/subpath-on-every-node", source=_SOURCE)
def test_subpath(lab: Lab, evidence: list[str]) -> None:
    """Every node mounts the directory that subPath names, and nothing else of the image."""
    lab.push("ok", _CONTENT)
    seen = _everywhere(lab, "part", subPath="config")
    evidence.append(f"{len(seen)} nodes")
    wrong = [one.node for one in seen if "app.yaml" not in one.probe["files"] or "config" in one.probe["files"]]
    assert not wrong, f"another directory is mounted on {', '.join(wrong)}"


def _everywhere(lab: Lab, name: str, **mount: str) -> list[_OnNode]:
    """Run the probe on every node that takes it, and ask each what it saw, in parallel."""
    pod = usual_pod(
        name,
        image=lab.probe,
        reference=f"{lab.repository('ok').reference}:v1",
        volume={"pullPolicy": "Always"},
        mount=mount,
        container={
            "args": ["wait"],
            "readinessProbe": {"httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 1},
        },
        spec={"restartPolicy": "Always"},
    )
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": pod["spec"]}
    body = {"metadata": {"name": name}, "spec": {"selector": {"matchLabels": labels}, "template": template}}
    every = set(lab.target.hosts)
    lab.cluster.depend_on(every)
    lab.cluster.create("daemonsets", body)
    try:
        _wait(lab, name)
        pods = lab.cluster.all("pods", labels=f"app={name}")
        pulled = _pulls(lab, pods)
        with ThreadPoolExecutor(_AT_ONCE) as asking:
            seen = list(asking.map(lambda one: _ask(lab, one, pulled), pods))
    finally:
        lab.cluster.kube.delete(f"/apis/apps/v1/namespaces/{lab.cluster.namespace}/daemonsets/{name}")
    assert seen, "the pool has no node that takes pods"
    missed = every - {one.node for one in seen}
    assert not missed, f"no pod ran on {', '.join(sorted(missed))}"
    return sorted(seen, key=lambda one: one.node)


def _wait(lab: Lab, name: str) -> None:
    """Until every node's pod is ready; one more in time is enough to go on, since large clusters take longer."""
    found: Object = {}
    while not found or not _is_everywhere(found):
        more = functools.partial(_has_more, _ready(found) if found else -1)
        found = lab.cluster.wait("daemonsets", name, more, f"to be ready on every node, after {_ready(found)}")


def _has_more(than: int, daemonset: Object) -> bool:
    return _is_everywhere(daemonset) or _ready(daemonset) > than


def _ready(daemonset: Object) -> int:
    return int(daemonset.get("status", {}).get("numberReady", 0))


def _is_everywhere(daemonset: Object) -> bool:
    status = daemonset.get("status", {})
    wanted = status.get("desiredNumberScheduled", 0)
    seen = status.get("observedGeneration", 0) >= daemonset["metadata"]["generation"]
    return bool(seen and wanted and status.get("numberReady", 0) == wanted)


def _ask(lab: Lab, pod: Object, pulled: dict[str, float]) -> _OnNode:
    name = pod["metadata"]["name"]
    code, body = lab.cluster.fetch(name, 8080, "/")
    assert code == 200, f"{pod['spec']['nodeName']}: {body.decode(errors='replace')}"
    return _OnNode(pod["spec"]["nodeName"], json.loads(body), pulled.get(name))


def _pulls(lab: Lab, pods: Sequence[Object]) -> dict[str, float]:
    """By pod, how long pulling the volume's image took first, as its event tells; every later sync pulls again."""
    names, reference = {pod["metadata"]["name"] for pod in pods}, f"{lab.repository('ok').reference}:v1"
    found: dict[str, float] = {}
    for event in sorted(lab.cluster.all("events"), key=lambda event: event["metadata"]["name"].rsplit(".", 1)[-1]):
        told = _PULLED.match(event["message"])
        if told and told["image"] == reference and event["involvedObject"]["name"] in names:
            found.setdefault(event["involvedObject"]["name"], _seconds(told["seconds"]))
    return found


def _seconds(text: str) -> float:
    """A duration as Go prints it: `1m2.5s`, `340ms`."""
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"([0-9.]+)(h|ms|m|s|µs|ns)", text))


def _shown(seconds: float | None) -> str:
    return "an untold time" if seconds is None else f"{seconds:.3f} s"
