"""A cluster that already runs, here an emulator: what is looked at before anything is judged."""

import pytest

import emulator
from conformance.targets.choice import REGISTRY_PASSWORD, Options, TargetUnavailableError
from conformance.targets.preflight import runtime_note, version_of
from conformance.targets.running import endpoint, running
from conformance.targets.target import NodeFingerprint


@pytest.fixture(scope="module")
def started():
    with emulator.start(private_registry="suite:word", speed=10.0) as up:
        yield up


def unavailable(**options):
    with pytest.raises(TargetUnavailableError) as error, running(Options(**options)):
        pass
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_cluster_that_has_all(started):
    with running(Options(kubeconfig=str(started.kubeconfig), registry=started.registry)) as found:
        assert found.name == "imgvol"
        assert found.registry.name == started.registry
        assert set(found.lacks) == {"private-registry", "registry-tampering", "faulty-registry"}


def test_repositories_are_below_the_prefix(started):
    with running(Options(kubeconfig=str(started.kubeconfig), registry=f"{started.registry}/team/a")) as found:
        assert found.registry.prefix == "team/a"
        assert found.registry.host == started.registry
        assert found.registry.name == f"{started.registry}/team/a"


def test_nobody_listens_for_the_registry(started):
    said = unavailable(kubeconfig=str(started.kubeconfig), registry="127.0.0.1:1")
    assert said == "the registry 127.0.0.1:1 does not answer: [Errno 111] Connection refused"


def test_pushing_needs_a_user(started):
    said = unavailable(kubeconfig=str(started.kubeconfig), registry=started.private_registry)
    assert said.startswith("nobody may push without --registry-user: ")


def test_a_user_who_may_not_push(started, monkeypatch):
    monkeypatch.setenv(REGISTRY_PASSWORD, "wrong")
    said = unavailable(kubeconfig=str(started.kubeconfig), registry=started.private_registry, registry_user="suite")
    assert said == f"suite may not push: {started.private_registry} says 401 Unauthorized"


def test_nodes_that_may_not_pull(started, monkeypatch):
    monkeypatch.setenv(REGISTRY_PASSWORD, "word")
    said = unavailable(kubeconfig=str(started.kubeconfig), registry=started.private_registry, registry_user="suite")
    assert said.startswith(f"nodes do not pull from {started.private_registry}: ErrImagePull: ")
    assert "no basic auth credentials" in said


def test_nodes_may_name_the_registry_otherwise(started):
    said = unavailable(
        kubeconfig=str(started.kubeconfig), registry=started.registry, pull_registry=started.private_registry
    )
    assert said.startswith(f"nodes do not pull from {started.private_registry}: ")


def test_a_password_belongs_in_the_environment(started, monkeypatch):
    monkeypatch.delenv(REGISTRY_PASSWORD, raising=False)
    said = unavailable(kubeconfig=str(started.kubeconfig), registry=started.registry, registry_user="suite")
    assert f"${REGISTRY_PASSWORD}" in said


def test_nobody_answers_for_the_cluster(started, tmp_path):
    dead = tmp_path / "config"
    text = started.kubeconfig.read_text()
    server = next(line for line in text.splitlines() if "server:" in line)
    dead.write_text(text.replace(server.split("server:")[1], " https://127.0.0.1:1"))
    said = unavailable(kubeconfig=str(dead), registry=started.registry)
    assert said == f"the cluster of {dead} does not answer: [Errno 111] Connection refused"


@pytest.mark.parametrize("content", ["", "[]", "not: {valid", "current: none", b"\xff\xfe"])
def test_what_is_no_kubeconfig(content, tmp_path):
    path = tmp_path / "config"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert unavailable(kubeconfig=str(path), registry="localhost:1").startswith(f"{path} is no kubeconfig")


def test_a_cluster_and_a_registry_go_together(tmp_path):
    assert "go together" in unavailable(registry="localhost:5000")
    assert "there is no kubeconfig" in unavailable(kubeconfig=str(tmp_path / "none"), registry="localhost:5000")


@pytest.mark.parametrize("text", ["https://r.example", "R.example", "r.example/", "r.example/UP", "r example", "/x"])
def test_what_is_no_registry(text):
    with pytest.raises(TargetUnavailableError, match="a registry is HOST"):
        endpoint(text, "", "", "")


@pytest.mark.parametrize(
    ("push", "url", "prefix"),
    [
        ("me.azurecr.io", "https://me.azurecr.io", ""),
        ("ghcr.io/me/tests", "https://ghcr.io", "me/tests"),
        ("localhost:5000", "http://localhost:5000", ""),
        ("127.0.0.1:5000/a", "http://127.0.0.1:5000", "a"),
        ("10.0.0.1:5000", "https://10.0.0.1:5000", ""),
    ],
)
def test_registries(push, url, prefix):
    found = endpoint(push, "", "", "")
    assert (found.url, found.prefix, found.name) == (url, prefix, push)
    assert endpoint(push, "registry:5000", "", "").name == "registry:5000"


def node(runtime):
    return NodeFingerprint("n", "v1.36.3", runtime, "Linux", "6.1", "amd64")


def test_what_a_runtime_lets_expect():
    assert runtime_note(node("containerd://2.3.7")) == ""
    assert "need containerd 2.1" in runtime_note(node("containerd://2.0.14"))
    assert "describes containerd; cri-o" in runtime_note(node("cri-o://1.36.0"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("v1.36.3", (1, 36)), ("v1.37.0-gke.1", (1, 37)), ("containerd://2.10.0-rc.1", (2, 10)), ("unknown", (0, 0))],
)
def test_versions(text, expected):
    assert version_of(text) == expected
