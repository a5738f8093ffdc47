"""The commands from end to end, on an emulator: as the README shows them, and what goes wrong on the way."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from pathlib import Path

import pytest

import packager
from imgvol.deployment import manifests
from imgvol.deployment.applying import apply
from imgvol.deployment.rollouts import wait

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

REPOSITORY = Path(__file__).parents[2]
ABSENT = "sha256:" + "a" * 64


def state(commands):
    return json.loads((Path(commands.environment["TARGET_DIR"]) / "emulator" / "state.json").read_text())


def pushed(commands, directory, tag):
    return packager.push(directory, f"{state(commands)['registry']}/project-content:{tag}").digest


def changed(tmp_path):
    content = tmp_path / "content"
    shutil.copytree(REPOSITORY / "project-content", content)
    (content / "new.txt").write_text("new")
    return content


def test_from_push_to_rollback(on_emulator, tmp_path):
    done = on_emulator.make("push-engine", "push-content", "deploy", "smoke-test", TARGET="emulator")
    assert done.returncode == 0, done.stderr
    assert "deployment demo-engine created\nservice demo-engine created\n" in done.stderr
    registry = state(on_emulator)["registry"]
    count = sum(1 for _ in (REPOSITORY / "project-content").rglob("*"))
    served = f"{registry}/project-content:v1.0.0: {count} files and directories, served by 1 of 1 pods\n"
    assert done.stdout.endswith(served)

    again = on_emulator("deploy")
    assert "deployment demo-engine unchanged\nservice demo-engine unchanged\n" in again.stderr

    first = packager.inspect(f"{registry}/project-content:v1.0.0").digest
    second = pushed(on_emulator, changed(tmp_path), "v1.0.1")
    done = on_emulator.make("rollout", "smoke-test", TARGET="emulator", DIGEST=second)
    assert done.returncode == 0, done.stderr
    assert f"/project-content@{second}: {count + 1} files and directories, served by 1 of 1" in done.stdout
    assert "it is there already" in on_emulator("rollout", DIGEST=second).stderr

    done = on_emulator.make("rollback", "smoke-test", TARGET="emulator")
    assert done.returncode == 0, done.stderr
    assert (
        f"content goes back from {registry}/project-content@{second} to {registry}/project-content:v1.0.0"
        in done.stderr
    )
    assert done.stdout.endswith(served)

    assert on_emulator("rollout", DIGEST=first).returncode == 0  # the old reference again is a roll-back, too
    told = json.loads(on_emulator("status", "--json").stdout)
    assert told["content"] == f"{registry}/project-content@{first}"
    assert (told["replicas"], told["ready"]) == (1, 1)
    assert [each["content"].rpartition("/")[2] for each in told["revisions"]] == [
        f"project-content@{second}",
        "project-content:v1.0.0",
        f"project-content@{first}",
    ]
    shown = on_emulator("status").stdout
    assert re.search(r"^deployment  demo-engine: 1 of 1 ready, 1 up to date$", shown, re.MULTILINE)
    assert re.search(r"^pods +demo-engine-\S+  Running +ready +0 restarts  on imgvol-node$", shown, re.MULTILINE)


@pytest.fixture(scope="module")
def deployed(on_emulator, kube_of):
    """The sample in a namespace of its own, from which tests go on."""
    kube = kube_of(state(on_emulator)["kubeconfig"])

    def made(namespace, **labels):
        kube.create("/api/v1/namespaces", {"metadata": {"name": namespace, "labels": labels}})
        for command in ("push-engine", "push-content", "deploy"):
            done = on_emulator(command, NAMESPACE=namespace)
            assert done.returncode == 0, done.stderr
        return kube

    return made


def test_the_sample_fits_pod_security_restricted(on_emulator, deployed):
    deployed("restricted", **{"pod-security.kubernetes.io/enforce": "restricted"})
    assert on_emulator("smoke-test", NAMESPACE="restricted").returncode == 0


def test_the_production_variant_runs(on_emulator, deployed, kustomized, monkeypatch):
    """As `deploy VARIANT=production` does it, with kustomize's output from wherever it is had."""
    kube = deployed("production", **{"pod-security.kubernetes.io/enforce": "restricted"})
    registry = state(on_emulator)["registry"]
    digests = [packager.inspect(f"{registry}/{name}").digest for name in ("project-content:v1.0.0", "engine:latest")]
    monkeypatch.setattr(manifests, "_rendered", lambda _: kustomized)
    objects = manifests.production(registry, "project-content", *digests)
    done = [apply(kube, each, "production") for each in objects]
    assert done == ["unchanged", "configured", "created"]
    wait(kube, "production")
    smoke = on_emulator("smoke-test", NAMESPACE="production")
    assert f"/project-content@{digests[0]}: " in smoke.stdout
    assert smoke.stdout.endswith("served by 2 of 2 pods\n")
    budgets = "/apis/policy/v1/namespaces/production/poddisruptionbudgets/demo-engine"
    status = kube.get(budgets)["status"]
    assert (status["expectedPods"], status["desiredHealthy"]) == (2, 1)
    assert [apply(kube, each, "production") for each in objects] == ["unchanged"] * 3
    if shutil.which("kubectl") or shutil.which("kustomize"):
        told = on_emulator("deploy", NAMESPACE="production", VARIANT="production")
        assert told.returncode == 0, told.stderr
        assert f"content {digests[0]}, engine {digests[1]}" in told.stderr
        assert told.stderr.count("unchanged") == 3


def test_a_smoke_test_of_wrong_content_says_what_differs(on_emulator, deployed, tmp_path):
    deployed("wrong-content")
    registry = state(on_emulator)["registry"]
    content = changed(tmp_path)
    (content / "README.md").unlink()
    kept = packager.inspect(f"{registry}/project-content:v1.0.0").digest
    pushed(on_emulator, content, "v2.0.0")
    moved = on_emulator("deploy", NAMESPACE="wrong-content", PROJECT_TAG="project-content:v2.0.0")
    assert moved.returncode == 0, moved.stderr
    pushed(on_emulator, REPOSITORY / "project-content", "v2.0.0")  # the tag moves below a running pod
    done = on_emulator("smoke-test", NAMESPACE="wrong-content")
    assert done.returncode == 1
    assert "what is served is not" in done.stderr
    assert re.search(r"^  pod demo-engine-\S+: /README.md: missing$", done.stderr, re.MULTILINE)
    assert re.search(r"^  pod demo-engine-\S+: /new.txt: not in the image$", done.stderr, re.MULTILINE)
    assert "give new content a new tag" in done.stderr
    assert kept == packager.inspect(f"{registry}/project-content:v2.0.0").digest


def test_a_rollout_that_cannot_progress_says_why_and_can_go_back(on_emulator, deployed):
    deployed("stuck")
    registry = state(on_emulator)["registry"]
    done = on_emulator("deploy", NAMESPACE="stuck", PROJECT_TAG="project-content:v9")
    assert done.returncode == 1
    assert "deploy: the roll-out of demo-engine makes no progress; what ran before still serves" in done.stderr
    reason = f'Failed to pull image "{registry}/project-content:v9": rpc error: code = NotFound desc ='
    assert f"event Failed: {reason}" in done.stderr
    assert f"event Failed: {reason}" in on_emulator("status", NAMESPACE="stuck").stdout
    assert on_emulator("rollback", NAMESPACE="stuck").returncode == 0
    assert on_emulator("smoke-test", NAMESPACE="stuck").returncode == 0


def test_a_digest_that_does_not_exist_never_reaches_the_cluster(on_emulator, deployed):
    deployed("no-digest")
    registry = state(on_emulator)["registry"]
    done = on_emulator("rollout", NAMESPACE="no-digest", DIGEST=ABSENT)
    assert done.returncode == 1
    assert done.stderr.startswith(f"rollout: {registry} has no project-content {ABSENT}")
    assert len(json.loads(on_emulator("status", "--json", NAMESPACE="no-digest").stdout)["revisions"]) == 1
    assert on_emulator("rollback", NAMESPACE="no-digest").stderr == (
        "rollback: demo-engine has no revision before 1, to which it could go back\n"
    )


def test_nothing_is_deployed(on_emulator):
    for command in ("smoke-test", "status", "rollback"):
        done = on_emulator(command, NAMESPACE="kube-public")
        assert (done.returncode, done.stderr) == (
            1,
            f"{command}: there is no deployment demo-engine in namespace kube-public: `make deploy`\n",
        )


def test_what_the_cluster_refuses_is_one_sentence(on_emulator):
    done = on_emulator("deploy", NAMESPACE="absent")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == 'deploy: the cluster refuses: namespaces "absent" not found (404)'


def test_up_twice_is_one_and_a_dead_one_is_none(commands):
    commands.environment["TARGET"] = "emulator"
    assert commands("up").returncode == 0
    before = state(commands)
    assert "it runs already" in commands("up").stderr
    assert state(commands) == before
    os.kill(before["pid"], signal.SIGKILL)
    gone = os.pidfd_open(before["pid"]) if Path(f"/proc/{before['pid']}").exists() else None
    if gone is not None:
        os.close(gone)
    done = commands("status")
    assert (done.returncode, done.stderr) == (
        1,
        "status: no emulator runs that was started here: `make up TARGET=emulator` starts one\n",
    )
    assert "none runs" in commands("down").stderr
    assert commands("up").returncode == 0  # and over what it left
    assert commands("down").returncode == 0
    assert not (Path(commands.environment["TARGET_DIR"]) / "emulator").exists()
