"""Containers as Testcontainers starts them: started or a sentence why not, their ports, commands in them."""

from __future__ import annotations

import contextlib
import io
import re
import tarfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from conformance.targets.choice import TargetUnavailableError
from conformance.targets.daemon import RUN, explained, innermost

if TYPE_CHECKING:
    from collections.abc import Callable

    from docker import DockerClient
    from docker.models.containers import Container
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.network import Network

__all__ = [
    "CommandError",
    "Place",
    "command",
    "network",
    "places",
    "publish",
    "published",
    "read_file",
    "started",
    "write_file",
]

_LAST_LINES = 6
_MOMENT = 0.02
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class CommandError(Exception):
    """A command in a container failed; the message has its last lines."""


@dataclass(frozen=True)
class Place:
    """Where ports are published: the address that Docker binds, and the host at which we reach what it binds."""

    bind: str
    host: str


def places() -> tuple[Place, ...]:
    """The places to try in turn: loopback where the daemon may be on this machine, else any address of its host."""
    from testcontainers.core.config import testcontainers_config
    from testcontainers.core.docker_client import DockerClient, get_docker_host

    asker = DockerClient()
    with contextlib.closing(asker.client):
        host = asker.host()
    loopback = Place("127.0.0.1", "127.0.0.1")
    everywhere = Place("0.0.0.0", host)  # noqa: S104
    if host in {"localhost", "127.0.0.1"}:
        return (loopback,)
    here = (get_docker_host() or "unix:").startswith(("unix:", "npipe:")) and not testcontainers_config.tc_host_override
    return (loopback, everywhere) if here else (everywhere,)


def network(run: str) -> Network:
    """A network of the run's own.

    Raises TargetUnavailableError.
    """
    from docker.errors import DockerException
    from testcontainers.core.network import Network

    made = Network(docker_network_kw={"labels": {RUN: run}})
    made.name = f"imgvol-{run}"
    with contextlib.closing(made._docker.client):
        try:
            return made.create()
        except DockerException as error:
            raise explained(error) or TargetUnavailableError(f"Docker makes no network: {innermost(error)}") from None


def started(docker: DockerClient, container: DockerContainer, what: str) -> Container:
    """Start a container, wait for what it is to be waited for, and return it as our own connection sees it.

    Raises TargetUnavailableError.
    """
    from docker.errors import DockerException

    with contextlib.closing(container.get_docker_client().client):
        try:
            container.start()
        except DockerException as error:
            raise explained(error) or TargetUnavailableError(f"{what} does not start: {innermost(error)}") from None
        except (RuntimeError, TimeoutError):
            said = container.get_wrapped_container().logs(tail=_LAST_LINES).decode(errors="replace")
            raise TargetUnavailableError(f"{what} does not come up; it says last: {last_lines(said)}") from None
        return docker.containers.get(container.get_container_id())


def publish(container: DockerContainer, port: int, place: Place) -> None:
    """Have Docker publish a port of a container that is not started yet, at any free port of a place."""
    # Docker takes an address as well; Testcontainers knows of numbers only, and passes on what it is given.
    ports: dict[str, Any] = container.ports
    ports[f"{port}/tcp"] = (place.bind, None)


def published(container: Container, port: int) -> int:
    """The port that Docker published a container's port at."""
    bound = container.attrs["NetworkSettings"]["Ports"].get(f"{port}/tcp")
    if not bound:
        raise TargetUnavailableError(f"{container.name} ended as soon as it was started; `docker logs` may say why")
    return int(bound[0]["HostPort"])


def command(
    docker: DockerClient,
    container: Container,
    *words: str,
    privileged: bool = False,
    line: Callable[[str], None] = lambda _: None,
) -> None:
    """Run a command in a container to its end; `line` is told the lines that it prints.

    Of the output, the beginning may be missing: docker-py drops what comes in one piece with the answer's header. Ask
    for files by `read_file`. Raises CommandError.
    """
    # A terminal has its output unframed, so that nothing is garbled by what is missing.
    made = docker.api.exec_create(container.id, list(words), privileged=privileged, tty=True)["Id"]
    printed, pending = bytearray(), b""
    with contextlib.closing(docker.api.exec_start(made, tty=True, stream=True)) as chunks:
        for chunk in chunks:
            printed += chunk
            *lines, pending = (pending + chunk).split(b"\n")
            for one in lines:
                line(one.decode(errors="replace"))
    # The output may end a moment before the command does.
    while (state := docker.api.exec_inspect(made))["Running"]:
        time.sleep(_MOMENT)
    if code := state["ExitCode"]:
        raise CommandError(f"`{' '.join(words)}` ended with {code}: {last_lines(printed.decode(errors='replace'))}")


def read_file(container: Container, path: str) -> str:
    """The text of a file in a container; KeyError if it is not there."""
    from docker.errors import NotFound

    try:
        chunks, _ = container.get_archive(path)
    except NotFound:
        raise KeyError(path) from None
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
        content = archive.extractfile(archive.getmembers()[0])
        assert content is not None, f"{path} is no file"
        return content.read().decode()


def write_file(container: Container, path: str, text: str) -> None:
    """Write a file in a container, and the directories above it."""
    data, content = io.BytesIO(), text.encode()
    with tarfile.open(fileobj=data, mode="w") as archive:
        entry = tarfile.TarInfo(path.lstrip("/"))
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    container.put_archive("/", data.getvalue())


def last_lines(text: str) -> str:
    """The last lines that say something, on one."""
    lines = [" ".join(_ANSI.sub("", line).split()) for line in text.splitlines()]
    return " / ".join([line for line in lines if line][-_LAST_LINES:]) or "nothing"
