from __future__ import annotations

import os
from pathlib import Path

import pytest

from emulator.node.sandbox import Exit, Isolation, Limits, cgroups


@pytest.fixture(autouse=True)
def _limits(isolation: Isolation) -> None:
    if "limits" in isolation.lacks:
        pytest.skip(isolation.lacks["limits"])


def groups() -> list[Path]:
    found = cgroups.find()
    assert not isinstance(found, str)
    return [path for base in {found.memory, found.cpu} for path in base.glob(f"imgvol-{os.getpid()}-*")]


def test_too_much_memory_is_an_oom_kill(in_pods) -> None:
    async def test(pods) -> None:
        limits = Limits(memory_bytes=32 << 20)
        ended, output = await pods.run("out:begun", "mem:100", limits=limits)
        assert (ended, output) == (Exit(137, 9, oom=True), "begun\n")
        ended, output = await pods.run("mem:8", "exit:3", limits=limits)
        assert ended == Exit(3)

    in_pods(test)


def test_processor_time_is_limited(in_pods) -> None:
    async def test(pods) -> None:
        _, output = await pods.run("burn:1", limits=Limits(cpu_millis=100))
        assert int(output) < 400  # milliseconds of a second; 100 and what runs over a period

    in_pods(test)


def test_no_group_stays(in_pods) -> None:
    async def test(pods) -> None:
        async with pods.pod() as sandbox:
            limits = Limits(memory_bytes=64 << 20, cpu_millis=500)
            async with pods.running(sandbox, "out:up", "block:", says="up", limits=limits):
                assert groups()
        assert not groups()

    in_pods(test)
