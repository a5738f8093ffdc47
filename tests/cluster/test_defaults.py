"""What the API server fills in."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.cluster import Api
from emulator.cluster.validation import quantity
from emulator.cluster.validation.defaults import pull_policy

DIGEST = "@sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("reference", "policy"),
    [
        ("r.example:5000/lab/ok", "Always"),
        ("r.example:5000/lab/ok:latest", "Always"),
        (f"r.example:5000/lab/ok:latest{DIGEST}", "Always"),
        ("r.example:5000/lab/ok:v1", "IfNotPresent"),
        (f"r.example:5000/lab/ok{DIGEST}", "IfNotPresent"),
        (f"r.example:5000/lab/ok:v1{DIGEST}", "IfNotPresent"),
        ("busybox", "Always"),
        ("localhost/x", "Always"),
        ("127.0.0.1:5000/lab/OK:v1", "IfNotPresent"),
        ("127.0.0.1:5000/lab/OK", "IfNotPresent"),
        ("", "IfNotPresent"),
    ],
)
def test_pull_policies(api: Api, make_pod, reference, policy):
    assert pull_policy(reference) == policy
    if not reference:
        return
    pod = make_pod(volumes=[{"name": "content", "image": {"reference": reference}}])
    pod["spec"]["containers"][0]["image"] = reference
    made = api.create("pods", pod)["spec"]
    assert made["volumes"][0]["image"]["pullPolicy"] == made["containers"][0]["imagePullPolicy"] == policy


def test_a_volume_without_a_source_is_an_empty_directory(api: Api, make_pod):
    made = api.create("pods", make_pod(volumes=[{"name": "content"}]))
    assert made["spec"]["volumes"] == [{"name": "content", "emptyDir": {}}]


def test_a_pod_is_filled_in(api: Api, make_pod):
    made = api.create("pods", make_pod())
    spec = made["spec"]
    container = spec["containers"][0]
    expected = {
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "schedulerName": "default-scheduler",
        "securityContext": {},
        "enableServiceLinks": True,
        "serviceAccountName": "default",
        "serviceAccount": "default",
        "priority": 0,
        "preemptionPolicy": "PreemptLowerPriority",
    }
    assert {key: spec[key] for key in expected} == expected
    assert [toleration["key"] for toleration in spec["tolerations"]] == [
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
    ]
    assert container["terminationMessagePath"] == "/dev/termination-log"
    assert container["terminationMessagePolicy"] == "File"
    assert container["resources"] == {}
    assert made["status"] == {"phase": "Pending", "qosClass": "BestEffort"}
    assert made["metadata"]["generation"] == 1
    assert [volume["name"] for volume in spec["volumes"]] == ["content"], "no token volume is modelled"


def test_probes_ports_and_requests(api: Api, make_pod):
    pod = make_pod()
    pod["spec"]["containers"][0] |= {
        "readinessProbe": {"httpGet": {"port": 8080}},
        "ports": [{"containerPort": 8080}],
        "resources": {"limits": {"cpu": "0.5", "memory": "1024Mi"}},
    }
    container = api.create("pods", pod)["spec"]["containers"][0]
    assert container["readinessProbe"] == {
        "httpGet": {"path": "/", "port": 8080, "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
    }
    assert container["ports"] == [{"containerPort": 8080, "protocol": "TCP"}]
    amounts = {"cpu": "500m", "memory": "1Gi"}
    assert container["resources"] == {"limits": amounts, "requests": amounts}


def test_a_deployment_is_filled_in(api: Api):
    labels = {"app": "x"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "x"}]}}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    made = api.create("deployments", {"metadata": {"name": "d"}, "spec": spec})["spec"]
    assert made["replicas"] == 1
    assert made["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}
    assert (made["revisionHistoryLimit"], made["progressDeadlineSeconds"]) == (10, 600)
    assert made["template"]["spec"]["containers"][0]["imagePullPolicy"] == "Always"


def test_a_service_gets_an_address_of_its_own(api: Api):
    spec = {"ports": [{"port": 80}], "selector": {"a": "b"}}
    made = [api.create("services", {"metadata": {"name": f"s{i}"}, "spec": spec})["spec"] for i in range(20)]
    addresses = {service["clusterIP"] for service in made}
    assert len(addresses) == 20
    first = made[0]
    assert first["clusterIPs"] == [first["clusterIP"]]
    assert first["clusterIP"].startswith("10.")
    assert first["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 80}]
    assert (first["type"], first["sessionAffinity"], first["internalTrafficPolicy"]) == ("ClusterIP", "None", "Cluster")
    assert (first["ipFamilies"], first["ipFamilyPolicy"]) == (["IPv4"], "SingleStack")
    changed = api.update("services", {"metadata": {"name": "s0"}, "spec": {"ports": [{"port": 81}]}})
    assert changed["spec"]["clusterIP"] == first["clusterIP"], "a replace need not repeat the address"


@pytest.mark.parametrize(
    ("written", "canonical"),
    [("0.1", "100m"), ("1000m", "1"), ("1500m", "1500m"), ("1024Mi", "1Gi"), ("1000", "1k"), ("0", "0"), ("1e3", "1e3"),
     ("100Mi", "100Mi"), ("1.5Gi", "1536Mi"), ("0.5Ki", "512"), ("+5", "5"), (".5", "500m"), ("1E", "1E")],
)  # fmt: skip
def test_quantities_are_written_back_canonically(written, canonical):
    assert quantity.canonical(written) == canonical


@given(
    st.integers(min_value=-(10**15), max_value=10**15),
    st.sampled_from(["", "n", "u", "m", "k", "M", "G", "Ki", "Mi", "Gi", "e3"]),
)
def test_a_canonical_quantity_has_the_same_value_and_is_its_own_canonical_form(number, suffix):
    written = f"{number}{suffix}"
    once = quantity.canonical(written)
    assert quantity.parse(once) == quantity.parse(written)
    assert quantity.canonical(once) == once


@given(st.text("+-.0123456789eEKMGimnuk ", max_size=8))
def test_what_is_no_quantity_is_refused(text):
    with suppress(quantity.QuantityError):
        assert quantity.parse(quantity.canonical(text)) == quantity.parse(text)


@pytest.mark.parametrize("text", ["", "x", "1x", "1 Gi", "--1", "1e", "0x1", "1gi", "१", "Gi"])
def test_what_is_refused_is_told_the_pattern(text):
    with pytest.raises(
        quantity.QuantityError, match=r"quantities must match the regular expression|unable to parse numeric part"
    ):
        quantity.parse(text)
