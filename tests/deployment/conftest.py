"""The commands as processes: on an emulator that `up` starts, and on a cloud whose az and terraform are stand-ins."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conformance.kube import Kube

sys.path.insert(0, str(Path(__file__).parent))  # for the helper beside this file

REPOSITORY = Path(__file__).parents[2]
STAND_INS = Path(__file__).parent / "stand_ins"
TOKEN = "a-token-of-the-registry"
# What a developer's own environment may say of targets and registries is not the tests' business.
KEPT = ("HOME", "LANG", "TMPDIR", "IMGVOL_BIN")


@dataclass
class Commands:
    """Runs `python -m imgvol.deployment`, or `make`, in an environment of its own."""

    environment: dict[str, str]
    calls_file: Path | None = None

    def __call__(self, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
        return self._run([sys.executable, "-m", "imgvol.deployment", *words], settings)

    def make(self, *targets: str, **settings: str) -> subprocess.CompletedProcess[str]:
        # What is set up and built is so: tests that run side by side must not begin to build it.
        made = ["make", "-o", ".venv/ready", "-o", "setup", *targets]
        return self._run([*made, *(f"{name}={value}" for name, value in settings.items())], {})

    def _run(self, command: list[str], settings: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=REPOSITORY,
            env=self.environment | settings,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=240,
        )

    def calls(self) -> list[list[str]]:
        """What the stand-ins were called with."""
        assert self.calls_file is not None
        if not self.calls_file.exists():
            return []
        return [json.loads(line) for line in self.calls_file.read_text().splitlines()]


def environment(directory: Path, **more: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    docker = directory / "docker"
    docker.mkdir(exist_ok=True)
    return kept | {"PATH": path, "TARGET_DIR": str(directory / "target"), "DOCKER_CONFIG": str(docker)} | more


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    """Commands where nothing runs and nobody is signed in."""
    return Commands(environment(tmp_path))


@pytest.fixture(scope="module")
def on_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """Commands whose target is an emulator, started by `up`."""
    commands = Commands(environment(tmp_path_factory.mktemp("emulator"), TARGET="emulator", UP="--speed 20"))
    started = commands("up")
    assert started.returncode == 0, started.stderr
    yield commands
    assert commands("down").returncode == 0


@pytest.fixture
def cloud(tmp_path: Path) -> Callable[..., Commands]:
    """Stand-ins without a cluster: what they say is given; calls are written down."""

    def made(**state: Any) -> Commands:
        acr = {"name": "myregistry", "login_server": "127.0.0.1:1", "token": TOKEN}
        aks = {"group": "rg-oci-artifact-demo", "name": "aks-oci-demo", "kubeconfig": "/nowhere"}
        told = {"signed_in": True, "subscription": "Demo", "acr": acr, "aks": aks, "outputs": {}} | state
        file = tmp_path / "stand-in.json"
        file.write_text(json.dumps(told))
        return Commands(with_stand_ins(environment(tmp_path), file), tmp_path / "calls")

    return made


def with_stand_ins(given: dict[str, str], state: Path) -> dict[str, str]:
    return given | {
        "PATH": f"{STAND_INS}:{given['PATH']}",
        "STAND_IN": str(state),
        "STAND_IN_CALLS": str(state.parent / "calls"),
        "STAND_IN_BINARIES": os.environ.get("IMGVOL_BIN") or str(REPOSITORY / "build" / "bin"),
    }


@pytest.fixture
def uninstalled(tmp_path: Path) -> Callable[[Commands], Commands]:
    """The same commands where no program is installed."""

    def made(commands: Commands) -> Commands:
        path = tmp_path / "empty"
        path.mkdir()
        return Commands(commands.environment | {"PATH": str(path)}, commands.calls_file)

    return made


@pytest.fixture(scope="session")
def kube_of() -> Callable[[str], Kube]:
    """A connection by a kubeconfig."""

    def made(kubeconfig: str) -> Kube:
        from kubernetes import config

        return Kube(config.new_client_from_config(kubeconfig))

    return made


@pytest.fixture(scope="session")
def kustomized() -> str:
    """What kustomize makes of k8s/: by kubectl, or by kustomize itself, or by one that Go builds."""
    folder = str(REPOSITORY / "k8s")
    for command in (["kubectl", "kustomize", folder], ["kustomize", "build", folder]):
        if shutil.which(command[0]):
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if not shutil.which("go"):
        pytest.skip("neither kubectl nor kustomize nor Go is here to render the production variant")
    go = ["go", "tool", "kustomize", "build", folder]
    pinned = Path(__file__).parent / "kustomize"
    return subprocess.run(go, cwd=pinned, capture_output=True, text=True, check=True).stdout
