from __future__ import annotations

import asyncio
import contextlib

import pytest


async def talk(sandbox, port: int, text: bytes = b"hello", **where: str) -> str:
    reader, writer = await sandbox.dial(port, **where)
    writer.write(text)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer.decode()


def test_two_pods_serve_on_the_same_port(in_pods) -> None:
    async def test(pods) -> None:
        async with (
            pods.pod("one") as one,
            pods.pod("two") as two,
            pods.running(one, "serve:0.0.0.0:8080", says="serving"),
            pods.running(two, "serve:0.0.0.0:8080", says="serving"),
        ):
            assert await talk(one, 8080) == "one got 5: hello"
            assert await talk(two, 8080) == "two got 5: hello"

    in_pods(test)


def test_the_containers_of_a_pod_share_localhost(in_pods) -> None:
    async def test(pods) -> None:
        async with pods.pod("shared") as sandbox, pods.running(sandbox, "serve:127.0.0.1:9000", says="serving"):
            _, output = await pods.run("get:127.0.0.1:9000", sandbox=sandbox)
            assert output == "shared got 0: \n"

    in_pods(test)


def test_another_pod_does_not_reach_localhost(in_pods) -> None:
    async def test(pods) -> None:
        async with pods.pod("server") as server, pods.running(server, "serve:127.0.0.1:9000", says="serving"):
            _, output = await pods.run("get:127.0.0.1:9000")
            assert output == "error: dial tcp 127.0.0.1:9000: connect: connection refused\n"

    in_pods(test)


def test_a_closed_port_refuses(in_pods) -> None:
    async def test(pods) -> None:
        async with pods.pod() as sandbox:
            with pytest.raises(ConnectionRefusedError):
                await sandbox.dial(8080)

    in_pods(test)


def test_the_pods_own_address(in_pods) -> None:
    """What listens on 127.0.0.1 alone cannot be reached from outside a pod, but through port-forward."""

    async def test(pods) -> None:
        async with pods.pod("addressed", address="10.244.0.7") as sandbox:
            async with pods.running(sandbox, "serve:10.244.0.7:8080", says="serving"):
                assert await talk(sandbox, 8080) == "addressed got 5: hello"
            async with pods.running(sandbox, "serve:127.0.0.1:8081", says="serving"):
                with pytest.raises(ConnectionRefusedError):
                    await sandbox.dial(8081)
                assert await talk(sandbox, 8081, host="127.0.0.1") == "addressed got 5: hello"

    in_pods(test)


def test_many_connections_and_much_data_at_once(in_pods) -> None:
    async def test(pods) -> None:
        async with pods.pod("busy") as sandbox, pods.running(sandbox, "serve:0.0.0.0:8080", says="serving"):
            size = 300_000
            answers = await asyncio.gather(*(talk(sandbox, 8080, b"x" * size) for _ in range(50)))
            assert set(answers) == {f"busy got {size}: {'x' * 20}"}

    in_pods(test)


def test_a_connection_ends_with_its_pod(in_pods) -> None:
    async def test(pods) -> None:
        async with pods.pod() as sandbox:
            await pods.running(sandbox, "serve:0.0.0.0:8080", says="serving").__aenter__()
            reader, writer = await sandbox.dial(8080)
            await sandbox.stop()
            with pytest.raises(ConnectionResetError):
                await sandbox.dial(8080)
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
            writer.close()

    in_pods(test)


def test_the_pods_files(in_pods) -> None:
    async def test(pods) -> None:
        async with pods.pod("named", address="10.244.0.9", resolv_conf="nameserver 10.96.0.10\n") as sandbox:
            _, output = await pods.run("cat:/etc/hostname", "cat:/etc/resolv.conf", "cat:/etc/hosts", sandbox=sandbox)
        name, resolver, *hosts = output.splitlines()
        assert (name, resolver) == ("named", "nameserver 10.96.0.10")
        assert hosts[0] == "# Kubernetes-managed hosts file."
        assert hosts[-1] == "10.244.0.9\tnamed"

    in_pods(test)


def test_the_containers_of_a_pod_share_dev_shm(in_pods) -> None:
    async def test(pods) -> None:
        async with pods.pod() as sandbox:
            await pods.run("write:/dev/shm/x=shared", sandbox=sandbox)
            _, output = await pods.run("cat:/dev/shm/x", "stat:/dev/shm", sandbox=sandbox)
            assert output == "shareddtrwxrwxrwx\n"

    in_pods(test)
