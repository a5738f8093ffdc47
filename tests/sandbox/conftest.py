"""Real pods on the real kernel: every test here runs in each kind of isolation that this host and user have."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from emulator.cluster.kubelets import LogOptions
from emulator.node.sandbox import (
    Container,
    ContainerSpec,
    Exit,
    Isolation,
    IsolationError,
    PodSandbox,
    StateDir,
    VolumeMount,
    detect,
    read_log,
)

NOBODY_YET = 65532
HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]


@dataclass(frozen=True)
class Who:
    uid: int = NOBODY_YET
    gid: int = 0
    groups: tuple[int, ...] = (0, NOBODY_YET)


def descendants(pid: int) -> set[int]:
    """A process's children and theirs."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    found: set[int] = set()
    while more := {child for child, parent in parents.items() if parent in {pid, *found}} - found:
        found |= more
    return found


@pytest.fixture(name="descendants")
def _descendants() -> Callable[[int], set[int]]:
    return descendants


@pytest.fixture(scope="session")
def tool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program that the containers run."""
    if ready := os.environ.get("SANDBOX_TEST_TOOL"):
        return Path(ready)
    path = tmp_path_factory.mktemp("tool") / "tool"
    build = ["go", "build", "-trimpath", "-ldflags", "-s -w", "-o", str(path), "."]
    subprocess.run(build, cwd=HERE / "steps", env={**os.environ, "CGO_ENABLED": "0"}, check=True)
    return path


@pytest.fixture(scope="session", params=["root", "user"])
def isolation(request: pytest.FixtureRequest) -> Isolation:
    if request.param == "root" and os.geteuid() != 0:
        pytest.skip("isolation root needs root")
    try:
        return detect(request.param)
    except IsolationError as error:
        pytest.skip(str(error))


class Pods:
    """Pods for one test, below one state directory, with an image whose entrypoint is the tool."""

    def __init__(self, isolation: Isolation, state: Path, tool: Path) -> None:
        self.isolation = isolation
        self.state = state
        self.rootfs = state / "rootfs"
        self.rootfs.mkdir()
        shutil.copy(tool, self.rootfs / "tool")
        (self.rootfs / "tool").chmod(0o755)
        self.root = Who(0, 0, (0,))
        self._numbers = itertools.count()

    @contextlib.asynccontextmanager
    async def pod(self, hostname: str = "pod", **options: Any) -> AsyncIterator[PodSandbox]:
        workdir = self.state / f"{hostname}-{next(self._numbers)}"
        sandbox = await PodSandbox.create(self.isolation, hostname, workdir, **options)
        try:
            yield sandbox
        finally:
            await sandbox.stop()

    def spec(self, *steps: str, **fields: Any) -> ContainerSpec:
        fields.setdefault("args", ("/tool", *steps))
        fields.setdefault("rootfs", self.rootfs)
        fields.setdefault("identity", Who())
        fields.setdefault("log", self.state / f"log-{next(self._numbers)}")
        return ContainerSpec(**fields)

    async def run(self, *steps: str, sandbox: PodSandbox | None = None, **fields: Any) -> tuple[Exit, str]:
        """Run a container to its end, in a pod of its own unless one is given: how it ended and what it said."""
        spec = self.spec(*steps, **fields)
        if sandbox is None:
            async with self.pod() as sandbox:
                ended = await (await Container.start(sandbox, spec)).wait()
        else:
            ended = await (await Container.start(sandbox, spec)).wait()
        return ended, await log_of(spec)

    @contextlib.asynccontextmanager
    async def running(
        self, sandbox: PodSandbox, *steps: str, says: str = "", **fields: Any
    ) -> AsyncIterator[Container]:
        """A container that has said a line and runs on, until it is killed."""
        spec = self.spec(*steps, **fields)
        container = await Container.start(sandbox, spec)
        if says:
            await said(container, spec, says)
        yield container
        container.signal(9)
        await container.wait()

    def programs(self) -> set[str]:
        """What runs below this process."""
        found = set()
        for pid in descendants(os.getpid()):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                found.add(Path(f"/proc/{pid}/cmdline").read_text().split("\0")[0])
        return found

    def image(self, files: dict[str, str]) -> Path:
        """An unpacked image: directories and files of root, as a user without root gets to see them too."""
        directory = self.state / f"image-{next(self._numbers)}"
        directory.mkdir()
        for name, content in files.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
            path.chmod(0o644)
        if self.isolation.mode == "user":
            # What the image store does: the owner's bits say what the container's user may do.
            for path in sorted(directory.rglob("*"), reverse=True):
                path.chmod(0o555 if path.is_dir() else 0o444)
            directory.chmod(0o555)
        return directory

    def volume(self, files: dict[str, str], target: str = "/content", subpath: str = "") -> VolumeMount:
        return VolumeMount(self.image(files), target, subpath=subpath, kind="image")


async def said(container: Container, spec: ContainerSpec, line: str) -> None:
    """Wait until a container has said a line."""
    output = b""
    async for chunk in read_log(spec.log, LogOptions(follow=True), container.wait()):
        output += chunk
        if f"{line}\n".encode() in output:
            return
    raise AssertionError(f"the container ended without saying {line!r}: {output!r}")


async def log_of(spec: ContainerSpec) -> str:
    return b"".join([chunk async for chunk in read_log(spec.log, LogOptions())]).decode()


@pytest.fixture
def make_pods() -> type[Pods]:
    return Pods


@pytest.fixture
def in_pods(isolation: Isolation, tool: Path, tmp_path: Path) -> Callable[[Callable[[Pods], Awaitable[None]]], None]:
    """Runs a coroutine function with a `Pods`."""

    def run(test: Callable[[Pods], Awaitable[None]]) -> None:
        with StateDir(tmp_path) as state:
            asyncio.run(asyncio.wait_for(test(Pods(isolation, state.path, tool)), 60))  # type: ignore[arg-type]

    return run
