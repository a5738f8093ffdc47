"""Services and what they lead to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.cluster.controllers.addresses import endpoint_slices, endpoints


def service(name="web", **spec):
    metadata = {"name": name, "namespace": "default", "uid": f"uid-{name}", "labels": {"team": "a"}}
    ports = [{"port": 80, "targetPort": "http", "protocol": "TCP"}]
    spec = {"selector": {"app": "web"}, "ports": ports, "clusterIP": "10.96.0.1", **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def pod(number, *, ready=True, going=False, phase="Running", port=8080):
    metadata = {"name": f"pod-{number}", "namespace": "default", "uid": f"uid-{number:04}", "labels": {"app": "web"}}
    if going:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    container = {"name": "main", "ports": [{"name": "http", "containerPort": port}]}
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return {
        "metadata": metadata,
        "spec": {"nodeName": "node", "containers": [container]},
        "status": {"phase": phase, "podIP": f"10.0.{number // 250}.{number % 250}", "conditions": conditions},
    }


def addresses(obj, kind="addresses"):
    return [each["ip"] for subset in obj.get("subsets", ()) for each in subset.get(kind, ())]


def test_ready_pods_are_addresses_and_others_are_not_ready():
    obj = endpoints(service(), [pod(2), pod(1), pod(3, ready=False), pod(4, going=True)])
    assert addresses(obj) == ["10.0.0.1", "10.0.0.2"]
    assert addresses(obj, "notReadyAddresses") == ["10.0.0.3"]
    (subset,) = obj["subsets"]
    assert subset["ports"] == [{"port": 8080, "protocol": "TCP"}]
    assert subset["addresses"][0]["targetRef"] == {
        "kind": "Pod",
        "namespace": "default",
        "name": "pod-1",
        "uid": "uid-0001",
    }
    assert obj["metadata"]["labels"] == {"team": "a", "endpoints.kubernetes.io/managed-by": "endpoint-controller"}


def test_a_named_port_is_the_pods_own():
    obj = endpoints(service(), [pod(1), pod(2, port=9090)])
    assert [[port["port"] for port in subset["ports"]] for subset in obj["subsets"]] == [[8080], [9090]]
    named = service(ports=[{"name": "api", "port": 80, "targetPort": "nowhere"}])
    assert "subsets" not in endpoints(named, [pod(1)])


def test_what_is_published_before_it_is_ready():
    obj = endpoints(service(publishNotReadyAddresses=True), [pod(1, ready=False), pod(2, going=True)])
    assert addresses(obj) == ["10.0.0.1", "10.0.0.2"]


def test_a_slice_tells_ready_serving_and_terminating_apart():
    changes = endpoint_slices(service(), [pod(1), pod(2, ready=False), pod(3, going=True)], [])
    (made,) = changes.create
    assert [each["conditions"] for each in made["endpoints"]] == [
        {"ready": True, "serving": True, "terminating": False},
        {"ready": False, "serving": False, "terminating": False},
        {"ready": False, "serving": True, "terminating": True},
    ]
    assert made["metadata"]["labels"] == {
        "team": "a",
        "kubernetes.io/service-name": "web",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    }
    assert made["metadata"]["ownerReferences"][0]["kind"] == "Service"
    assert made["ports"] == [{"name": "", "port": 8080, "protocol": "TCP"}]


@pytest.mark.parametrize(
    ("phase", "policy", "listed"),
    [
        ("Succeeded", "Never", False),
        ("Failed", "Never", False),
        ("Failed", "Always", True),
        ("Failed", "OnFailure", True),
    ],
)
def test_pods_that_ended_for_good_are_not_listed(phase, policy, listed):
    ended = pod(1, phase=phase)
    ended["spec"]["restartPolicy"] = policy
    assert bool(endpoints(service(), [ended]).get("subsets")) is listed


@given(st.lists(st.sets(st.integers(0, 400), max_size=260), min_size=1, max_size=4), st.booleans())
def test_slices_follow_the_pods_and_nothing_moves_without_need(rounds, two_ports):
    existing, serial = [], 0
    for wanted in rounds:
        before = {each["targetRef"]["uid"]: s["metadata"]["name"] for s in existing for each in s["endpoints"]}
        pods = [pod(n, port=9090 if two_ports and n % 2 else 8080) for n in sorted(wanted)]
        changes = endpoint_slices(service(), pods, existing)
        gone = {each["metadata"]["name"] for each in changes.delete}
        updated = {each["metadata"]["name"]: each for each in changes.update}
        existing = [updated.get(s["metadata"]["name"], s) for s in existing if s["metadata"]["name"] not in gone]
        for each in changes.create:
            serial += 1
            each["metadata"]["name"] = f"web-{serial}"
            existing.append(each)
        after = {each["targetRef"]["uid"]: s["metadata"]["name"] for s in existing for each in s["endpoints"]}
        assert sorted(after) == [f"uid-{n:04}" for n in sorted(wanted)]
        assert all(len(each["endpoints"]) <= 100 for each in existing)
        assert all(after[uid] == before[uid] for uid in after.keys() & before.keys())
        assert len(existing) >= 1
        again = endpoint_slices(service(), pods, existing)
        assert (again.create, again.update, again.delete) == ([], [], [])


def test_a_service_leads_to_ready_pods_only(in_lab, deployment_of):
    async def test(lab):
        lab.becomes_ready = lambda each: each["spec"]["containers"][0]["image"] == "app:v1"
        ports = [{"port": 80, "targetPort": "http"}]
        spec = {"selector": {"app": "web"}, "ports": ports}
        lab.api.create("services", {"metadata": {"name": "web", "namespace": "default"}, "spec": spec})

        def slices():
            return lab.api.list("endpointslices", "default").items

        await lab.until(lambda: len(slices()) == 1)
        assert not slices()[0].get("endpoints")
        lab.api.create("deployments", deployment_of(replicas=2))

        def ready():
            found = [each for one in slices() for each in one.get("endpoints") or ()]
            return [each["targetRef"]["name"] for each in found if each["conditions"]["ready"]]

        await lab.until(lambda: len(ready()) == 2)
        await lab.until(lambda: len(addresses(lab.api.get("endpoints", "web", "default"))) == 2)
        assert len(slices()) == 1
        assert slices()[0]["ports"][0]["port"] == 8080
        lab.run(lab.pods()[0], ready=False)
        await lab.until(lambda: len(ready()) == 1)
        lab.api.delete("services", "web", "default")
        await lab.until(lambda: not slices() and not lab.api.list("endpoints", "default").items)

    in_lab(test)


def test_a_pod_that_loses_its_label_is_listed_no_more(in_lab):
    async def test(lab):
        spec = {"selector": {"app": "web"}, "ports": [{"port": 80}]}
        lab.api.create("services", {"metadata": {"name": "web"}, "spec": spec}, "default")
        container = {"name": "main", "image": "app:v1"}
        single = {"metadata": {"name": "single", "labels": {"app": "web"}}, "spec": {"containers": [container]}}
        lab.api.create("pods", single, "default")

        def listed():
            slices = lab.api.list("endpointslices", "default").items
            return [each["targetRef"]["name"] for one in slices for each in one.get("endpoints") or ()]

        await lab.until(lambda: listed() == ["single"])
        await lab.quiet()
        lab.api.patch("pods", "single", {"metadata": {"labels": None}}, "default", kind="merge")
        await lab.until(lambda: listed() == [])

    in_lab(test)


def test_endpoints_written_by_hand_stay(in_lab):
    async def test(lab):
        lab.api.create("services", {"metadata": {"name": "own"}, "spec": {"ports": [{"port": 80}]}}, "default")
        subsets = [{"addresses": [{"ip": "192.0.2.1"}], "ports": [{"port": 80}]}]
        lab.api.create("endpoints", {"metadata": {"name": "own"}, "subsets": subsets}, "default")
        lab.api.create(
            "services",
            {"metadata": {"name": "other"}, "spec": {"selector": {"a": "b"}, "ports": [{"port": 1}]}},
            "default",
        )
        await lab.until(lambda: lab.api.list("endpointslices", "default").items)
        assert addresses(lab.api.get("endpoints", "own", "default")) == ["192.0.2.1"]

    in_lab(test)
