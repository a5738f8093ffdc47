"""A port of another host on loopback, with real connections."""

import socket
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.targets.forwarding import is_loopback, on_loopback

# Leads to this machine and is no loopback address.
ELSEWHERE = "0.0.0.0"


@pytest.fixture(scope="module")
def echo():
    """A port that sends back what comes, after its end."""
    server = socket.create_server((ELSEWHERE, 0))
    stop = threading.Event()

    def serve():
        while not stop.is_set():
            connection, _ = server.accept()
            with connection, connection.makefile("rb") as said:
                connection.sendall(said.read())

    thread = threading.Thread(target=serve)
    thread.start()
    yield server.getsockname()[1]
    stop.set()
    socket.create_connection(server.getsockname()).close()
    thread.join()
    server.close()


def ask(address, said):
    host, _, port = address.partition(":")
    with socket.create_connection((host, int(port))) as connection:
        threading.Thread(target=lambda: (connection.sendall(said), connection.shutdown(socket.SHUT_WR))).start()
        with connection.makefile("rb") as heard:
            return heard.read()


@pytest.fixture(scope="module")
def forwarded(echo):
    with on_loopback(ELSEWHERE, echo) as address:
        yield address


@settings(max_examples=20, deadline=None)
@given(st.binary(max_size=300_000))
def test_everything_comes_back(forwarded, said):
    assert ask(forwarded, said) == said


def test_what_is_on_loopback_stays_as_it_is(echo):
    with on_loopback("127.0.0.1", echo) as address:
        assert address == f"127.0.0.1:{echo}"


def test_many_at_once(forwarded):
    answers = {}
    threads = [
        threading.Thread(target=lambda n=n: answers.update({n: ask(forwarded, bytes([n]) * 70_000)})) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {n: bytes([n]) * 70_000 for n in range(8)}


def test_a_port_that_nobody_listens_on_ends_the_connection():
    with socket.socket() as held:
        held.bind((ELSEWHERE, 0))
        with on_loopback(ELSEWHERE, held.getsockname()[1]) as address:
            host, _, port = address.partition(":")
            with socket.create_connection((host, int(port)), timeout=10) as connection:
                assert connection.recv(1) == b""


def test_afterwards_nobody_listens(echo):
    with on_loopback(ELSEWHERE, echo) as address:
        pass
    host, _, port = address.partition(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)))


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("10.0.0.1", False),
        ("docker", False),
    ],
)
def test_loopback(host, expected):
    assert is_loopback(host) is expected
