"""What becomes of a run without Docker, without an image, without room: one sentence that says what to do."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from conformance.targets.choice import Options, TargetUnavailableError
from conformance.targets.daemon import connect, ensure_image, untidy
from conformance.targets.kind import kind

ROOT = Path(__file__).parents[2]
IMAGE = "kindest/node:v9"


def sentence(error):
    said = str(error.value)
    assert "\n" not in said
    assert "Traceback" not in said
    return said


def test_no_daemon(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(TargetUnavailableError) as error, connect():
        pass
    assert "no Docker daemon answers" in sentence(error)
    assert "DOCKER_HOST" in sentence(error)
    assert "--target=emulator" in sentence(error)


def test_a_socket_that_nobody_listens_on(monkeypatch, tmp_path):
    path = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
        with pytest.raises(TargetUnavailableError, match="Connection refused"), connect():
            pass


def test_a_daemon_that_answers_nonsense(daemon):
    daemon.answers["GET /version"] = (500, {"message": "the daemon is on fire"})
    with pytest.raises(TargetUnavailableError, match="the daemon is on fire"), connect():
        pass


def test_an_image_that_cannot_be_had(daemon):
    daemon.answers["POST /images/create"] = (500, {"message": "Get https://registry-1.docker.io/v2/: no such host"})
    with connect() as docker, untidy(docker), pytest.raises(TargetUnavailableError) as error:
        ensure_image(docker, IMAGE, "--node-image")
    assert IMAGE in sentence(error)
    assert "no such host" in sentence(error)
    assert "--node-image" in sentence(error)
    assert "make node-image" in sentence(error)


def test_an_image_that_is_there_is_not_pulled(daemon):
    daemon.answers[f"GET /images/{IMAGE}/json"] = (200, {"Id": "sha256:1"})
    with connect() as docker, untidy(docker):
        ensure_image(docker, IMAGE, "--node-image")
    assert not [asked for asked in daemon.asked if asked.startswith("POST")]


def test_no_room_for_an_image(daemon):
    daemon.answers["POST /images/create"] = (500, {"message": "write /var/lib/docker/tmp: no space left on device"})
    with (
        connect() as docker,
        untidy(docker),
        pytest.raises(TargetUnavailableError, match="docker system prune") as error,
    ):
        ensure_image(docker, IMAGE, "--node-image")
    assert "no space left on device" in sentence(error)


def test_a_host_that_cannot_run_a_node_is_left_as_it_is(daemon):
    daemon.answers["GET /info"] = (200, {"OSType": "windows"})
    with pytest.raises(TargetUnavailableError, match="Linux containers"), kind(Options(target="kind")):
        pass
    assert not [asked for asked in daemon.asked if not asked.startswith(("GET", "HEAD"))]


@pytest.mark.parametrize("nodes", ["0", "-1", "many"])
def test_a_number_of_nodes_that_cannot_be(nodes):
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "conformance", "--target=kind", f"--nodes={nodes}", "--collect-only"],
        cwd=ROOT,
        env={**os.environ, "DOCKER_HOST": "unix:///nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == pytest.ExitCode.USAGE_ERROR
    assert "a cluster has one node or more" in run.stderr
