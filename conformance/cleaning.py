"""`imgvol clean`: removes what lost runs left in a cluster and its registry."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from conformance.targets.aks import entered
from conformance.targets.choice import (
    REGISTRY_PASSWORD,
    Options,
    TargetUnavailableError,
    add_aks_options,
)
from conformance.targets.progress import Progress
from conformance.targets.running import described
from conformance.targets.sweeping import Swept, leftovers
from conformance.targets.target import Description

__all__ = ["add_parsers"]

_EXAMPLES = f"""examples:
  imgvol clean --aks --acr myregistry --dry-run
  imgvol clean --aks --acr myregistry --aks-sign-in identity
  imgvol clean --kubeconfig ./kubeconfig --registry myregistry.azurecr.io --registry-user me     (${REGISTRY_PASSWORD})
  imgvol clean --aks --acr myregistry --run imgvol-0a1b2c --json

Namespaces are known by the label imgvol.dev/run, repositories by their first folder, imgvol- and six digits. A run that
is under way renews a Lease; it is spared, as is one of which nothing is in this cluster and something in its registry,
unless --run names it. A run that was killed counts as lost two minutes later. The exit status is 1 if something stays.
"""


def add_parsers(subparsers: Any) -> None:
    """Add the command to `imgvol`; its parser's `handler` runs it and returns the exit status."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "clean",
        help="remove what lost runs of the suite left in a cluster and its registry",
        description="Remove the namespaces and repositories that runs of the suite left in a cluster and its registry, "
        "as when they were killed.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_aks_options(parser.add_argument)
    parser.add_argument("--kubeconfig", default="", metavar="FILE", help="any cluster; goes with --registry")
    parser.add_argument("--registry", default="", metavar="HOST[/PREFIX]", help="that cluster's registry")
    parser.add_argument(
        "--registry-user",
        default="",
        metavar="NAME",
        help=f"who deletes there, by the password in ${REGISTRY_PASSWORD}",
    )
    parser.add_argument("--run", default="", metavar="NAME", help="only what this run left, e.g. imgvol-0a1b2c")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    parser.add_argument("--json", action="store_true", help="say it in JSON")
    parser.set_defaults(handler=_run)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.aks == bool(arguments.kubeconfig or arguments.registry):
        print("imgvol clean: give --aks, or --kubeconfig and --registry; see imgvol clean --help", file=sys.stderr)
        return 2
    try:
        with _place(arguments) as description:
            swept = leftovers(description, arguments.run, remove=not arguments.dry_run)
    except TargetUnavailableError as unavailable:
        print(f"imgvol clean: {unavailable}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as missing:
        print(f"imgvol clean: {missing.name} is not installed: pip install 'imgvol[suite]'", file=sys.stderr)
        return 1
    _tell(swept, arguments)
    return 1 if swept.stuck else 0


@contextlib.contextmanager
def _place(arguments: argparse.Namespace) -> Iterator[Description]:
    options = Options(
        aks=arguments.aks,
        aks_resource_group=arguments.aks_resource_group,
        aks_name=arguments.aks_name,
        acr=arguments.acr,
        aks_sign_in=arguments.aks_sign_in,
        kubeconfig=arguments.kubeconfig,
        registry=arguments.registry,
        registry_user=arguments.registry_user,
    )
    if not arguments.aks:
        yield described(options)
        return
    with Path(os.devnull).open("w") as nowhere, entered(options, _progress(arguments, nowhere)) as (description, _, _):
        yield description


def _progress(arguments: argparse.Namespace, nowhere: Any) -> Progress:
    from rich.console import Console

    return Progress(Console(file=nowhere) if arguments.json or not sys.stderr.isatty() else None)


def _tell(swept: Swept, arguments: argparse.Namespace) -> None:
    if arguments.json:
        print(json.dumps({"removed": not arguments.dry_run, **dataclasses.asdict(swept)}, indent=2))
        return
    verb = "would remove" if arguments.dry_run else "removed"
    width = len("would remove")
    for kind, names in (("namespace", swept.namespaces), ("repository", swept.repositories)):
        for name in names:
            why = swept.stuck.get(f"{kind} {name}", "")
            print(f"{'stays' if why else verb:<{width}}  {kind} {name}{f': {why}' if why else ''}")
    for what, why in swept.stuck.items():
        if what in {"namespaces", "repositories"}:
            print(f"{what}: {why}", file=sys.stderr)
    for run, why in swept.spared.items():
        print(f"{'spared':<{width}}  run {run}: {why}; to have it taken: --run {run}")
    if not (swept.spared or swept.namespaces or swept.repositories or swept.stuck):
        print("nothing is left of any run")
