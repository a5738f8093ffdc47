from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from emulator.node.sandbox import (
    Container,
    Exit,
    Isolation,
    IsolationError,
    MissingProgramError,
    PodSandbox,
    SandboxError,
    StartError,
    StateDir,
    VolumeMount,
    detect,
)
from emulator.node.sandbox import isolation as isolation_module


@pytest.fixture
def in_plain_pods(tool: Path, tmp_path: Path, make_pods):
    def run(test) -> None:
        with StateDir(tmp_path) as state:
            asyncio.run(asyncio.wait_for(test(make_pods(detect("none"), state.path, tool)), 60))

    return run


def test_the_best_mode_is_found() -> None:
    try:
        found = detect()
    except IsolationError as error:
        pytest.skip(str(error))
    assert found.mode == ("root" if os.geteuid() == 0 else "user")


def test_unknown_mode() -> None:
    with pytest.raises(IsolationError, match="unknown isolation 'docker': use root, user or none"):
        detect("docker")


@pytest.mark.skipif(os.geteuid() == 0, reason="is about not being root")
def test_root_without_root() -> None:
    with pytest.raises(IsolationError, match="isolation root needs root"):
        detect("root")


@pytest.fixture
def broken_bubblewrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "bwrap"
    path.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    path.chmod(0o755)
    monkeypatch.setattr(isolation_module, "bubblewrap", lambda: str(path))
    return path


def test_without_namespaces_one_sentence_says_what_to_do(broken_bubblewrap: Path) -> None:
    with pytest.raises(IsolationError) as error:
        detect()
    text = str(error.value)
    assert text.startswith("Linux namespaces cannot be had here (bwrap: No permissions to create new namespace); ")
    assert "--isolation=none" in text
    assert "\n" not in text


def test_missing_programs_say_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGVOL_BIN", str(tmp_path))
    with pytest.raises(MissingProgramError, match=r"pause is missing: run `make build`"):
        detect("none")


def test_a_pod_that_cannot_be_made_says_why(isolation: Isolation, tmp_path: Path) -> None:
    async def test() -> None:
        with pytest.raises(SandboxError, match=r"failed to create the pod's namespaces: pause: .*not an address"):
            await PodSandbox.create(isolation, "pod", tmp_path / "pod", address="not an address")

    asyncio.run(test())


# Without namespaces: little is kept, and what is not is said.


def test_without_namespaces_it_says_what_is_lacking() -> None:
    lacks = detect("none").lacks
    assert {"read-only-kernel", "network", "owners", "groups", "devices", "limits", "mounts"} <= set(lacks)
    assert all(reason for reason in lacks.values())


def test_without_namespaces_programs_of_the_image_run(in_plain_pods) -> None:
    async def test(pods) -> None:
        (pods.rootfs / "work").mkdir()
        ended, output = await pods.run("out:hello", "exit:3", env={"A": "b"}, cwd="/work")
        assert (ended, output) == (Exit(3), "hello\n")
        (pods.rootfs / "bin").mkdir()
        (pods.rootfs / "tool").rename(pods.rootfs / "bin/tool")
        _, output = await pods.run(args=("tool", "cat:/proc/self/environ"), env={"PATH": "/bin", "A": "b"})
        assert output == "PATH=/bin\0A=b\0\n"
        async with pods.pod() as sandbox:
            with pytest.raises(StartError, match="no such file or directory"):
                await Container.start(sandbox, pods.spec(args=("/none",)))

    in_plain_pods(test)


def test_without_namespaces_signals_and_connections_work(in_plain_pods) -> None:
    async def test(pods) -> None:
        async with pods.pod() as sandbox:
            log = pods.state / "log"
            async with pods.running(sandbox, "await:15", "exit:6", says="awaiting", log=log) as container:
                container.signal(15)
                assert await container.wait() == Exit(6)
            container = await Container.start(sandbox, pods.spec("block:"))
            container.signal(9)
            assert await container.wait() == Exit(137, 9)
            server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
            _, writer = await sandbox.dial(server.sockets[0].getsockname()[1])
            writer.close()
            server.close()

    in_plain_pods(test)


def test_without_namespaces_volumes_are_refused(in_plain_pods) -> None:
    async def test(pods) -> None:
        async with pods.pod() as sandbox:
            with pytest.raises(StartError, match='isolation "none" cannot mount a volume at "/content"'):
                await Container.start(sandbox, pods.spec("out:", mounts=(VolumeMount(pods.state, "/content"),)))
            with pytest.raises(StartError, match="cannot keep readOnlyRootFilesystem"):
                await Container.start(sandbox, pods.spec("out:", read_only_rootfs=True))

    in_plain_pods(test)


def test_without_namespaces_processes_end_with_their_pod(in_plain_pods) -> None:
    async def test(pods) -> None:
        async with pods.pod() as sandbox:
            log = pods.state / "log"
            entered = pods.running(sandbox, "pid:", "out:up", "block:", says="up", log=log)
            container = await entered.__aenter__()
            pidfd = os.pidfd_open(int(log.read_text().split()[3]))
            await sandbox.stop()
            assert await container.wait() == Exit(137, 9)
            ended = asyncio.Event()
            asyncio.get_running_loop().add_reader(pidfd, ended.set)
            await asyncio.wait_for(ended.wait(), 5)
            asyncio.get_running_loop().remove_reader(pidfd)
            os.close(pidfd)

    in_plain_pods(test)
