"""The commands that `make` runs: python -m imgvol.deployment COMMAND."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence

from imgvol.deployment import local, terraform
from imgvol.deployment.errors import DeploymentError, UsageError
from imgvol.deployment.places import place
from imgvol.deployment.saying import say
from imgvol.deployment.settings import Settings

__all__ = ["COMMANDS", "main"]

_EPILOG = """settings, from the environment:
  TARGET        aks (default), emulator or kind
  ACR_NAME      the registry (aks); RESOURCE_GROUP and AKS_NAME, unless Terraform's outputs say them
  PROJECT_TAG   name and tag of the project content (project-content:v1.0.0)
  ENGINE_BUILD  tasks: by `az acr build` (default for aks); packager: here, without Docker (default otherwise)
  VARIANT       sample (default), or production: by digest, two replicas, a disruption budget
  DIGEST        the content for rollout, and if given for deploy VARIANT=production
  NAMESPACE     default

example:
  TARGET=emulator python -m imgvol.deployment status --json
"""


def _push_engine(settings: Settings, _: argparse.Namespace) -> None:
    from imgvol.deployment.images import push_engine

    push_engine(settings, place(settings))


def _push_content(settings: Settings, _: argparse.Namespace) -> None:
    from imgvol.deployment.images import push_content

    push_content(settings, place(settings))


def _deploy(settings: Settings, _: argparse.Namespace) -> None:
    from imgvol.deployment import manifests
    from imgvol.deployment.applying import apply
    from imgvol.deployment.images import ENGINE, digest_of
    from imgvol.deployment.rollouts import wait

    to = place(settings)
    if settings.variant == "production":
        content = settings.digest or digest_of(to, f"{to.registry}/{settings.project_tag}")
        engine = digest_of(to, f"{to.registry}/{ENGINE}")
        objects = manifests.production(to.pull_registry, settings.repository, content, engine)
        say(f"k8s/ (production) goes to {to.name}, namespace {settings.namespace}: content {content}, engine {engine}")
    else:
        if settings.digest:
            raise UsageError("DIGEST is for `make rollout`, or for VARIANT=production: the sample names content by tag")
        objects = manifests.sample(to.pull_registry, settings.project_tag)
        say(
            f"k8s/deployment.yaml goes to {to.name}, namespace {settings.namespace}: "
            f"content {to.pull_registry}/{settings.project_tag}"
        )
    kube = to.kube()
    for manifest in objects:
        done = apply(kube, manifest, settings.namespace)
        say(f"{manifest['kind'].lower()} {manifest['metadata']['name']} {done}")
    wait(kube, settings.namespace)


def _rollout(settings: Settings, _: argparse.Namespace) -> None:
    from imgvol.deployment.images import digest_of
    from imgvol.deployment.rollouts import roll_out, wait

    if not settings.digest:
        raise UsageError("DIGEST is not set: say which content, make rollout DIGEST=sha256:…; push-content prints it")
    to = place(settings)
    digest_of(to, f"{to.registry}/{settings.repository}@{settings.digest}")
    content = f"{to.pull_registry}/{settings.repository}@{settings.digest}"
    kube = to.kube()
    say(f"content {content} goes to {to.name}, namespace {settings.namespace}")
    if not roll_out(kube, settings.namespace, content):
        say("it is there already")
    wait(kube, settings.namespace)


def _rollback(settings: Settings, _: argparse.Namespace) -> None:
    from imgvol.deployment.rollouts import deployment, previous, reference, roll_back, wait

    to = place(settings)
    kube = to.kube()
    before = previous(kube, settings.namespace)
    now = reference(deployment(kube, settings.namespace))
    say(f"content goes back from {now} to {reference(before)}, on {to.name}, namespace {settings.namespace}")
    roll_back(kube, settings.namespace, before)
    wait(kube, settings.namespace)


def _smoke_test(settings: Settings, _: argparse.Namespace) -> None:
    from imgvol.deployment.smoke import smoke_test

    to = place(settings)
    smoke_test(to, to.kube(), settings.namespace)


def _status(settings: Settings, arguments: argparse.Namespace) -> None:
    from imgvol.deployment.status import show

    to = place(settings)
    show(to, to.kube(), settings.namespace, as_json=arguments.json)


COMMANDS: Mapping[str, tuple[str, Callable[[Settings, argparse.Namespace], None]]] = {
    "tf-apply": ("make the cloud resources", lambda settings, _: terraform.apply(settings)),
    "tf-destroy": ("remove the cloud resources", lambda settings, _: terraform.destroy(settings)),
    "up": ("start a target that runs here, and remember it", lambda settings, _: local.up(settings)),
    "down": ("end the target that runs here", lambda settings, _: local.down(settings)),
    "push-engine": ("push the engine's image", _push_engine),
    "push-content": ("push project-content/", _push_content),
    "deploy": ("apply the manifests and wait until they run", _deploy),
    "smoke-test": ("compare GET /tree with the pushed content", _smoke_test),
    "rollout": ("go to other content, by DIGEST", _rollout),
    "rollback": ("go back to the content before", _rollback),
    "status": ("show what runs", _status),
}
"""By name: what a command does, and the work."""


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; its exit status: 0, 1 for a failure, 2 for wrong usage, 130 when interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m imgvol.deployment",
        description="The sample system on a target.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (does, _) in COMMANDS.items():
        one = commands.add_parser(name, help=does, description=f"{does[0].upper()}{does[1:]}.")
        if name == "status":
            one.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args(words)
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # that it tries again is no news
    try:
        COMMANDS[arguments.command][1](Settings.of(os.environ), arguments)
    except DeploymentError as error:
        return _failed(arguments.command, str(error), error.exit_code)
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if (sentence := _of_the_cluster(error)) is None:
            raise
        return _failed(arguments.command, sentence, 1)
    return 0


def _failed(command: str, sentence: str, status: int) -> int:
    print(f"{command}: {sentence}", file=sys.stderr)
    return status


def _of_the_cluster(error: Exception) -> str | None:
    """What went wrong between us and the cluster, as a sentence; None for an error of our own."""
    from urllib3.exceptions import HTTPError

    from conformance.kube import RefusedError

    if isinstance(error, RefusedError):
        return f"the cluster refuses: {error} ({error.code})"
    if isinstance(error, HTTPError):
        return (
            f"the cluster cannot be reached: {type(error).__name__}; is it running, and is its kubeconfig still right?"
        )
    return None


if __name__ == "__main__":
    sys.exit(main())
