"""Starting `imgvol up` or `imgvol registry` as a process of its own, and ending it again."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

__all__ = ["PASSWORD_VARIABLE", "Emulator", "RegistryProcess", "StartError", "start", "start_registry"]

PASSWORD_VARIABLE = "IMGVOL_PRIVATE_REGISTRY"  # noqa: S105 - the name of a variable, no secret
_PATIENCE = 10.0  # seconds to end by itself before it is ended


class StartError(RuntimeError):
    """The emulator did not come up; the text says why, as the emulator said it."""


@dataclass(frozen=True)
class Emulator:
    """A running emulator."""

    registry: str
    """`127.0.0.1:PORT`, plain http, anonymous."""
    private_registry: str | None
    """The same storage behind HTTP basic authentication."""
    control: str
    """`http://127.0.0.1:PORT`, where the registry's faults are switched."""
    kubeconfig: Path
    """Leads to the API server."""
    open_registry: str | None = None
    """Where `registry` wants a sign-in: the same storage, anonymous."""


@dataclass(frozen=True)
class RegistryProcess:
    """A running registry."""

    registry: str
    """`HOST:PORT`; https if there is a `ca`, else plain http."""
    control: str
    """`http://127.0.0.1:PORT`, where its faults are switched."""
    username: str | None = None
    """With basic authentication, who may sign in."""
    password_file: Path | None = None
    """Where that user's password is, if it was made up."""
    ca: Path | None = None
    """The certificate of the authority to trust; nothing else that clients would trust is in its directory."""


@contextlib.contextmanager
def start(
    *,
    registry_port: int = 0,
    api_port: int = 0,
    private_registry: str | tuple[str, str] | None = None,
    kubeconfig: str | os.PathLike[str] | None = None,
    runtime: str | None = None,
    speed: float | None = None,
    isolation: str | None = None,
    faults: Sequence[str] = (),
    registry_auth: str | None = None,
    acr_config: str | os.PathLike[str] | None = None,
    node_identity: str | None = None,
    image_credential_provider: tuple[Path, Path] | None = None,
    nodes: int | None = None,
    pools: Sequence[str] = (),
    verbose: bool = False,
) -> Iterator[Emulator]:
    """Run an emulator until the block ends; it also ends when this process does, in whatever way.

    `private_registry` is `USER:PASSWORD` or the two in a tuple, `image_credential_provider` a kubelet's configuration
    of providers and the directory of their programs; the other options are those of `imgvol up`.

    Raises:
        StartError: it did not come up.
    """
    command = ["up", *(f"--faults={name}" for name in faults)]
    for option, value in (
        ("registry-port", registry_port or None),
        ("api-port", api_port or None),
        ("kubeconfig", None if kubeconfig is None else os.fspath(kubeconfig)),
        ("runtime", runtime),
        ("registry-auth", registry_auth),
        ("acr-config", None if acr_config is None else os.fspath(acr_config)),
        ("node-identity", node_identity),
        ("image-credential-provider-config", image_credential_provider and image_credential_provider[0]),
        ("image-credential-provider-bin-dir", image_credential_provider and image_credential_provider[1]),
        ("speed", speed),
        ("isolation", isolation),
        ("nodes", nodes),
        *(("pool", pool) for pool in pools),
    ):
        if value is not None:
            command.append(f"--{option}={value}")
    if verbose:
        command.append("--verbose")
    environment = {key: value for key, value in os.environ.items() if key != PASSWORD_VARIABLE}
    if private_registry is not None:  # by the environment: the list of processes is for all to see
        given = private_registry if isinstance(private_registry, str) else ":".join(private_registry)
        environment[PASSWORD_VARIABLE] = given
    with _running(command, environment) as ready:
        yield Emulator(
            ready["registry"],
            ready["private_registry"],
            ready["control"],
            Path(ready["kubeconfig"]),
            ready.get("open_registry"),
        )


@contextlib.contextmanager
def start_registry(
    *,
    listen: str = "127.0.0.1:0",
    faults: Sequence[str] = (),
    registry_auth: str | None = None,
    acr_config: str | os.PathLike[str] | None = None,
    username: str | None = None,
    password: str | None = None,
    tls: bool = False,
    tls_names: Sequence[str] = (),
) -> Iterator[RegistryProcess]:
    """Run only a registry until the block ends, or this process does; the options are those of `imgvol registry`.

    `username` and `password` are for `registry_auth="basic"`, which makes a password up if there is none.

    Raises:
        StartError: it did not come up.
    """
    command = ["registry", f"--listen={listen}", *(f"--faults={name}" for name in faults)]
    command += [f"--registry-auth={registry_auth}"] if registry_auth else []
    command += [f"--acr-config={os.fspath(acr_config)}"] if acr_config else []
    command += [f"--username={username}"] if username else []
    command += ["--password-stdin"] if password else []
    command += [*(["--tls"] if tls else []), *(f"--tls-name={name}" for name in tls_names)]
    with _running(command, dict(os.environ), f"{password}\n" if password else "") as ready:
        files = {name: Path(ready[name]) for name in ("password_file", "ca") if name in ready}
        yield RegistryProcess(ready["registry"], ready["control"], ready.get("username"), **files)


@contextlib.contextmanager
def _running(arguments: Sequence[str], environment: Mapping[str, str], told: str = "") -> Iterator[dict[str, Any]]:
    """Run a command of `imgvol` that says in a line of JSON when it is ready, which is given to the block; `told` is
    what it is told by standard input."""
    process = subprocess.Popen(
        [sys.executable, "-m", "imgvol", *arguments, "--until-stdin-closes"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # an interrupt from the terminal ends its owner, who then ends it in order
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    said: list[str] = []
    listener = threading.Thread(target=_listen, args=(process.stderr, said), daemon=True)
    listener.start()
    try:
        with contextlib.suppress(BrokenPipeError):  # it has ended already, and says why
            process.stdin.write(told)
            process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            process.wait()
            listener.join()
            raise StartError("".join(said).strip() or f"imgvol {arguments[0]} ended with status {process.returncode}")
        yield json.loads(line)
    finally:
        _end(process)
        listener.join()
        process.stdout.close()
        process.stderr.close()


def _listen(stderr: IO[str], said: list[str]) -> None:
    """Pass on what the emulator says, and keep its beginning for an error message."""
    for line in stderr:
        if len(said) < 100:
            said.append(line)
        sys.stderr.write(line)


def _end(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    with contextlib.suppress(OSError):
        process.stdin.close()
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
