"""Nodes that sign in to a registry that plays ACR, as AKS nodes do: with an identity, and without a pull secret."""

import contextlib
import json
import socket

import pytest
import requests
from kubernetes import client, config, watch

import emulator
import packager

NO_SECRETS = {"automountServiceAccountToken": False, "restartPolicy": "Never"}


class Cluster:
    """An emulator, and pods on it."""

    def __init__(self, running):
        self.running = running
        self.api = config.new_client_from_config(str(running.kubeconfig))
        self.core = client.CoreV1Api(self.api)
        self.http = requests.Session()
        self.http.trust_env = False

    def push(self, directory):
        (directory / "content").mkdir()
        (directory / "content" / "hello.txt").write_text("hello")
        packager.push(directory / "content", f"{self.running.open_registry}/team/content:v1")

    def run(self, name, registry=None):
        """Create a pod with an image volume, and return it once it waits for something that will not come, or ran."""
        registry = registry or self.running.registry
        pod = {
            "metadata": {"name": name},
            "spec": {
                **NO_SECRETS,
                "containers": [{"name": "main", "image": f"{registry}/team/content:v1", "command": ["/none"]}],
            },
        }
        self.core.create_namespaced_pod("default", pod)
        seen = watch.Watch()
        pods, this = self.core.list_namespaced_pod, f"metadata.name={name}"
        for event in seen.stream(pods, "default", field_selector=this, timeout_seconds=60):
            for status in event["object"].status.container_statuses or ():
                waiting, ended = status.state.waiting, status.state.terminated
                if ended or (waiting and waiting.reason not in ("ContainerCreating", "PodInitializing")):
                    seen.stop()
                    return waiting.message if waiting else "", self.events(name)
        raise AssertionError(f"pod {name} neither ran nor got stuck")

    def events(self, name):
        found = self.core.list_namespaced_event("default", field_selector=f"involvedObject.name={name}").items
        return [(event.reason, event.message) for event in found]

    def requests(self):
        asked = self.http.get(f"{self.running.control}/requests", timeout=30).json()
        return [(one["method"], one["path"], one["status"]) for one in asked]


@pytest.fixture
def cluster(tmp_path):
    with contextlib.ExitStack() as stack:

        def start(**options):
            made = Cluster(stack.enter_context(emulator.start(**options)))
            stack.callback(made.http.close)
            stack.callback(made.api.close)
            made.push(tmp_path)
            return made

        yield start


def test_a_node_with_acrpull_pulls_without_a_pull_secret(cluster):
    here = cluster(registry_auth="acr")
    _, events = here.run("with-acrpull")
    assert any(reason == "Pulled" for reason, _ in events), events
    asked = here.requests()
    registry = [one for one in asked if one[1].startswith("/oauth2/")]
    # What the provider does, what containerd tries first, and what it falls back to.
    assert registry[:3] == [
        ("POST", "/oauth2/exchange", 200),
        ("POST", "/oauth2/token", 400),
        ("GET", "/oauth2/token", 200),
    ]
    assert any(path.startswith("/download/") and status == 200 for _, path, status in asked)


def test_a_node_without_acrpull_shows_what_aks_shows(cluster):
    here = cluster(registry_auth="acr", node_identity="none")
    message, events = here.run("without-acrpull")
    registry = here.running.registry
    query = f"scope=repository%3Ateam%2Fcontent%3Apull&service={registry.replace(':', '%3A')}"
    said = (
        f'failed to pull and unpack image "{registry}/team/content:v1": failed to resolve image: failed to authorize: '
        "failed to fetch anonymous token: unexpected status from GET request to "
        f"http://{registry}/oauth2/token?{query}: 401 Unauthorized"
    )
    assert said in message
    assert ("Failed", f'Failed to pull image "{registry}/team/content:v1": {said}') in events
    assert ("POST", "/oauth2/exchange", 401) in here.requests()


def test_an_abac_registry_does_not_heed_acrpull(cluster, tmp_path):
    acr = tmp_path / "acr.yaml"
    acr.write_text("permissions: abac\n")
    message, _ = cluster(acr_config=acr).run("attached")
    assert "failed to fetch anonymous token" in message


def test_an_abac_registry_heeds_repository_reader(cluster, tmp_path):
    acr = tmp_path / "acr.yaml"
    acr.write_text(
        """
        permissions: abac
        identities:
          node: {roles: [{role: Container Registry Repository Reader, repositories: "team/*"}]}
        """
    )
    _, events = cluster(acr_config=acr).run("reader")
    assert any(reason == "Pulled" for reason, _ in events), events


def test_a_reader_of_other_repositories_is_told_so_by_both_credentials(cluster, tmp_path):
    acr = tmp_path / "acr.yaml"
    acr.write_text(
        """
        permissions: abac
        identities:
          node: {roles: [{role: Container Registry Repository Reader, repositories: "other/*"}]}
        """
    )
    message, _ = cluster(acr_config=acr).run("other-reader")
    assert "server message: insufficient_scope: authorization failed" in message
    assert "failed to fetch anonymous token" in message


def test_anonymous_pull_needs_no_identity(cluster, tmp_path):
    acr = tmp_path / "acr.yaml"
    acr.write_text("anonymous-pull: true\n")
    _, events = cluster(acr_config=acr, node_identity="none").run("anonymous")
    assert any(reason == "Pulled" for reason, _ in events), events


def test_a_provider_of_ones_own(cluster, tmp_path):
    """A user's own provider on an emulated node: what it answers is what the node signs in with."""
    with socket.socket() as held:  # never listens: the registry can, and nobody else gets the port
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        registry = f"127.0.0.1:{held.getsockname()[1]}"
        response = {
            "kind": "CredentialProviderResponse",
            "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
            "cacheKeyType": "Image",
            "cacheDuration": "0s",
            "auth": {registry: {"username": "ci", "password": "s3cret"}},
        }
        programs = tmp_path / "bin"
        programs.mkdir()
        program = programs / "mine"
        program.write_text(f"#!/bin/sh\ncat > {tmp_path}/request\necho '{json.dumps(response)}'\n")
        program.chmod(0o755)
        settings = tmp_path / "config.yaml"
        settings.write_text(
            f"""
            apiVersion: kubelet.config.k8s.io/v1
            kind: CredentialProviderConfig
            providers:
              - name: mine
                apiVersion: credentialprovider.kubelet.k8s.io/v1
                matchImages: ["{registry}"]
                defaultCacheDuration: 1m
            """
        )
        acr = tmp_path / "acr.yaml"
        acr.write_text("tokens: {ci: {password: s3cret, repositories: {'team/*': content/read}}}")
        port = int(registry.rpartition(":")[2])
        here = cluster(registry_port=port, acr_config=acr, image_credential_provider=(settings, programs))
        _, events = here.run("own-provider")
    assert any(reason == "Pulled" for reason, _ in events), events
    assert json.loads((tmp_path / "request").read_text())["image"] == f"{registry}/team/content"


def test_two_options_that_go_together(tmp_path):
    from imgvol.cli import main

    assert main(["up", f"--image-credential-provider-config={tmp_path}/x"]) == 2
