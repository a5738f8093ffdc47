"""What the packager's tests share: the embedded registry on its own thread, and trees made from dictionaries."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for the helpers beside this file
from packager_faulty import FaultyRegistry, serve
from packager_process import RegistryProcess, registry_process

from emulator.registry import Registry, RequestSeen
from packager.registries import RegistryClient

REPOSITORY = Path(__file__).parents[2]


@dataclass
class RunningRegistry:
    """An embedded registry: `address` takes anyone, `private` only user `ci` with password `s3cret`."""

    registry: Registry
    address: str
    private: str
    root: Path

    @property
    def seen(self) -> list[RequestSeen]:
        return list(self.registry.journal)

    def writes(self) -> list[str]:
        """The kinds of successful writes in order: blob, manifest by digest, tag."""
        kinds = []
        for request in self.seen:
            if request.method != "PUT" or request.status != 201:
                continue
            last = request.path.rpartition("/")[2]
            kinds.append("blob" if "/uploads/" in request.path else "manifest" if ":" in last else "tag")
        return kinds


@pytest.fixture
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    root = tmp_path_factory.mktemp("registry")
    embedded = Registry(root)

    async def listen() -> tuple[str, str]:
        return await embedded.listen(), await embedded.listen(basic_auth=("ci", "s3cret"))

    address, private = asyncio.run_coroutine_threadsafe(listen(), loop).result(10)
    yield RunningRegistry(embedded, address, private, root)
    asyncio.run_coroutine_threadsafe(embedded.close(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


MakeTree = Callable[..., Path]


@pytest.fixture
def make_tree(tmp_path: Path) -> MakeTree:
    """Make a tree: bytes are files, None is a directory, "->x" is a link; a name that ends in * is executable."""

    def make(content: Mapping[str, bytes | str | None], name: str = "content") -> Path:
        root = tmp_path / name
        root.mkdir()
        for path, what in content.items():
            place = root / path.removesuffix("*")
            place.parent.mkdir(parents=True, exist_ok=True)
            if what is None:
                place.mkdir(exist_ok=True)
            elif isinstance(what, str):
                place.symlink_to(what.removeprefix("->"))
            else:
                place.write_bytes(what)
                place.chmod(0o755 if path.endswith("*") else 0o644)
        return root

    return make


@pytest.fixture
def content(make_tree: MakeTree) -> Path:
    """A small tree with one of everything."""
    return make_tree(
        {
            "config/app.yaml": b"version: v1\n",
            "data/items.json": b"[1,2,3]\n",
            "data/latest.json": "->items.json",
            "empty": None,
            "run.sh*": b"#!/bin/sh\n",
        }
    )


Imgvol = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def imgvol(tmp_path: Path) -> Imgvol:
    """Run the program as a user does, in an environment without the tester's own registry settings."""

    def run(
        *arguments: object, stdin: str = "", env: Mapping[str, str] | None = None, **options: object
    ) -> subprocess.CompletedProcess[str]:
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("IMGVOL_", "DOCKER_"))}
        return subprocess.run(
            [sys.executable, "-m", "imgvol", *map(str, arguments)],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=clean | {"HOME": str(tmp_path), "PYTHONPATH": str(REPOSITORY)} | dict(env or {}),
            **options,  # type: ignore[call-overload]
        )

    return run


@pytest.fixture
def faulty() -> Iterator[FaultyRegistry]:
    with serve() as registry:
        yield registry


@pytest.fixture
def pauses() -> Iterator[list[float]]:
    """Nobody waits; how long they would have."""
    found: list[float] = []
    with mock.patch.dict(RegistryClient.__init__.__kwdefaults__, {"pause": found.append}):
        yield found


@pytest.fixture(scope="module")
def process() -> Iterator[RegistryProcess]:
    """`imgvol registry`, as a process of its own."""
    with registry_process() as running:
        yield running


@pytest.fixture
def well(process: RegistryProcess) -> Iterator[None]:
    """The registry's process has not complained of what the test did."""
    yield
    process.well()
