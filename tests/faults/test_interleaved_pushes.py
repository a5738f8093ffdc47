"""Clients that push at once, days that turn bad in between, tags that move: against a model of where tags may lead."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest
from acr_on_a_bad_day import LIFETIMES, PUSHING, WAYS, bad_day
from faulty_promises import faults, said_once, tagged_digest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

import packager

_VERSIONS = st.integers(0, 2)
_TAGS = st.sampled_from(["v1", "v2"])
_WAY = st.sampled_from(sorted(WAYS))
_RUNS = itertools.count()


class Pushers(RuleBasedStateMachine):
    """`leads_to`: the digests that a tag may lead to, None for nothing."""

    served = None
    trees = ()
    digests = ()

    def __init__(self):
        super().__init__()
        self.repository = f"interleaved/{next(_RUNS)}"
        self.leads_to = {"v1": {None}, "v2": {None}}

    @rule(faults=faults(PUSHING), lifetimes=LIFETIMES)
    def turn_bad(self, faults, lifetimes):
        bad_day(self.served, faults, lifetimes)

    @rule(version=_VERSIONS, tag=_TAGS, way=_WAY)
    def push(self, version, tag, way):
        self.at_once([version], tag, way)

    @rule(versions=st.lists(_VERSIONS, min_size=2, max_size=3), tag=_TAGS, way=_WAY)
    def at_once(self, versions, tag, way):
        with ThreadPoolExecutor(len(versions)) as pool:
            succeeded = list(pool.map(lambda version: self._pushed(version, tag, way), versions))
        digests = [self.digests[version] for version in versions]
        arrived = {digest for digest, right in zip(digests, succeeded, strict=True) if right}
        # Of a push that failed, the last request may have been done, and only its answer lost.
        self.leads_to[tag] = (arrived or self.leads_to[tag]) | (set(digests) - arrived)

    def _pushed(self, version, tag, way):
        reference = f"{self.served.host}/{self.repository}:{tag}"

        def push():
            return packager.push(self.trees[version].path, reference, auth=WAYS[way](self.served))

        pushed, _ = said_once(push)
        assert pushed is None or pushed.digest == self.digests[version]
        return pushed is not None

    @rule()
    def turn_well(self):
        assert self.served("DELETE", f"{self.served.control}/faults").status_code == 204
        for tag, possible in self.leads_to.items():
            found = tagged_digest(self.served, self.repository, tag)
            assert found in possible
            self.leads_to[tag] = {found}

    def teardown(self):
        self.turn_well()


@pytest.mark.slow
def test_tags_lead_to_whole_images_whoever_pushes_and_whatever_fails(acr_place, tmp_path, new_tree):
    Pushers.served = acr_place[0]
    Pushers.trees = [new_tree(tmp_path / str(number)) for number in range(3)]
    Pushers.digests = [packager.pack(tree.path, tree.path.with_suffix(".layout")).digest for tree in Pushers.trees]
    run_state_machine_as_test(
        Pushers,
        settings=settings(
            max_examples=20, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
