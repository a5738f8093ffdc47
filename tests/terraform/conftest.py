"""A copy of terraform/, and a Terraform that finds azurerm's schema and no cloud."""

from __future__ import annotations

import json
import os
import platform
import re
import runpy
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROVIDER = ROOT / "build/bin/terraform-provider-azurerm"
VERSIONS = tuple(json.loads((Path(__file__).parent / "provider/schema.json").read_text())["versions"])
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Workspace:
    """A copy of terraform/, initialised; `run` starts the program in it."""

    program: str
    directory: Path
    environment: dict[str, str]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.program, *arguments],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def messages(self, *arguments: str) -> list[dict[str, Any]]:
        """What a command with -json says, a message a line."""
        return [json.loads(line) for line in self.run(*arguments).stdout.splitlines()]

    def complaints(self) -> list[dict[str, Any]]:
        """The diagnostics of `validate`."""
        said: list[dict[str, Any]] = json.loads(self.run("validate", "-json").stdout)["diagnostics"]
        return said

    def edges(self) -> set[tuple[str, ...]]:
        """Which resource waits for which, as pairs of their addresses."""
        lines = self.run("graph").stdout.splitlines()
        return {tuple(re.findall(r"azurerm_\w+\.\w+", line)) for line in lines if "->" in line}

    def change(self, name: str, old: str, new: str) -> None:
        """Replaces a text that a file has once."""
        text = (self.directory / name).read_text()
        assert text.count(old) == 1, f"{name} has {old!r} {text.count(old)} times"
        (self.directory / name).write_text(text.replace(old, new))


def _lacking(sentence: str) -> None:
    """Skips, saying what is missing; fails where the tests were asked for by name."""
    if os.environ.get("IMGVOL_TERRAFORM") == "required":
        pytest.fail(sentence, pytrace=False)
    pytest.skip(sentence)


@pytest.fixture(scope="session")
def program() -> str:
    """The path of Terraform or OpenTofu."""
    tool = runpy.run_path(str(Path(__file__).parent / "tool.py"))
    found: str | None = tool["find"]()
    if found is None:
        _lacking("terraform 1.7 or newer is not on PATH; `make test-terraform` builds OpenTofu in its place")
    assert found is not None
    return found


@pytest.fixture(scope="session")
def provider() -> Path:
    """The provider that has schemas only."""
    if not PROVIDER.exists():
        _lacking(f"{PROVIDER.relative_to(ROOT)} is missing; `make test-terraform` builds it")
    return PROVIDER


@pytest.fixture
def workspace(program: str, provider: Path, tmp_path: Path) -> Iterator[Callable[..., Workspace]]:
    """Makes copies: `workspace()`, `workspace("4.81.0")`; the provider's version is the newest unless given."""

    def make(version: str = VERSIONS[-1]) -> Workspace:
        directory = tmp_path / f"copy-{len(list(tmp_path.iterdir()))}"
        mirror = directory / "mirror"
        architecture = f"linux_{MACHINES[platform.machine()]}"
        for host in ("registry.terraform.io", "registry.opentofu.org"):
            package = mirror / host / "hashicorp/azurerm" / version / architecture
            package.mkdir(parents=True)
            (package / f"terraform-provider-azurerm_v{version}").symlink_to(provider)
        settings = directory / "terraform.rc"
        settings.write_text(f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror}"\n  }}\n}}\n')
        module = directory / "terraform"
        ignored = shutil.ignore_patterns(".terraform*", "*.tfstate*", "*.tfvars", "*.tfplan")
        shutil.copytree(ROOT / "terraform", module, ignore=ignored)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "ARM_"))}
        environment |= {"CHECKPOINT_DISABLE": "1", "TF_CLI_CONFIG_FILE": str(settings), "TF_IN_AUTOMATION": "1"}
        made = Workspace(program, module, environment)
        started = made.run("init", "-no-color", "-input=false", "-backend=false")
        assert started.returncode == 0, started.stderr
        return made

    yield make
    shutil.rmtree(tmp_path)
