"""Whatever a registry does, a push ends in the right digest, or in a clear error and no tag on something unpulled."""

import pytest
from faulty_promises import check_push, faults
from hypothesis import HealthCheck, given, settings

import packager
from emulator.faults import scenario_names


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(faults=faults())
def test_a_push_ends_right_or_in_a_clear_error(open_place, faults):
    served, tree = open_place
    served.faults(*faults)
    # The tree differs each time: what was pushed before would be found, and not sent.
    name = tree.fresh()
    check_push(served, f"pushes/{name}", lambda reference: packager.push(tree.path, reference))


@pytest.mark.parametrize("name", [name for name in scenario_names() if name not in ("slow-to-answer", "slow-bodies")])
def test_every_scenario_that_comes_along(open_place, name):
    served, tree = open_place
    tree.fresh()
    assert served("PUT", f"{served.control}/faults/{name}").status_code == 200
    check_push(served, f"scenarios/{name}", lambda reference: packager.push(tree.path, reference))


def test_what_failed_once_is_pushed_whole_the_next_time(open_place):
    served, tree = open_place
    tree.fresh()
    served.faults({"match": {"operation": "upload-*"}, "times": {"skip": 1}, "hang-up": "before"})
    assert check_push(served, "again", lambda reference: packager.push(tree.path, reference))
