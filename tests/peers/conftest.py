"""What the tests with programs of others share: one emulator for each worker, and a tree to pack."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import config

sys.path.insert(0, str(Path(__file__).parent))  # for the helpers beside this file
sys.path.append(str(Path(__file__).parents[2]))  # for bench/, which is not installed
from peer_programs import Node

import emulator
import packager
from fixtures import program
from packager.platforms import DEFAULT_PLATFORMS


@pytest.fixture(scope="session")
def running() -> Iterator[emulator.Emulator]:
    with emulator.start(speed=10) as up:
        yield up


@pytest.fixture(scope="session")
def kube(running: emulator.Emulator) -> Any:
    return config.new_client_from_config(str(running.kubeconfig))


@pytest.fixture(scope="session")
def node(running: emulator.Emulator, kube: Any) -> Node:
    probe = f"{running.registry}/probe:v1"
    programs = {platform: program("probe", platform.removeprefix("linux/")) for platform in DEFAULT_PLATFORMS}
    packager.push_program(programs, probe, entrypoint="/probe", user="65532")
    return Node(running.registry, kube, probe)


@pytest.fixture
def content(tmp_path: Path) -> Path:
    """A tree with one of everything, and more than one block of it."""
    root = tmp_path / "content"
    (root / "data").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "data" / "rules.txt").write_text("".join(f"rule {number} of many\n" for number in range(100_000)))
    (root / "data" / "latest").symlink_to("rules.txt")
    (root / "naïve 漢字.txt").write_text("text\n")
    (root / ("long-" * 30)).write_text("a name too long for ustar\n")
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / "zero").touch()
    return root
