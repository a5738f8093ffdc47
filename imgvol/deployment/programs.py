"""Programs of others that do part of the work: az, terraform, kubectl."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence

from imgvol.deployment.errors import DeploymentError
from imgvol.deployment.saying import say

__all__ = ["find", "output", "run"]

_WHENCE: Mapping[str, str] = {
    "az": "it comes with the Azure CLI, https://aka.ms/azure-cli",
    "terraform": "it is had from https://developer.hashicorp.com/terraform/install",
    "kubectl": "kubectl or kustomize renders the production variant; https://kubernetes.io/docs/tasks/tools has both",
}
_SIGNED_OUT = ("az login", "AADSTS", "InteractionRequired")
_LAST = 5


def find(*names: str) -> str:
    """The first of these programs that is there. Raises DeploymentError, which says where to get the first."""
    for name in names:
        if found := shutil.which(name):
            return found
    raise DeploymentError(f"{names[0]} is not installed: {_WHENCE[names[0]]}")


def run(*command: str, cwd: str | None = None) -> None:
    """Run a program that speaks for itself, after saying how it is called. Raises DeploymentError if it fails."""
    find(command[0])
    say(f"$ {' '.join(command)}")
    ended = subprocess.run(command, cwd=cwd, check=False)
    if ended.returncode:
        raise DeploymentError(f"{command[0]} failed with exit status {ended.returncode}; its own words are above")


def output(*command: str) -> str:
    """What a program prints. Raises DeploymentError with its last words if it fails, or if nobody is signed in."""
    program = find(command[0])
    ended = subprocess.run([program, *command[1:]], capture_output=True, text=True, check=False)
    if ended.returncode:
        words = ended.stderr.strip()
        if command[0] == "az" and any(sign in words for sign in _SIGNED_OUT):
            raise DeploymentError("az is not signed in, or no longer: run `az login`")
        raise DeploymentError(f"{_short(command)} failed: {_last(words) or f'exit status {ended.returncode}'}")
    return ended.stdout


def _short(command: Sequence[str]) -> str:
    return " ".join(word for word in command[:3] if not word.startswith("-"))


def _last(words: str) -> str:
    return "; ".join(line.strip() for line in words.splitlines()[-_LAST:] if line.strip())
