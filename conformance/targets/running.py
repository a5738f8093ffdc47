"""Any cluster that already runs, with a registry that it pulls from, as a target."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from conformance.targets.choice import REGISTRY_PASSWORD, Options, TargetUnavailableError
from conformance.targets.forwarding import is_loopback
from conformance.targets.interrupting import ended_as_by_ctrl_c
from conformance.targets.lease import leased
from conformance.targets.preflight import preflight
from conformance.targets.progress import Progress
from conformance.targets.sweeping import sweep
from conformance.targets.target import CLOSED, Description, RegistryEndpoint, patience

__all__ = ["described", "endpoint", "existing", "running"]

_PATIENCE = 120.0
_ADDRESS = re.compile(r"[a-z0-9][a-z0-9.-]*(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*")


@contextlib.contextmanager
def running(options: Options) -> Iterator[Description]:
    """Look over the cluster and the registry, and describe them; what the run made there goes when it ends.

    Raises TargetUnavailableError, which names all that is missing.
    """
    description, progress = described(options), Progress()
    with ended_as_by_ctrl_c(progress, description.name):
        try:
            with leased(description):
                yield preflight(description, progress)
        finally:
            with progress.step(f"{description.name}: removing what the run made"):
                sweep(description, description.run, progress)


def described(options: Options) -> Description:
    """A cluster and a registry as the options say, nothing looked at yet.

    Raises TargetUnavailableError for what they cannot be.
    """
    if not options.kubeconfig or not options.registry:
        raise TargetUnavailableError(
            "--kubeconfig=FILE and --registry=HOST[/PREFIX] go together: a cluster, and a registry that it pulls from"
        )
    if not Path(options.kubeconfig).is_file():
        raise TargetUnavailableError(f"there is no kubeconfig {options.kubeconfig}")
    password = os.environ.get(REGISTRY_PASSWORD, "")
    if options.registry_user and not password:
        raise TargetUnavailableError(
            f"the password of --registry-user={options.registry_user} belongs in ${REGISTRY_PASSWORD}"
        )
    return existing(
        _name(Path(options.kubeconfig)),
        options.kubeconfig,
        endpoint(options.registry, options.pull_registry, options.registry_user, password),
        _PATIENCE,
        {
            "private-registry": "here the suite knows one registry, from which nodes pull without a pod's credentials",
            "faulty-registry": "the suite started no registry here that fails when it is told to",
        },
    )


def existing(
    name: str, kubeconfig: str, registry: RegistryEndpoint, seconds: float, lacks: Mapping[str, str]
) -> Description:
    """A cluster that the suite did not start, with one registry that is not the suite's own.

    `seconds` are those that claims wait; `lacks` as in a Description, besides what no such cluster can do.
    """
    return Description(
        name=name,
        kubeconfig=kubeconfig,
        registry=registry,
        private=None,
        closed=CLOSED,
        patience=patience(seconds),
        run=f"imgvol-{secrets.token_hex(3)}",
        lacks={"registry-tampering": "the suite reaches no files of this registry", **lacks},
    )


def _name(kubeconfig: Path) -> str:
    """What the kubeconfig's user calls the cluster: the current context."""
    try:
        return str(yaml.safe_load(kubeconfig.read_text())["current-context"])
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError):
        raise TargetUnavailableError(f"{kubeconfig} is no kubeconfig with a current context") from None


def endpoint(push: str, pull: str, username: str, password: str) -> RegistryEndpoint:
    """The registry `HOST[/PREFIX]` that is pushed to, perhaps with another name to pull by.

    Plain http is spoken on loopback only. Raises TargetUnavailableError for what is no such text.
    """
    for text in filter(None, (push, pull)):
        if not _ADDRESS.fullmatch(text):
            raise TargetUnavailableError(f"a registry is HOST[:PORT][/PREFIX] in lower case, not {text!r}")
    host, _, prefix = push.partition("/")
    scheme = "http" if is_loopback(host.rpartition(":")[0] or host) else "https"
    return RegistryEndpoint(f"{scheme}://{host}", pull or push, username, password, prefix=prefix)
