from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from emulator.node.kubelet.probes import ProbeState


def test_readiness_begins_unready_and_needs_its_thresholds() -> None:
    state = ProbeState("readiness", {"successThreshold": 2, "failureThreshold": 3})
    assert state.result is False
    assert not state.observe(True)
    assert state.observe(True)
    assert state.result is True
    assert [state.observe(False) for _ in range(4)] == [False, False, True, False]
    assert state.result is False


def test_liveness_begins_alive_and_one_success_forgets_failures() -> None:
    state = ProbeState("liveness", {"failureThreshold": 2})
    assert state.result is True
    assert [state.observe(each) for each in (False, True, False)] == [False, False, False]
    assert state.observe(False)
    assert state.result is False


def test_a_startup_probe_begins_undecided() -> None:
    state = ProbeState("startup", {})
    assert state.result is None
    assert state.observe(True)


def test_the_defaults_are_those_of_the_api() -> None:
    state = ProbeState("readiness", {})
    assert (state.initial_delay, state.period, state.timeout) == (0, 10, 1)


@given(st.lists(st.booleans()), st.integers(1, 4), st.integers(1, 4))
def test_the_result_changes_only_after_enough_of_the_same(tries: list[bool], successes: int, failures: int) -> None:
    state = ProbeState("readiness", {"successThreshold": successes, "failureThreshold": failures})
    seen: list[bool] = []
    for each in tries:
        before = state.result
        seen.append(each)
        changed = state.observe(each)
        needed = successes if each else failures
        assert changed == (before is not each and seen[-needed:] == [each] * needed and len(seen) >= needed)
        assert (state.result != before) == changed
