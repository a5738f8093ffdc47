"""Removing what runs made in a cluster and a registry, by what it carries: a namespace its run's label, a repository
its run's name."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import requests
import urllib3

from conformance.cluster import RUN_LABEL
from conformance.kube import Kube, RefusedError, path_of
from conformance.registry_auth import RegistryAuth
from conformance.targets.lease import under_way
from conformance.targets.progress import Progress
from conformance.targets.target import Description, RegistryEndpoint, Target, is_ready, patience

__all__ = ["Swept", "leftovers", "sweep"]

_SECONDS = 60
# So often, in seconds, those that go are asked what keeps them.
_LOOK = 5.0
_AT_ONCE = 8
_RUN = re.compile(r"imgvol-[0-9a-f]{6}")
_MANIFESTS = (
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json"
)


@dataclass
class Swept:
    """What was removed, or would be; and what could not be, with the reason.

    namespaces, repositories: names. stuck: by `namespace NAME` or `repository NAME` why it stays. spared: by run why
    what it made was left alone.
    """

    namespaces: list[str] = field(default_factory=list)
    repositories: list[str] = field(default_factory=list)
    stuck: dict[str, str] = field(default_factory=dict)
    spared: dict[str, str] = field(default_factory=dict)


def sweep(description: Description, run: str, progress: Progress) -> Swept:
    """Remove what one run made; what stays is said."""
    swept = leftovers(description, run, remove=True)
    for what, why in swept.stuck.items():
        progress.say(f"{description.name}: {what} stays: {why}")
    return swept


def leftovers(description: Description, run: str = "", *, remove: bool) -> Swept:
    """What a run left, removed if asked for; with no `run` what any run of this cluster left that is not under way.

    Never raises for what cannot be had.
    """
    swept = Swept()
    lost = _namespaces(description, run, swept, remove=remove)
    _repositories(description.registry, {run} if run else lost, swept, remove=remove, others=not run)
    return swept


def _namespaces(description: Description, run: str, swept: Swept, *, remove: bool) -> set[str]:
    """Handle the namespaces; the runs that they are of."""
    query = {"labelSelector": f"{RUN_LABEL}={run}" if run else RUN_LABEL}
    try:
        kube = Kube(Target(description).kube)
        found = kube.get(path_of("namespaces"), query)["items"]
        living = {} if run else under_way(kube)
    except (RefusedError, OSError, urllib3.exceptions.HTTPError) as error:
        swept.stuck["namespaces"] = f"the cluster does not list them: {error}"
        return set()
    lost = set()
    going = set()
    for namespace in found:
        name, whose = namespace["metadata"]["name"], namespace["metadata"]["labels"][RUN_LABEL]
        if whose in living:
            swept.spared[whose] = f"it is under way, and said so at {living[whose]}"
            continue
        lost.add(whose)
        swept.namespaces.append(name)
        if not remove:
            swept.stuck |= {f"namespace {name}": why} if (why := _stuck(namespace)) else {}
            continue
        try:
            kube.delete(path_of("namespaces", name=name))
            going.add(name)
        except RefusedError as refused:
            if refused.code != requests.codes.not_found:
                swept.stuck[f"namespace {name}"] = str(refused)
    if going:
        swept.stuck |= {f"namespace {name}": why for name, why in _seen_off(kube, query, going).items()}
    return lost


def _seen_off(kube: Kube, query: dict[str, str], names: set[str]) -> dict[str, str]:
    """Wait until namespaces that are being deleted are gone; by name, why those stay that do."""
    deadline, last = time.monotonic() + patience(_SECONDS), dict.fromkeys(names, "")
    try:
        while last and (left := deadline - time.monotonic()) > 0:
            listed = kube.get(path_of("namespaces"), query)
            found = {one["metadata"]["name"]: one for one in listed["items"]}
            last = {name: _stuck(found[name]) for name in last if name in found}
            _release(kube, last)
            asked = {**query, "resourceVersion": listed["metadata"]["resourceVersion"]}
            _watch_going(kube, asked, set(last), min(left, _LOOK))
    except (RefusedError, OSError, urllib3.exceptions.HTTPError) as error:
        return dict.fromkeys(last, f"the cluster answers no more: {error}")
    return {name: why or "Kubernetes does not say why" for name, why in last.items()}


def _watch_going(kube: Kube, query: dict[str, str], names: set[str], seconds: float) -> None:
    """Watch until the last of these namespaces is gone, or for some seconds."""
    for event in kube.watch(path_of("namespaces"), query, seconds) if names else ():
        names -= {event["object"]["metadata"].get("name", "")} if event["type"] == "DELETED" else set()
        if not names or event["type"] == "ERROR":
            return


def _release(kube: Kube, names: Iterable[str]) -> None:
    """Let pods go whose nodes have gone away: they wait for the word of a kubelet that does not come."""
    there = None
    for name in names:
        for pod in kube.get(path_of("pods", name))["items"]:
            if there is None:
                there = {node["metadata"]["name"] for node in kube.get(path_of("nodes"))["items"] if is_ready(node)}
            if pod["metadata"].get("deletionTimestamp") and pod["spec"].get("nodeName", "") not in {"", *there}:
                kube.delete(path_of("pods", name, pod["metadata"]["name"]), {"gracePeriodSeconds": "0"})


def _stuck(namespace: dict[str, Any]) -> str:
    """Why a namespace that is being deleted does not go, in its own words."""
    if not namespace["metadata"].get("deletionTimestamp"):
        return ""
    said = [
        condition["message"]
        for condition in namespace.get("status", {}).get("conditions", ())
        if condition["status"] == "True" and condition.get("message")
    ]
    return "; ".join(said)


def _repositories(endpoint: RegistryEndpoint, runs: set[str], swept: Swept, *, remove: bool, others: bool) -> None:
    """Handle the repositories of runs; with `others` say of which more runs there are some."""
    try:
        ours = {name: whose for name in _catalog(endpoint) if (whose := _run_of(endpoint, name))}
    except (requests.RequestException, ValueError, KeyError) as error:
        swept.stuck["repositories"] = f"{endpoint.host} does not list its repositories: {error}"
        return
    names = [name for name, whose in ours.items() if whose in runs]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for name, why in zip(names, pool.map(lambda each: _handled(endpoint, each, remove=remove), names), strict=True):
            if why is not None:
                swept.repositories.append(name)
            if why:
                swept.stuck[f"repository {name}"] = why
    for name, whose in ours.items() if others else ():
        # Another cluster may share this registry, with a run under way there.
        if whose not in {*runs, *swept.spared} and _handled(endpoint, name, remove=False) is not None:
            swept.spared[whose] = f"{name} and perhaps more is its own, and nothing in this cluster"


def _handled(endpoint: RegistryEndpoint, name: str, *, remove: bool) -> str | None:
    """Why a repository stays, empty if it goes or might; None where nothing is tagged: some registries list such."""
    # ACR lists tags to those alone who ask for metadata_read.
    with _session(endpoint, f"repository:{name}:pull,delete,metadata_read") as session:
        try:
            tags = _tags(session, endpoint, name)
            if tags and remove:
                _remove(session, endpoint, name, tags)
        except (requests.RequestException, ValueError) as error:
            return str(error)
    return "" if tags else None


def _run_of(endpoint: RegistryEndpoint, name: str) -> str:
    """The run that a repository is of; empty if it is of none."""
    below = name.removeprefix(f"{endpoint.prefix}/") if endpoint.prefix else name
    if endpoint.prefix and below == name:
        return ""
    first, slash, _ = below.partition("/")
    return first if slash and _RUN.fullmatch(first) else ""


def _session(endpoint: RegistryEndpoint, scope: str) -> requests.Session:
    session = requests.Session()
    session.trust_env = endpoint.url.startswith("https:")
    session.auth = RegistryAuth(scope, endpoint.username, endpoint.password)
    return session


def _catalog(endpoint: RegistryEndpoint) -> Iterator[str]:
    """Every repository of a registry, page by page (OCI distribution: Link headers)."""
    session = _session(endpoint, "registry:catalog:*")
    url = f"{endpoint.url}/v2/_catalog?n=500"
    while url:
        answer = session.get(url, timeout=_SECONDS)
        answer.raise_for_status()
        yield from answer.json()["repositories"] or ()
        following = answer.links.get("next", {}).get("url", "")
        url = requests.compat.urljoin(endpoint.url, following) if following else ""


def _tags(session: requests.Session, endpoint: RegistryEndpoint, name: str) -> list[str]:
    answer = session.get(f"{endpoint.url}/v2/{name}/tags/list", timeout=_SECONDS)
    if answer.status_code == requests.codes.not_found:
        return []
    answer.raise_for_status()
    return answer.json().get("tags") or []


def _remove(session: requests.Session, endpoint: RegistryEndpoint, name: str, tags: Iterable[str]) -> None:
    """Take a repository from a registry: at once where that can be had (ACR), else every manifest that is tagged."""
    if session.delete(f"{endpoint.url}/acr/v1/{name}", timeout=_SECONDS).status_code == requests.codes.accepted:
        return
    for tag in tags:
        asked = session.head(
            f"{endpoint.url}/v2/{name}/manifests/{tag}", headers={"Accept": _MANIFESTS}, timeout=_SECONDS
        )
        digest = asked.headers.get("Docker-Content-Digest", "")
        if asked.ok and digest:
            gone = session.delete(f"{endpoint.url}/v2/{name}/manifests/{digest}", timeout=_SECONDS)
            if gone.status_code != requests.codes.not_found:
                gone.raise_for_status()
