"""A Kubernetes cluster in Docker as a target: registries and nodes, started by Testcontainers and joined by kubeadm.

Nothing of the kind project is needed but a node image, or one made to the same contract.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from typing import TYPE_CHECKING

from conformance.targets.bootstrap import dress, join_up, start_nodes, wait_until_ready
from conformance.targets.choice import Options, made_pools
from conformance.targets.containers import network, places
from conformance.targets.daemon import Host, connect, ensure_image, untidy
from conformance.targets.faulty import NAME as FAULTY
from conformance.targets.faulty import faulty_registry
from conformance.targets.interrupting import ended_as_by_ctrl_c
from conformance.targets.node import Recipe
from conformance.targets.progress import Progress
from conformance.targets.reaper import LeftBehindError, Reaper, directory_of
from conformance.targets.registries import Registries, registries
from conformance.targets.target import CLOSED, Description, patience

if TYPE_CHECKING:
    from docker import DockerClient

__all__ = ["kind"]

# Seconds that a claim waits for what should come: a kubelet's back-offs take their real time.
_PATIENCE = 120.0


@contextlib.contextmanager
def kind(options: Options) -> Iterator[Description]:
    """Start a cluster and describe it; it goes when this process does, unless it is to be kept.

    Raises TargetUnavailableError.
    """
    from testcontainers.core.config import testcontainers_config

    # What removes our containers is ours: see reaper.py.
    testcontainers_config.ryuk_disabled = True
    progress, run = Progress(), secrets.token_hex(3)
    with connect() as docker, ended_as_by_ctrl_c(progress, "kind"):
        with untidy(docker):
            host = _look(docker, options, progress)
        reaper, settled = Reaper(run, keep=options.keep), False
        try:
            with contextlib.ExitStack() as stack:
                with untidy(docker):
                    description = _start(docker, host, options, run, progress, stack)
                # From here on nothing more is made. What is interrupted before, the daemon may still be making.
                settled = True
                yield description
        finally:
            if options.keep:
                progress.say(f"kind: all of it is kept; remove it by: {reaper.command}")
                reaper.close()
            else:
                _remove(reaper, progress, settled=settled)


def _remove(reaper: Reaper, progress: Progress, *, settled: bool) -> None:
    try:
        with progress.step("kind: removing all of it"):
            reaper.close(settled=settled)
    except LeftBehindError as left:
        progress.say(f"kind: {left}")


def _look(docker: DockerClient, options: Options, progress: Progress) -> Host:
    """What a cluster needs, before anything is made of it."""
    host = Host.of(docker.info(), is_here=places()[0].bind == "127.0.0.1")
    host.check()
    progress.say(f"kind: {host}")
    pools = made_pools(options)
    wanted = {pool.made_of: "--pool" for pool in pools} or {options.node_image: "--node-image"}
    for image, option in {options.registry_image: "--registry-image", **wanted}.items():
        with progress.step(f"kind: image {image}"):
            ensure_image(docker, image, option)
    return host


def _start(
    docker: DockerClient, host: Host, options: Options, run: str, progress: Progress, stack: contextlib.ExitStack
) -> Description:
    name = f"imgvol-{run}"
    pools = made_pools(options)
    pool_of = [pool for pool in pools for _ in range(pool.nodes)]
    others = range(1, len(pool_of) or options.nodes)
    names = (f"{name}-control-plane", *(f"{name}-worker{number}" for number in others))
    images = {node: pool.made_of for node, pool in zip(names, pool_of, strict=False)}
    with progress.step("kind: registries"):
        between = network(run)
        found = stack.enter_context(registries(docker, options.registry_image, between, run, places()))
        faulty, why_none = stack.enter_context(faulty_registry(docker, between))
    addresses, pulled_from = dict(found.addresses), [found.registry.name, found.private.name]
    if faulty:
        addresses[FAULTY] = faulty.host.rpartition(":")[0]
        pulled_from.append(faulty.name)
    recipe = Recipe(options.node_image, run, names, addresses, tuple(pulled_from), images=images)
    with progress.step("kind: systemd and containerd") as step:
        nodes = start_nodes(docker, host, recipe, between, found.place, step)
    directory = directory_of(run)
    directory.mkdir(mode=0o700)
    kubeconfig = directory / "kubeconfig"
    kubeconfig.write_text(join_up(nodes, name, host, found.place, progress))
    with progress.step("kind: nodes ready") as step:
        wait_until_ready(kubeconfig, names, step)
        dress(kubeconfig, {node: pool.labels for node, pool in zip(names, pool_of, strict=False)})
    if options.keep:
        _say_how_to_reach(found, str(kubeconfig), progress)
    return Description(
        name="kind",
        kubeconfig=str(kubeconfig),
        registry=found.registry,
        private=found.private,
        closed=CLOSED,
        patience=patience(_PATIENCE),
        run=run,
        pools=tuple(pool.name for pool in pools),
        lacks={} if faulty else {"faulty-registry": why_none},
        faulty=faulty,
    )


def _say_how_to_reach(found: Registries, kubeconfig: str, progress: Progress) -> None:
    progress.say(f"kind: the cluster: export KUBECONFIG={kubeconfig}")
    for endpoint in (found.registry, found.private):
        user = f", as {endpoint.username} with the password {endpoint.password}" if endpoint.username else ""
        progress.say(f"kind: a registry: push to {endpoint.host}{user}; pods pull from {endpoint.name}")
    progress.say(
        f"kind: the suite again: pytest conformance --kubeconfig={kubeconfig} "
        f"--registry={found.registry.host} --pull-registry={found.registry.name}"
    )
