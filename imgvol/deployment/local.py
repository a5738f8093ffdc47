"""Targets that run here: the emulator, or a Kubernetes node in Docker; started, remembered and ended."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import select
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from imgvol.deployment.errors import DeploymentError, UsageError
from imgvol.deployment.saying import say
from imgvol.deployment.settings import ROOT, Settings

__all__ = ["Local", "down", "running", "up"]

_PATIENCE = 30.0


@dataclass(frozen=True)
class Local:
    """A target that was started. An emulator is known by its process, a node in Docker by its run."""

    kubeconfig: str
    registry: str
    pull_registry: str
    pid: int = 0
    began: str = ""
    run: str = ""


def running(settings: Settings) -> Local:
    """The target that was started. Raises DeploymentError if there is none."""
    state = _remembered(settings)
    if state is None:
        hint = f"make up TARGET={settings.target}"
        raise DeploymentError(f"no {settings.target} runs that was started here: `{hint}` starts one")
    return state


def up(settings: Settings) -> None:
    """Start the target and remember it; one that runs stays. Raises DeploymentError."""
    if settings.target == "aks":
        raise UsageError("TARGET=aks is made by `make tf-apply`; `make up` is for TARGET=emulator and TARGET=kind")
    state = _remembered(settings)
    if state is None:
        _directory(settings).mkdir(parents=True, exist_ok=True)
        state = _emulator(settings) if settings.target == "emulator" else _kind(settings)
        _file(settings).write_text(json.dumps(dataclasses.asdict(state)))
    else:
        say(f"{settings.target}: it runs already")
    say(f"{settings.target}: push to {state.registry}; pods pull from {state.pull_registry}")
    say(f"{settings.target}: export KUBECONFIG={state.kubeconfig}")


def down(settings: Settings) -> None:
    """End the target, if it runs, and forget it."""
    if settings.target == "aks":
        raise UsageError("TARGET=aks is removed by `make tf-destroy`")
    state = _remembered(settings)
    if state is None:
        say(f"{settings.target}: none runs that was started here")
    elif state.pid:
        say(f"{settings.target}: ending process {state.pid}")
        _end(state.pid)
    else:
        from conformance.targets.reaper import remove

        say(f"{settings.target}: removing the containers of run {state.run}")
        remove(state.run)
    shutil.rmtree(_directory(settings), ignore_errors=True)


def _directory(settings: Settings) -> Path:
    return settings.directory.resolve() / settings.target


def _file(settings: Settings) -> Path:
    return _directory(settings) / "state.json"


def _remembered(settings: Settings) -> Local | None:
    try:
        state = Local(**json.loads(_file(settings).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    if state.pid and _began(state.pid) != state.began:
        return None
    return state


def _emulator(settings: Settings) -> Local:
    directory = _directory(settings)
    command = [sys.executable, "-m", "imgvol", "up", "--kubeconfig", str(directory / "kubeconfig")]
    command += shlex.split(settings.options)
    say(f"$ imgvol {' '.join(command[3:])}")
    with (directory / "log").open("w") as log:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,  # it outlives this command, and no Ctrl-C of ours reaches it
        )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        process.wait()
        raise DeploymentError((directory / "log").read_text().strip() or "imgvol up ended at once, without a word")
    ready = json.loads(line)
    address = ready["registry"]
    return Local(ready["kubeconfig"], address, address, process.pid, _began(process.pid))


def _kind(settings: Settings) -> Local:
    from conformance.targets import Options, TargetUnavailableError, start

    usual = Options()
    options = Options(
        target="kind",
        keep=True,
        node_image=settings.node_image or usual.node_image,
        registry_image=settings.registry_image or usual.registry_image,
    )
    try:
        with start(options) as description:
            registry = description.registry
            return Local(description.kubeconfig, registry.host, registry.name, run=description.run)
    except TargetUnavailableError as error:
        raise DeploymentError(str(error)) from None


def _began(pid: int) -> str:
    """When a process began, in ticks since boot (proc(5), stat); "" if it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in ("Z", "X") else fields[19]


def _end(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        process = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(process, signal.SIGTERM)
            if not select.select([process], [], [], _PATIENCE)[0]:
                signal.pidfd_send_signal(process, signal.SIGKILL)
        finally:
            os.close(process)
