from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from emulator.node.kubelet.backoff import Backoff


class Hand:
    """A clock that is turned by hand."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


def test_the_delay_doubles_from_ten_seconds_to_five_minutes() -> None:
    now = Hand()
    backoff = Backoff(now)
    delays = []
    for _ in range(8):
        backoff.next("pod_image", now())
        delays.append(backoff.delay("pod_image"))
        now.at += delays[-1]
    assert delays == [10, 20, 40, 80, 160, 300, 300, 300]


def test_a_key_waits_until_its_delay_has_passed() -> None:
    now = Hand()
    backoff = Backoff(now)
    assert not backoff.waiting_since_update("a")
    backoff.next("a", now())
    assert backoff.waiting_since_update("a")
    assert not backoff.waiting_since_update("b")
    now.at += 9.9
    assert backoff.waiting_since_update("a")
    now.at += 0.1
    assert not backoff.waiting_since_update("a")


def test_a_restart_waits_from_the_last_end_of_its_container() -> None:
    now = Hand()
    backoff = Backoff(now)
    ended = now()
    assert not backoff.waiting_since("c", ended)
    backoff.next("c", ended)
    now.at += 3
    assert backoff.waiting_since("c", now())
    assert not backoff.waiting_since("c", ended - 10)


def test_a_series_that_rested_for_ten_minutes_starts_over() -> None:
    now = Hand()
    backoff = Backoff(now)
    for _ in range(4):
        backoff.next("a", now())
    now.at += 601
    assert not backoff.waiting_since_update("a")
    backoff.next("a", now())
    assert backoff.delay("a") == 10


def test_a_pod_that_is_gone_leaves_nothing() -> None:
    now = Hand()
    backoff = Backoff(now)
    backoff.next("u1_image", now())
    backoff.next("u2_image", now())
    backoff.forget("u1_")
    assert backoff.delay("u1_image") == 0
    assert backoff.delay("u2_image") == 10


@given(st.lists(st.floats(0, 500), max_size=30))
def test_the_delay_never_leaves_its_bounds(pauses: list[float]) -> None:
    now = Hand()
    backoff = Backoff(now)
    last = 0.0
    for pause in pauses:
        now.at += pause
        backoff.next("k", now())
        delay = backoff.delay("k")
        assert 10 <= delay <= 300
        assert delay == 10 or delay == min(last * 2, 300)
        last = delay
