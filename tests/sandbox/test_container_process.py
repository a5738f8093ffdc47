from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulator.node.sandbox import Container, Exit, SandboxError, StartError, VolumeMount
from emulator.node.sandbox.capabilities import DEFAULT, numbers, resolve

PREFIX = (
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: "
    "unable to start container process: error during container init: "
)


def test_exit_codes(in_pods) -> None:
    async def test(pods) -> None:
        async with pods.pod() as sandbox:
            for code in (0, 1, 3, 127, 255):
                ended, _ = await pods.run(f"exit:{code}", sandbox=sandbox)
                assert (ended.code, ended.oom) == (code, False)

    in_pods(test)


def test_kill_ends_it_with_137(in_pods) -> None:
    async def test(pods) -> None:
        async with pods.pod() as sandbox:
            container = await Container.start(sandbox, pods.spec("orphan:", "block:"))
            assert container.exit is None
            container.signal(signal.SIGKILL)
            assert await container.wait() == Exit(137, signal.SIGKILL)
            assert container.exit == Exit(137, signal.SIGKILL)
            container.signal(signal.SIGKILL)  # one that has ended is left alone

    in_pods(test)


def test_a_handled_signal_arrives(in_pods) -> None:
    async def test(pods) -> None:
        async with (
            pods.pod() as sandbox,
            pods.running(sandbox, "await:15", "exit:7", says="awaiting", log=pods.state / "handled") as container,
        ):
            container.signal(signal.SIGTERM)
            assert await container.wait() == Exit(7)
            assert (pods.state / "handled").read_text().endswith("F got terminated\n")

    in_pods(test)


def test_process_1_ignores_what_it_does_not_handle(in_pods) -> None:
    """As on a node: a program without a handler for SIGTERM stays until it is killed."""

    async def test(pods) -> None:
        async with (
            pods.pod() as sandbox,
            pods.running(sandbox, "default:15", "pid:", "await:10", "exit:4", says="awaiting") as container,
        ):
            container.signal(signal.SIGTERM)
            container.signal(signal.SIGUSR1)  # signals are delivered in order of their numbers, so TERM was first
            assert await container.wait() == Exit(4)

    in_pods(test)


def test_it_is_process_1_with_its_environment_and_nothing_else(in_pods) -> None:
    async def test(pods) -> None:
        ended, output = await pods.run(
            "pid:",
            "cat:/proc/self/environ",
            "out:",
            "fds:",
            "ls:/dev",
            env={"A": "b c", "PATH": "/bin"},
            cwd="/new/directory",
        )
        assert ended == Exit(0)
        pid, environ, *rest = output.splitlines()
        assert pid == "1"
        assert environ == "A=b c\0PATH=/bin\0HOME=/\0"
        assert rest[:3] == ["0", "1", "2"]
        devices = {"core", "fd", "full", "null", "random", "shm", "stderr", "stdin", "stdout", "tty", "urandom", "zero"}
        terminals = {"ptmx", "pts"} if pods.isolation.mode == "root" else set()
        assert set(rest[3:]) == devices | terminals

    in_pods(test)


def test_entrypoints_are_found_on_the_containers_path(in_pods) -> None:
    async def test(pods) -> None:
        (pods.rootfs / "opt/bin").mkdir(parents=True)
        (pods.rootfs / "tool").rename(pods.rootfs / "opt/bin/tool")
        async with pods.pod() as sandbox:
            _, output = await pods.run(args=("tool", "out:found"), env={"PATH": "/nowhere:/opt/bin"}, sandbox=sandbox)
            assert output == "found\n"
            _, output = await pods.run(args=("./tool", "out:relative"), cwd="/opt/bin", sandbox=sandbox)
            assert output == "relative\n"

    in_pods(test)


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("/x",), 'exec: "/x": stat /x: no such file or directory'),
        (("x",), 'exec: "x": executable file not found in $PATH'),
        (("/etc",), 'exec: "/etc": is a directory'),
        (("/plain",), 'exec: "/plain": permission denied'),
    ],
)
def test_an_entrypoint_that_cannot_run_fails_the_start(in_pods, args: tuple[str, ...], text: str) -> None:
    async def test(pods) -> None:
        (pods.rootfs / "plain").write_text("text")
        async with pods.pod() as sandbox:
            with pytest.raises(StartError) as error:
                await Container.start(sandbox, pods.spec(args=args, env={"PATH": "/bin"}))
            assert str(error.value) == PREFIX + text
            _, output = await pods.run("out:the pod lives on", sandbox=sandbox)
            assert output == "the pod lives on\n"

    in_pods(test)


def test_a_binary_for_another_machine_ends_with_1(in_pods) -> None:
    """Recorded: pods/engine-wrong-arch."""

    async def test(pods) -> None:
        binary = pods.rootfs / "engine"
        elf = bytearray((pods.rootfs / "tool").read_bytes())
        elf[18:20] = (0x28).to_bytes(2, "little")  # e_machine: 32-bit ARM, which no 64-bit host's loader takes here
        binary.write_bytes(elf)
        binary.chmod(0o755)
        assert await pods.run(args=("/engine",)) == (Exit(1), "exec /engine: exec format error\n")

    in_pods(test)


def test_a_missing_root_file_system_fails_the_start(in_pods) -> None:
    async def test(pods) -> None:
        async with pods.pod() as sandbox:
            with pytest.raises(StartError, match=r"bwrap: .*/missing"):
                await Container.start(sandbox, pods.spec(rootfs=Path("/missing")))

    in_pods(test)


def test_a_container_of_a_stopped_pod(in_pods) -> None:
    async def test(pods) -> None:
        async with pods.pod() as sandbox:
            running = await Container.start(sandbox, pods.spec("block:"))
            await sandbox.stop()
            assert await running.wait() == Exit(137, 9)
            running.signal(9)
            with pytest.raises(SandboxError, match="the pod has ended"):
                await Container.start(sandbox, pods.spec("out:late"))

    in_pods(test)


def test_a_start_that_nobody_waits_for_any_more(in_pods) -> None:
    """Its container must not live on unseen, whenever the caller gave up."""

    async def test(pods) -> None:
        async with pods.pod() as sandbox:
            for turns in range(20):
                starting = asyncio.ensure_future(Container.start(sandbox, pods.spec("default:15", "block:")))
                for _ in range(turns):
                    await asyncio.sleep(0)
                starting.cancel()
                await asyncio.wait([starting])
                if not starting.cancelled():
                    starting.result().signal(signal.SIGKILL)
            while "/tool" in pods.programs():
                await asyncio.wait_for(sandbox.control.request("dial", host="127.0.0.1", port=1), 10)

    in_pods(test)


def test_what_it_writes_is_lost_with_it(in_pods) -> None:
    async def test(pods) -> None:
        async with pods.pod() as sandbox:
            _, output = await pods.run("write:/file=text", "cat:/file", identity=pods.root, sandbox=sandbox)
            assert output == "text\n"
            _, output = await pods.run("cat:/file", identity=pods.root, sandbox=sandbox)
            assert output == "error: open /file: no such file or directory\n"
            assert not (pods.rootfs / "file").exists()

    in_pods(test)


def test_a_read_only_root_file_system(in_pods) -> None:
    async def test(pods) -> None:
        (pods.state / "empty").mkdir()
        (pods.state / "empty").chmod(0o777)
        _, output = await pods.run(
            "write:/file=text",
            "write:/etc/hosts=text",
            "write:/tmp/x=in the emptyDir",
            "cat:/tmp/x",
            read_only_rootfs=True,
            identity=pods.root,
            mounts=(VolumeMount(pods.state / "empty", "/tmp", read_only=False),),
        )
        assert output.splitlines() == [
            "error: open /file: read-only file system",
            "error: open /etc/hosts: read-only file system",
            "in the emptyDir",
        ]

    in_pods(test)


def test_root_has_containerds_capabilities_and_others_none(in_pods) -> None:
    def effective(status: str) -> int:
        return int(next(line for line in status.splitlines() if line.startswith("CapEff")).split()[1], 16)

    async def test(pods) -> None:
        async with pods.pod() as sandbox:
            _, status = await pods.run("cat:/proc/self/status", identity=pods.root, sandbox=sandbox)
            assert effective(status) == sum(1 << number for number in numbers(DEFAULT))
            _, status = await pods.run(
                "cat:/proc/self/status", identity=pods.root, capabilities=resolve(drop=["ALL"]), sandbox=sandbox
            )
            assert effective(status) == 0
            _, status = await pods.run("cat:/proc/self/status", sandbox=sandbox)
            assert effective(status) == 0
            assert "NoNewPrivs:\t1" in status

    in_pods(test)


def test_root_of_a_container_is_not_root_of_the_host(in_pods) -> None:
    async def test(pods) -> None:
        steps = ("mknod:/null", "write:/proc/sys/kernel/core_pattern=x", "cat:/proc/keys", "ls:/proc/acpi")
        _, output = await pods.run(*steps, identity=pods.root)
        errors = output.splitlines()
        assert errors[0] == "error: operation not permitted"
        assert errors[1] == "error: open /proc/sys/kernel/core_pattern: read-only file system"
        assert len(errors) == 2  # the masked ones read as empty

    in_pods(test)


def test_home_is_the_one_of_the_images_passwd(in_pods) -> None:
    async def test(pods) -> None:
        (pods.rootfs / "etc").mkdir()
        (pods.rootfs / "etc/passwd").write_text("root:x:0:0::/root:\nme:x:65532:0::/home/me:\n")
        _, output = await pods.run("cat:/proc/self/environ")
        assert output == "HOME=/home/me\0\n"

    in_pods(test)


def test_arguments_and_environment_pass_as_they_are(in_pods) -> None:
    async def test(pods) -> None:
        async with pods.pod() as sandbox:
            text = 'spaces "quotes" $HOME \\n é 漢字 --flag'
            _, output = await pods.run(f"out:{text}", "cat:/proc/self/environ", env={"X": text}, sandbox=sandbox)
            assert output == f"{text}\nX={text}\0HOME=/\0\n"

    in_pods(test)


def test_much_environment_passes(in_pods) -> None:
    async def test(pods) -> None:
        env = {f"VARIABLE_{number}": "x" * 1000 for number in range(500)}
        ended, _ = await pods.run("exit:5", env=env)
        assert ended == Exit(5)

    in_pods(test)


def test_many_containers_at_once(in_pods) -> None:
    async def test(pods) -> None:
        async with pods.pod() as sandbox:
            done = await asyncio.gather(*(pods.run(f"out:{n}", f"exit:{n}", sandbox=sandbox) for n in range(20)))
            assert done == [(Exit(n), f"{n}\n") for n in range(20)]

    in_pods(test)


names = st.sampled_from(["CHOWN", "KILL", "NET_ADMIN", "SYS_ADMIN", "ALL"])


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(names), st.lists(names))
def test_capabilities_add_and_drop(add: list[str], drop: list[str]) -> None:
    having = resolve(add, drop)
    assert set(add) - set(drop) - {"ALL"} <= having
    assert not having & set(drop)
    if "ALL" in drop and "ALL" not in add:
        assert having <= set(add)
    if not add and not drop:
        assert having == DEFAULT


def test_unknown_capabilities_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown capability to add or drop: 'FLY'"):
        resolve(["FLY"])
