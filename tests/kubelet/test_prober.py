from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from emulator.node.kubelet.prober import Outcome, try_probe

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def finish(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def answer(text: str, requests: list[str] | None = None) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            request = (await reader.readuntil(b"\r\n\r\n")).decode()
            if requests is not None:
                requests.append(request)
            writer.write(text.encode())
            await writer.drain()
        await finish(writer)

    return handle


def probe(handler: Handler | None, what: dict[str, Any], timeout: float = 5.0) -> Outcome:
    async def run() -> Outcome:
        handling: list[asyncio.Task[None]] = []

        async def handled(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            assert handler is not None
            task = asyncio.current_task()
            assert task is not None
            handling.append(task)
            await handler(reader, writer)

        server = await asyncio.start_server(handled, "127.0.0.1") if handler else None
        port = server.sockets[0].getsockname()[1] if server else 0

        async def dial(_: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            if server is None:
                raise ConnectionRefusedError
            return await asyncio.open_connection("127.0.0.1", port)

        container = {"ports": [{"name": "http", "containerPort": 8080}]}
        try:
            return await try_probe(what, container, dial=dial, address="10.244.0.2", timeout=timeout)
        finally:
            if server:
                server.close()
                await asyncio.gather(*handling, return_exceptions=True)

    return asyncio.run(run())


HTTP = {"httpGet": {"path": "/health", "port": 8080}}


def test_an_http_probe_succeeds_below_400() -> None:
    requests: list[str] = []
    assert probe(answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", requests), HTTP) == Outcome(True, "ok")
    assert requests[0].startswith("GET /health HTTP/1.1\r\nHost: 10.244.0.2:8080\r\nUser-Agent: kube-probe/1.36")
    assert probe(answer("HTTP/1.1 399 X\r\n\r\n"), HTTP).success


def test_an_http_probe_fails_from_400_on() -> None:
    outcome = probe(answer("HTTP/1.1 503 Busy\r\n\r\n"), HTTP)
    assert outcome == Outcome(False, "HTTP probe failed with statuscode: 503")


def test_headers_are_sent_and_may_replace_the_usual_ones() -> None:
    requests: list[str] = []
    what = {"httpGet": {"path": "x", "port": "http", "httpHeaders": [{"name": "host", "value": "h"}]}}
    assert probe(answer("HTTP/1.1 204 No Content\r\n\r\n", requests), what).success
    assert requests[0].startswith("GET /x HTTP/1.1\r\n")
    assert "host: h\r\n" in requests[0]
    assert "Host: " not in requests[0]


def test_a_refused_connection_is_told_as_go_tells_it() -> None:
    assert probe(None, HTTP).output == (
        'Get "http://10.244.0.2:8080/health": dial tcp 10.244.0.2:8080: connect: connection refused'
    )
    assert probe(None, {"tcpSocket": {"port": "http"}}).output == (
        "dial tcp 10.244.0.2:8080: connect: connection refused"
    )


def test_silence_is_a_timeout() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        await finish(writer)

    outcome = probe(silent, HTTP, timeout=0.05)
    assert outcome.output.endswith("context deadline exceeded (Client.Timeout exceeded while awaiting headers)")


def test_a_connection_closed_without_an_answer_is_eof() -> None:
    assert probe(answer(""), HTTP).output == 'Get "http://10.244.0.2:8080/health": EOF'


def test_redirects_on_the_same_host_are_followed() -> None:
    count = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        count += 1
        await reader.readuntil(b"\r\n\r\n")
        first = "HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n"
        writer.write((first if count == 1 else "HTTP/1.1 500 X\r\n\r\n").encode())
        await writer.drain()
        await finish(writer)

    assert probe(handle, HTTP).output == "HTTP probe failed with statuscode: 500"
    elsewhere = "HTTP/1.1 302 Found\r\nLocation: http://example.org/\r\nContent-Length: 0\r\n\r\n"
    assert probe(answer(elsewhere), HTTP).success


@pytest.mark.parametrize("listening", [True, False])
def test_a_tcp_probe_asks_only_for_a_connection(listening: bool) -> None:
    assert probe(answer("") if listening else None, {"tcpSocket": {"port": 8080}}).success is listening
