from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.node.kubelet.context import Addresses


@given(st.lists(st.integers(0, 9), max_size=60))
def test_no_two_pods_have_one_address(steps: list[int]) -> None:
    addresses, held = Addresses("10.244.0.0/28"), []
    for step in steps:
        if step < 6 and len(held) < 13:
            address = addresses.take()
            assert address not in held
            assert address not in ("10.244.0.0", "10.244.0.1", "10.244.0.15")
            held.append(address)
        elif held:
            addresses.give_back(held.pop(step % len(held)))


def test_a_node_that_has_given_them_all_says_so() -> None:
    addresses = Addresses("10.244.0.0/29")
    given_out = [addresses.take() for _ in range(5)]
    assert given_out == [f"10.244.0.{number}" for number in range(2, 7)]
    with pytest.raises(RuntimeError, match=r"no IP addresses available in range set: 10\.244\.0\.0/29"):
        addresses.take()
    addresses.give_back("10.244.0.4")
    assert addresses.take() == "10.244.0.4"
