"""A node of `imgvol up` loses its power: the API server is not told, and finds out."""

from __future__ import annotations

from contextlib import closing

import pytest
import requests

import emulator
from conformance.kube import Kube, RefusedError, path_of

SILENT = "Kubelet stopped posting node status."


def test_a_node_loses_its_power(engine_image):
    with emulator.start(nodes=2, speed=20.0) as up:
        from kubernetes import config

        client = config.new_client_from_config(str(up.kubeconfig))
        kube = Kube(client)
        kube.create(path_of("pods", "default"), engine_image(up, "imgvol-node-2"))
        with closing(kube.watch(path_of("pods", "default"), {}, 60)) as watched:
            assert any(event["object"]["status"].get("phase") == "Running" for event in watched)

        lost = f"{up.control}/nodes/imgvol-node-2"
        assert requests.delete(lost, timeout=30).status_code == 204
        assert requests.delete(lost, timeout=30).status_code == 404
        assert requests.delete(f"{up.control}/nodes/none", timeout=30).json() == {"error": "no node 'none' runs here"}
        with pytest.raises(
            RefusedError, match=r'^Get "https://\S+:10250/containerLogs/default/a/main": dial tcp'
        ) as no:
            kube.read(path_of("pods", "default", "a", "log"))
        assert no.value.code == 500

        def is_unknown(event):
            conditions = {one["type"]: one for one in event["object"]["status"]["conditions"]}
            ready = conditions["Ready"]
            return (ready["status"], ready.get("message")) == ("Unknown", SILENT)

        query = {"fieldSelector": "metadata.name=imgvol-node-2"}
        with closing(kube.watch(path_of("nodes"), query, 60)) as watched:
            assert any(is_unknown(event) for event in watched)
        # It is not known what became of its pods: they stay, and one that is deleted waits for its kubelet.
        kube.delete(path_of("pods", "default", "a"))
        assert "deletionTimestamp" in kube.get(path_of("pods", "default", "a"))["metadata"]
        kube.delete(path_of("pods", "default", "a"), {"gracePeriodSeconds": 0})
        with pytest.raises(RefusedError, match="not found"):
            kube.get(path_of("pods", "default", "a"))
        other = kube.get(path_of("nodes", name="imgvol-node"))["status"]["conditions"]
        assert {one["type"]: one["status"] for one in other}["Ready"] == "True"
        client.rest_client.pool_manager.clear()


@pytest.fixture
def engine_image():
    """Pushes a program that waits, and gives a pod that runs it on a node."""
    from conformance.oci import Repository
    from conformance.targets.target import RegistryEndpoint
    from fixtures import ImageSpec, forge

    def push(up, node):
        endpoint = RegistryEndpoint(f"http://{up.registry}", up.registry)
        image = forge(ImageSpec((), {}, {}, None, {}, program="probe"), architecture=_here(), nonce="away")
        Repository(endpoint, "probe").push(image, "v1")
        container = {"name": "main", "image": f"{up.registry}/probe:v1", "args": ["wait"]}
        spec = {"containers": [container], "nodeSelector": {"kubernetes.io/hostname": node}}
        return {"metadata": {"name": "a"}, "spec": spec}

    return push


def _here():
    from emulator.node.kubelet.node_object import architecture

    return architecture()
