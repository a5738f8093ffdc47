"""How many more pods a node takes, as the scheduler counts."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from conformance.targets.room import asked, room


def pod(*requests, init=(), phase="Running"):
    def containers(each):
        return [{"resources": {"requests": one}} if one else {} for one in each]

    return {
        "spec": {"containers": containers(requests), "initContainers": containers(init)},
        "status": {"phase": phase},
    }


def node(**allocatable):
    return {"status": {"allocatable": allocatable}}


def test_containers_ask_together_and_init_containers_by_themselves():
    assert asked(pod({"cpu": "100m"}, {"cpu": "0.2", "memory": "1Ki"}, None)) == {
        "cpu": Decimal("0.3"),
        "memory": Decimal(1024),
    }
    assert asked(pod({"cpu": "1"}, init=({"cpu": "2"}, {"cpu": "500m"}))) == {"cpu": Decimal(2)}
    assert asked(pod({"cpu": "0"})) == {}


def test_what_runs_out_first_decides():
    there = [pod({"cpu": "1500m"}), pod({"cpu": "9"}, phase="Succeeded"), pod(None)]
    assert room(node(pods="30", cpu="4", memory="1Gi"), there, {}) == 28
    assert room(node(pods="30", cpu="4", memory="1Gi"), there, {"cpu": Decimal("0.5")}) == 5
    assert room(node(pods="5", cpu="4"), there, {"cpu": Decimal("0.5")}) == 3
    assert room(node(pods="30", cpu="1"), there, {"cpu": Decimal("0.5")}) == 0
    assert room(node(pods="30", cpu="4"), [], {"example.org/gpu": Decimal(1)}) == 0


@given(st.integers(0, 40), st.integers(1, 4000), st.integers(1, 500))
def test_as_many_fit_as_are_said_to_fit_and_no_more(number, processors, each):
    place, wants = node(pods="20", cpu=f"{processors}m"), {"cpu": Decimal(each) / 1000}
    there = [pod({"cpu": f"{each}m"})] * number
    more = room(place, there, wants)
    full = there + [pod({"cpu": f"{each}m"})] * more
    assert room(place, full, wants) == 0
    assert not more or (len(full) <= 20 and len(full) * each <= processors)
