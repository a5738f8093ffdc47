"""From containers to a cluster: nodes come up, kubeadm makes them one, and each says that it is ready."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from conformance.kube import Kube, path_of
from conformance.targets.capabilities import PrivilegedRefusedError, bounding_set
from conformance.targets.choice import TargetUnavailableError
from conformance.targets.containers import CommandError, Place, published
from conformance.targets.daemon import Host
from conformance.targets.kubeadm import API_PORT, Cluster, kubeconfig_for, pod_network
from conformance.targets.node import Node, Recipe, start_node
from conformance.targets.progress import Progress, Step

if TYPE_CHECKING:
    from docker import DockerClient
    from testcontainers.core.network import Network

__all__ = ["dress", "hosts_toml", "join_up", "start_nodes", "wait_until_ready"]

_CONFIGURATION = "/kind/kubeadm.conf"
_NETWORK = "/kind/pod-network.yaml"
_READY_SECONDS = 180
_One = TypeVar("_One")
_Made = TypeVar("_Made")


def start_nodes(
    docker: DockerClient, host: Host, recipe: Recipe, network: Network, place: Place, step: Step
) -> list[Node]:
    """Start all nodes of a recipe, the first with the API's port published, and tell them of the registries.

    Raises TargetUnavailableError.
    """
    first, *others = recipe.names
    try:
        nodes = [start_node(docker, host, recipe, network, first, place)]
    except PrivilegedRefusedError:
        step.waits_for("without --privileged, which Docker cannot give: with the capabilities that it has")
        recipe = replace(recipe, capabilities=bounding_set(docker, recipe.image_of(first), recipe.run))
        try:
            nodes = [start_node(docker, host, recipe, network, first, place)]
        except PrivilegedRefusedError as refused:
            raise TargetUnavailableError(str(refused)) from None
    nodes += _at_once(lambda name: start_node(docker, host, recipe, network, name, None), others)
    for node in nodes:
        for name in recipe.registries:
            node.write(f"/etc/containerd/certs.d/{name}/hosts.toml", hosts_toml(name))
    return nodes


def hosts_toml(name: str) -> str:
    """How containerd is told that a registry speaks plain http (containerd: docs/hosts.md)."""
    return f'server = "http://{name}"\n\n[host."http://{name}"]\n'


def join_up(nodes: Sequence[Node], name: str, host: Host, place: Place, progress: Progress) -> str:
    """Make nodes that are up a cluster of that name; the kubeconfig with which it is reached at the place.

    Raises TargetUnavailableError.
    """
    first, *others = nodes
    try:
        version = first.read("/kind/version").strip()
        manifest = first.read("/kind/manifests/default-cni.yaml")
    except KeyError as missing:
        raise TargetUnavailableError(f"{first.image} is no node image: it has no {missing.args[0]}") from None
    cluster = Cluster(name, version, first.name, (place.host,), host.cgroup, host.rootless)
    try:
        with progress.step(f"kind: control plane of Kubernetes {version}") as step:
            first.write(_CONFIGURATION, cluster.init(first.address))
            first.run("kubeadm", "init", f"--config={_CONFIGURATION}", "--skip-token-print", line=_shown(step))
            step.waits_for("pod network")
            first.write(_NETWORK, pod_network(manifest, cluster.endpoint))
            first.run("kubectl", "create", f"--filename={_NETWORK}")
        if others:
            with progress.step(f"kind: {len(others)} more nodes join"):
                _at_once(lambda node: _join(node, cluster), others)
    except CommandError as error:
        raise TargetUnavailableError(
            f"the cluster does not come up: {error}; with --keep it stays for a look at its journal: "
            f"docker exec {first.name} journalctl -u kubelet -u containerd"
        ) from None
    admin = first.read("/etc/kubernetes/admin.conf")
    return kubeconfig_for(admin, name, f"https://{place.host}:{published(first.container, API_PORT)}")


def wait_until_ready(kubeconfig: Path, names: Sequence[str], step: Step) -> None:
    """Watch the nodes until each says that it is ready.

    Raises TargetUnavailableError.
    """
    from kubernetes import config

    deadline = time.monotonic() + _READY_SECONDS
    waiting = dict.fromkeys(names, "has not registered")
    with config.new_client_from_config(str(kubeconfig)) as api:  # type: ignore[no-untyped-call]
        kube = Kube(api)
        while waiting and (left := deadline - time.monotonic()) > 0:
            for event in kube.watch(path_of("nodes"), {}, left):
                name, why = event["object"]["metadata"]["name"], _unready(event["object"])
                if why:
                    waiting[name] = why
                else:
                    waiting.pop(name, None)
                if not waiting:
                    return
                step.waits_for("; ".join(f"{name}: {why}" for name, why in waiting.items()))
    for name, why in waiting.items():
        raise TargetUnavailableError(f"after {_READY_SECONDS} s the node {name} is still not ready: {why}")


def dress(kubeconfig: Path, labels: Mapping[str, Mapping[str, str]]) -> None:
    """Put labels on nodes, by their names."""
    from kubernetes import config

    with config.new_client_from_config(str(kubeconfig)) as api:  # type: ignore[no-untyped-call]
        for name, own in labels.items():
            Kube(api).patch(path_of("nodes", name=name), {"metadata": {"labels": dict(own)}})


def _unready(node: Mapping[str, Any]) -> str:
    conditions = {one["type"]: one for one in node["status"].get("conditions", ())}
    ready = conditions.get("Ready", {"status": "Unknown", "message": "says nothing yet"})
    return "" if ready["status"] == "True" else ready["message"]


def _join(node: Node, cluster: Cluster) -> None:
    node.write(_CONFIGURATION, cluster.join(node.name, node.address))
    node.run("kubeadm", "join", f"--config={_CONFIGURATION}")


def _shown(step: Step) -> Callable[[str], None]:
    """Show the lines in which kubeadm says what it does: `[certs] Generating …`."""

    def show(line: str) -> None:
        if line.startswith("["):
            step.waits_for(line.strip())

    return show


def _at_once(make: Callable[[_One], _Made], ones: Iterable[_One]) -> list[_Made]:
    """Make all at once; when one fails, or on Ctrl-C, the others are not waited for."""
    pool = ThreadPoolExecutor()
    try:
        return list(pool.map(make, ones))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
