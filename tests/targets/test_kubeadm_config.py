"""What kubeadm is told, and the kubeconfig that comes of it."""

import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from conformance.targets.kubeadm import POD_SUBNET, Cluster, kubeconfig_for, pod_network

ADMIN = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "x", "cluster": {"server": "https://node:6443", "certificate-authority-data": "Q0E="}}],
    "users": [{"name": "kubernetes-admin", "user": {"client-certificate-data": "Qw==", "client-key-data": "Sw=="}}],
    "contexts": [{"name": "a@x", "context": {"cluster": "x", "user": "kubernetes-admin"}}],
    "current-context": "a@x",
}


def documents(text):
    return {document["kind"]: document for document in yaml.safe_load_all(text)}


def cluster(**changes):
    usual = {
        "name": "c",
        "version": "v1.36.3",
        "control_plane": "c-control-plane",
        "hosts": ("127.0.0.1",),
        "cgroup": 2,
    }
    return Cluster(**{**usual, **changes})


def test_init_is_for_the_node_and_the_version():
    told = documents(cluster().init("172.18.0.4"))
    assert told["ClusterConfiguration"]["kubernetesVersion"] == "v1.36.3"
    assert told["ClusterConfiguration"]["controlPlaneEndpoint"] == "c-control-plane:6443"
    init = told["InitConfiguration"]
    assert init["localAPIEndpoint"] == {"advertiseAddress": "172.18.0.4", "bindPort": 6443}
    assert init["nodeRegistration"]["name"] == "c-control-plane"
    assert {"name": "node-ip", "value": "172.18.0.4"} in init["nodeRegistration"]["kubeletExtraArgs"]
    assert "preflight" in init["skipPhases"]


@pytest.mark.parametrize(("cgroup", "failing"), [(1, False), (2, None)])
def test_the_kubelet_is_told_to_accept_cgroup_v1_where_it_must(cgroup, failing):
    assert documents(cluster(cgroup=cgroup).init("10.0.0.2"))["KubeletConfiguration"].get("failCgroupV1") is failing


def test_a_rootless_kubelet_knows_that_it_is():
    told = documents(cluster(rootless=True).init("10.0.0.2"))
    assert told["KubeletConfiguration"]["featureGates"] == {"KubeletInUserNamespace": True}
    assert told["KubeProxyConfiguration"]["conntrack"]["tcpEstablishedTimeout"] == "0s"
    assert "featureGates" not in documents(cluster().init("10.0.0.2"))["KubeletConfiguration"]


def test_no_limit_of_a_kubelet_stands_in_the_way_of_the_suite():
    kubelet = documents(cluster().init("10.0.0.2"))["KubeletConfiguration"]
    assert kubelet["registryPullQPS"] == 0
    # 0 would mean the default of its client, 5 a second.
    assert kubelet["eventRecordQPS"] >= 1000


@given(st.lists(st.sampled_from(["127.0.0.1", "localhost", "docker", "10.1.2.3"])))
def test_the_certificate_is_for_every_host_once(hosts):
    names = documents(cluster(hosts=tuple(hosts)).init("10.0.0.2"))["ClusterConfiguration"]["apiServer"]["certSANs"]
    assert set(names) == {"localhost", "127.0.0.1", *hosts}
    assert len(names) == len(set(names))


def test_who_joins_knows_the_token_of_who_began():
    made = cluster()
    token = documents(made.init("10.0.0.2"))["InitConfiguration"]["bootstrapTokens"][0]["token"]
    discovery = documents(made.join("c-worker1", "10.0.0.3"))["JoinConfiguration"]["discovery"]["bootstrapToken"]
    assert discovery["token"] == token
    assert discovery["apiServerEndpoint"] == made.endpoint
    assert re.fullmatch(r"[a-z0-9]{6}\.[a-z0-9]{16}", token)
    assert token not in repr(made)
    assert cluster().token != token


def test_the_kubeconfig_leads_to_the_server_under_one_name():
    found = yaml.safe_load(kubeconfig_for(yaml.safe_dump(ADMIN), "imgvol-1", "https://127.0.0.1:32768"))
    assert found["clusters"] == [
        {"name": "imgvol-1", "cluster": {"server": "https://127.0.0.1:32768", "certificate-authority-data": "Q0E="}}
    ]
    assert found["contexts"] == [{"name": "imgvol-1", "context": {"cluster": "imgvol-1", "user": "imgvol-1"}}]
    assert found["users"] == [{"name": "imgvol-1", "user": ADMIN["users"][0]["user"]}]
    assert found["current-context"] == "imgvol-1"


MANIFEST = """
# of the pod network
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: kindnet}
---
apiVersion: apps/v1
kind: DaemonSet
spec:
  template:
    spec:
      containers:
      - name: kindnet-cni
        env:
        - {name: POD_SUBNET, value: "{{ .PodSubnet }}"}
---
"""


def test_the_pod_network_gets_its_subnet_and_the_way_to_the_api():
    found = documents(pod_network(MANIFEST, "c-control-plane:6443"))
    assert set(found) == {"ClusterRole", "DaemonSet"}
    assert found["DaemonSet"]["spec"]["template"]["spec"]["containers"][0]["env"] == [
        {"name": "POD_SUBNET", "value": POD_SUBNET},
        {"name": "CONTROL_PLANE_ENDPOINT", "value": "c-control-plane:6443"},
    ]
