"""The rules of a roll-out, over the interleavings of controllers, readiness and templates that Hypothesis finds."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.cluster.controllers.owners import owner_reference
from emulator.cluster.controllers.progress import is_complete, rollout_status
from emulator.cluster.controllers.replicas import plan, pod_of, replicaset_status
from emulator.cluster.controllers.revisions import (
    REVISION,
    annotations_for,
    expired,
    find_new,
    new_replicaset,
    next_revision,
    same_template,
    template_hash,
)
from emulator.cluster.controllers.rollout import (
    DESIRED,
    MAX,
    Fenceposts,
    fenceposts,
    initial_size,
    is_scaling,
    proportional_step,
    rolling_step,
)

NOW = "2026-01-01T00:00:00Z"


def deployment(replicas, surge="25%", unavailable="25%", image="v1"):
    rolling = {"maxSurge": surge, "maxUnavailable": unavailable}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default", "uid": "d", "generation": 1},
        "spec": {
            "replicas": replicas,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": rolling},
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"image": image}]}},
        },
        "status": {},
    }


def replicaset(name, size, available=0, *, desired=None, most=None, created=NOW):
    annotations = {key: str(value) for key, value in ((DESIRED, desired), (MAX, most)) if value is not None}
    metadata = {"name": name, "uid": name, "creationTimestamp": created, "annotations": annotations}
    return {"metadata": metadata, "spec": {"replicas": size}, "status": {"availableReplicas": available}}


counts = st.integers(0, 12)
percents = st.integers(0, 100).map("{}%".format)


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "expected"),
    [
        (1, "25%", "25%", (1, 0)),
        (4, "25%", "25%", (1, 1)),
        (10, "25%", "25%", (3, 2)),
        (3, 1, 0, (1, 0)),
        (1, 0, "25%", (0, 1)),
        (10, "0%", "9%", (0, 1)),
        (2, 0, 5, (0, 2)),
        (0, "25%", "25%", (0, 0)),
        # 7 % of 100 is 7: not the 7.000000000000001 of floating point, rounded up.
        (100, "7%", "7%", (7, 7)),
    ],
)
def test_percentages_round_towards_safety(replicas, surge, unavailable, expected):
    assert fenceposts(deployment(replicas, surge, unavailable)) == Fenceposts(*expected)


def test_recreate_has_no_fenceposts():
    wanted = deployment(5)
    wanted["spec"]["strategy"] = {"type": "Recreate"}
    assert fenceposts(wanted) == Fenceposts(0, 0)
    assert initial_size(wanted, [replicaset("old", 5)]) == 5


@given(st.integers(1, 12), counts | percents, counts | percents)
def test_a_rollout_can_always_move(replicas, surge, unavailable):
    posts = fenceposts(deployment(replicas, surge, unavailable))
    assert posts.surge + posts.unavailable > 0
    assert 0 <= posts.unavailable <= replicas


class Simulation:
    """A Deployment, its ReplicaSets and their pods; every controller takes a step only when told to."""

    def __init__(self, replicas, surge, unavailable):
        self.deployment = deployment(replicas, surge, unavailable)
        self.sets = []
        self.pods = {}
        self.serial = 0
        self.broken = set()

    @property
    def limits(self):
        return fenceposts(self.deployment)

    def images(self):
        return [each["spec"]["template"]["spec"]["containers"][0]["image"] for each in self.sets]

    def deploy(self):
        new = find_new(self.deployment, self.sets)
        olds = [each for each in self.sets if each is not new]
        if new is None:
            new = new_replicaset(self.deployment, initial_size(self.deployment, olds), next_revision(olds))
            self.serial += 1
            new["metadata"].update(uid=f"rs-{self.serial}", creationTimestamp=f"2026-01-01T00:00:{self.serial:02}Z")
            self.sets.append(new)
            self.pods[new["metadata"]["uid"]] = []
        else:
            new["metadata"]["annotations"] = annotations_for(self.deployment, new, next_revision(olds))
        sizes = rolling_step(self.deployment, new, olds)
        for each in self.sets:
            each["spec"]["replicas"] = sizes.get(each["metadata"]["name"], each["spec"]["replicas"])
        self.deployment["status"] = rollout_status(self.deployment, new, olds, NOW, overdue=False)
        return bool(sizes)

    def replicate(self, each):
        pods = self.pods[each["metadata"]["uid"]]
        before = each.get("status")
        todo = plan(each, pods, pods, datetime.now(UTC))
        for _ in range(todo.create):
            pod = pod_of(each)
            self.serial += 1
            pod["metadata"]["uid"] = f"pod-{self.serial:04}"
            pods.append(pod)
        for pod in todo.delete:
            pods.remove(pod)
        each["status"] = replicaset_status(each, pods, lambda pod: True, None, NOW)
        return before != each["status"] or todo.create or todo.delete

    def alive(self):
        return [pod for pods in self.pods.values() for pod in pods]

    def available(self):
        return sum(bool(pod.get("status")) for pod in self.alive())

    def make_ready(self, pod):
        if pod["spec"]["containers"][0]["image"] not in self.broken:
            pod["spec"]["nodeName"] = "node"
            ready = {"type": "Ready", "status": "True", "lastTransitionTime": NOW}
            pod["status"] = {"phase": "Running", "conditions": [ready]}

    def settle(self):
        for _ in range(500):
            moved = self.deploy()
            for each in self.sets:
                moved = self.replicate(each) or moved
            for pod in self.alive():
                if not pod.get("status"):
                    self.make_ready(pod)
                    moved = moved or bool(pod.get("status"))
            if not moved:
                return
        raise AssertionError("the roll-out does not end")

    def check(self):
        replicas, limits = self.deployment["spec"]["replicas"], self.limits
        assert sum(each["spec"]["replicas"] for each in self.sets) <= replicas + limits.surge
        assert len(self.alive()) <= replicas + limits.surge
        assert self.available() >= replicas - limits.unavailable


@settings(max_examples=150, deadline=None)
@given(st.data(), st.integers(1, 8), st.integers(0, 4) | percents, st.integers(0, 4) | percents)
def test_no_interleaving_breaks_the_limits(data, replicas, surge, unavailable):
    simulation = Simulation(replicas, surge, unavailable)
    simulation.settle()
    simulation.check()
    assert len(simulation.alive()) == replicas
    simulation.broken = data.draw(st.sets(st.sampled_from(["v2", "v3"])))
    for _ in range(data.draw(st.integers(0, 60))):
        match data.draw(st.sampled_from(["deploy", "replicate", "ready", "change"])):
            case "deploy":
                simulation.deploy()
            case "replicate":
                simulation.replicate(data.draw(st.sampled_from(simulation.sets)))
            case "ready":
                if simulation.alive():
                    simulation.make_ready(data.draw(st.sampled_from(simulation.alive())))
            case "change":
                template = simulation.deployment["spec"]["template"]
                template["spec"]["containers"][0]["image"] = data.draw(st.sampled_from(["v1", "v2", "v3"]))
        simulation.check()
    simulation.deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "v1"
    simulation.settle()
    simulation.check()
    assert {pod["spec"]["containers"][0]["image"] for pod in simulation.alive()} == {"v1"}
    assert len(simulation.alive()) == replicas
    assert is_complete(simulation.deployment, simulation.deployment["status"])
    # Each template has one ReplicaSet, and the newest revision is the one in use.
    assert len(set(simulation.images())) == len(simulation.sets)
    newest = max(simulation.sets, key=lambda each: int(each["metadata"]["annotations"][REVISION]))
    assert find_new(simulation.deployment, simulation.sets) is newest


@settings(deadline=None)
@given(st.integers(0, 20), st.lists(st.integers(0, 12), min_size=2, max_size=4), counts | percents, st.integers(0, 20))
def test_scaling_in_the_middle_of_a_rollout_spreads_over_all(replicas, sizes, surge, more):
    wanted = deployment(replicas, surge, 1)
    most = sum(sizes) + more
    sets = [replicaset(f"rs-{number}", size, desired=99, most=most) for number, size in enumerate(sizes)]
    result = proportional_step(wanted, sets[0], sets[1:])
    active = [each for each in sets if each["spec"]["replicas"]]
    assert all(size >= 0 for size in result.values())
    if len(active) > 1:
        allowed = replicas + fenceposts(wanted).surge if replicas else 0
        # What rounding leaves over is taken from one ReplicaSet; when that has less, a few remain for the next step.
        assert sum(result.values()) == allowed or (sum(result.values()) > allowed and 0 in result.values())
        assert set(result) == {each["metadata"]["name"] for each in active}
    else:
        assert list(result.values()) == [replicas]


def test_scaling_keeps_proportions_and_gives_the_rest_to_the_largest():
    wanted = deployment(15, 3, 2)
    new, old = replicaset("new", 5, desired=10, most=13), replicaset("old", 8, desired=10, most=13)
    assert is_scaling(wanted, [new, old])
    # The example of the Deployment documentation: 10 to 15 replicas with 5 new and 8 old gives 7 and 11.
    assert proportional_step(wanted, new, [old]) == {"new": 7, "old": 11}


def test_a_saturated_new_replicaset_leaves_nothing_to_old_ones():
    new, old = replicaset("new", 3, 3, desired=3, most=4), replicaset("old", 2, 2)
    assert proportional_step(deployment(3), new, [old]) == {"old": 0}


def test_unhealthy_old_pods_go_first():
    new = replicaset("new", 1, 0)
    healthy = replicaset("a-healthy", 2, 2, created="2026-01-01T00:00:00Z")
    broken = replicaset("b-broken", 2, 0, created="2026-01-01T00:00:01Z")
    sizes = rolling_step(deployment(4, 1, 1), new, [healthy, broken])
    assert sizes == {"b-broken": 1}


def test_a_status_that_lags_behind_a_lowered_size_makes_no_pod_count_twice():
    older = replicaset("a-older", 3, 3, created="2026-01-01T00:00:00Z")
    emptied = replicaset("b-emptied", 0, 1, created="2026-01-01T00:00:01Z")
    assert rolling_step(deployment(3, 3, 1), replicaset("new", 3, 0), [older, emptied]) == {"a-older": 2}


def test_equals_grow_newer_first_and_shrink_older_first():
    newer = replicaset("newer", 5, desired=10, most=10, created="2026-01-01T00:00:01Z")
    older = replicaset("older", 5, desired=10, most=10, created="2026-01-01T00:00:00Z")
    assert proportional_step(deployment(11, 0, 1), newer, [older]) == {"newer": 6, "older": 5}
    assert proportional_step(deployment(9, 0, 1), newer, [older]) == {"newer": 5, "older": 4}


def test_rolling_back_finds_the_replicaset_and_raises_its_revision():
    first = new_replicaset(deployment(1, image="v1"), 1, 1)
    second = new_replicaset(deployment(1, image="v2"), 1, 2)
    back = deployment(1, image="v1")
    assert find_new(back, [second, first]) is first
    notes = annotations_for(back, first, next_revision([second]))
    assert notes[REVISION] == "3"
    assert notes["deployment.kubernetes.io/revision-history"] == "1"
    again = {**first, "metadata": {**first["metadata"], "annotations": notes}}
    assert annotations_for(back, again, 3) == notes


def test_an_absent_field_and_an_empty_one_are_the_same_template():
    one = {"metadata": {"labels": {"a": "b", "pod-template-hash": "x"}}, "spec": {"volumes": [], "nodeName": None}}
    other = {"metadata": {"labels": {"a": "b"}}, "spec": {}}
    assert same_template(one, other)
    assert not same_template(one, {**other, "spec": {"nodeName": "n"}})


def test_the_hash_depends_on_the_template_and_the_collisions_only():
    template = deployment(1)["spec"]["template"]
    assert template_hash(template) == template_hash(dict(reversed(template.items())))
    assert template_hash(template) != template_hash(template, 1)
    assert set(template_hash(template)) <= set("bcdfghjklmnpqrstvwxz2456789")


def test_the_history_keeps_its_limit_and_what_still_has_pods():
    def old(revision, size=0):
        each = replicaset(f"rs-{revision}", size)
        each["metadata"]["annotations"][REVISION] = str(revision)
        return each

    wanted = {**deployment(1), "spec": {**deployment(1)["spec"], "revisionHistoryLimit": 2}}
    assert expired(wanted, [old(10), old(9), old(2, size=1), old(3)]) == ["rs-3"]
    assert expired(wanted, [old(1), old(2)]) == []
    wanted["spec"]["revisionHistoryLimit"] = 0
    assert expired(wanted, [old(1)]) == ["rs-1"]


def test_annotations_of_the_deployment_are_copied_but_not_its_own_records():
    wanted = deployment(2)
    wanted["metadata"]["annotations"] = {
        "team": "a",
        REVISION: "7",
        "kubectl.kubernetes.io/last-applied-configuration": "{}",
    }
    assert annotations_for(wanted, None, 1) == {"team": "a", REVISION: "1", DESIRED: "2", MAX: "3"}


def test_the_owner_reference_makes_the_deployment_the_controller():
    made = new_replicaset(deployment(1), 1, 1)
    assert made["metadata"]["ownerReferences"] == [owner_reference(deployment(1))]
    assert made["metadata"]["ownerReferences"][0]["controller"] is True
