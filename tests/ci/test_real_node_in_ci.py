"""What becomes of a CI run where Docker cannot be had, where it has to be started, and where something is left in it.

The scripts run as they are; the programs that they call are replaced by short ones.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What the scripts may call beside Docker, apt and make.
PLAIN = ("bash", "cat", "cut", "date", "df", "diff", "dirname", "env", "head", "mkdir", "mktemp", "printf", "rm", "sed")
PLAIN += ("setsid", "sleep", "sort", "tail", "timeout", "touch")

SILENT = "exit 1"
ANSWERS_ONCE_STARTED = 'test -e "$STATE/up"'
STARTS = 'touch "$STATE/up"; trap "rm $STATE/up; exit" TERM; while :; do sleep 0.1; done'
MAKE = 'case "$*" in *names) echo imgvol/node:x imgvol/registry:3;; *) echo "make: $*";; esac'


class Machine:
    """A machine with the programs that a test gives it."""

    def __init__(self, directory: Path) -> None:
        self.bin, self.state = directory / "bin", directory / "state"
        self.bin.mkdir()
        self.state.mkdir()
        for name in PLAIN:
            self.bin.joinpath(name).symlink_to(shutil.which(name) or pytest.skip(f"there is no {name}"))
        # What the run would install if it were missing.
        self.has(
            **dict.fromkeys(re.findall(r"^command -v (\S+)", (ROOT / ".ci" / "run").read_text(), re.MULTILINE), "")
        )
        self.has(id="echo 0", make=MAKE, python3="", mmdebstrap="")

    def has(self, **programs: str) -> None:
        for name, body in programs.items():
            program = self.bin / name.replace("_", "-")
            program.unlink(missing_ok=True)
            program.write_text(f"#!{self.bin}/bash\n{body}\n")
            program.chmod(0o755)

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        given = {"PATH": str(self.bin), "STATE": str(self.state), "IMGVOL_CI_LOGS": str(self.state), "HOME": "/"}
        return subprocess.run(
            [str(ROOT / ".ci" / command[0]), *command[1:]],
            env=given | {"TMPDIR": os.environ.get("TMPDIR", "/tmp")} | environment,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def cannot(done: subprocess.CompletedProcess[str], why: str) -> None:
    assert done.returncode == 69, done.stdout + done.stderr
    assert f"Docker cannot be had: {why}" in done.stderr
    assert "IMGVOL_WITHOUT_DOCKER=1" in done.stderr
    assert "went on" not in done.stdout


def test_a_daemon_that_answers_is_used(machine):
    machine.has(docker="", dockerd='touch "$STATE/started"')
    done = machine.run("docker.sh", "bash", "-c", "echo went on; exit 7")
    assert (done.returncode, done.stdout) == (7, "went on\n")
    assert not (machine.state / "started").exists()


def test_a_daemon_is_started_and_stopped_again(machine):
    machine.has(docker=ANSWERS_ONCE_STARTED, dockerd=STARTS)
    done = machine.run("docker.sh", "bash", "-c", "docker version && echo went on; exit 7")
    assert done.returncode == 7, done.stderr
    assert "went on" in done.stdout
    assert not (machine.state / "up").exists()


def test_docker_is_installed_where_it_is_missing(machine):
    machine.has(
        docker=ANSWERS_ONCE_STARTED,
        apt_get=f'echo "$*" >>"$STATE/apt"; [ "$1" = update ] || {{ echo "#!{machine.bin}/bash"; '
        f"echo '{STARTS}'; }} >{machine.bin}/dockerd; chmod +x {machine.bin}/dockerd 2>/dev/null || :",
    )
    machine.bin.joinpath("chmod").symlink_to(shutil.which("chmod"))
    done = machine.run("docker.sh", "bash", "-c", "echo went on")
    assert done.returncode == 0, done.stderr
    assert "went on" in done.stdout
    assert "docker.io" in (machine.state / "apt").read_text()
    assert not (machine.state / "up").exists()


def test_no_daemon_and_not_root(machine):
    machine.has(docker=SILENT, id="echo 1000")
    cannot(machine.run("docker.sh", "echo", "went on"), "no daemon answers, and only root may start one")


def test_a_daemon_elsewhere_that_does_not_answer(machine):
    machine.has(docker=SILENT, dockerd=STARTS)
    done = machine.run("docker.sh", "echo", "went on", DOCKER_HOST="tcp://elsewhere:2375")
    cannot(done, "no daemon answers at DOCKER_HOST=tcp://elsewhere:2375")
    assert not (machine.state / "up").exists()


def test_no_package_manager_to_install_docker_with(machine):
    cannot(machine.run("docker.sh", "echo", "went on"), "docker.io could not be installed")


def test_a_package_manager_that_fails_is_asked_three_times(machine):
    machine.has(apt_get='echo "$*" >>"$STATE/apt"; exit 100', sleep="")
    cannot(machine.run("docker.sh", "echo", "went on"), "docker.io could not be installed")
    assert (machine.state / "apt").read_text().splitlines() == ["update -qq"] * 3


def test_a_daemon_that_does_not_start_is_quoted(machine):
    machine.has(docker=SILENT, dockerd='echo "failed to start daemon: no bridge for you"; exit 1')
    done = machine.run("docker.sh", "echo", "went on")
    cannot(done, "dockerd ended instead of answering")
    assert "failed to start daemon: no bridge for you" in done.stderr


def test_the_run_fails_without_docker(machine):
    machine.has(docker=SILENT, id="echo 1000")
    done = machine.run("run")
    assert done.returncode == 69, done.stderr
    assert "make: test" in done.stdout
    assert "Docker cannot be had: no daemon answers, and only root may start one" in done.stderr
    assert "every check and test" in done.stdout.split("time by step")[1]
    assert "FAILED (69)" in done.stdout


def test_the_run_passes_without_docker_if_told_to_and_says_so(machine):
    machine.has(docker='touch "$STATE/asked"; exit 1', id="echo 1000")
    done = machine.run("run", IMGVOL_WITHOUT_DOCKER="1")
    assert done.returncode == 0, done.stderr
    assert "THE REAL NODE WAS LEFT OUT" in done.stdout
    assert not (machine.state / "asked").exists()


def test_the_run_judges_the_images_that_it_built(machine):
    machine.has(docker="[ $1 != info ] || echo /", id="echo 1000")
    done = machine.run("run")
    assert done.returncode == 0, done.stderr
    assert "make: node-image\n" in done.stdout
    assert "make: conformance-kind NODE_IMAGE=imgvol/node:x REGISTRY_IMAGE=imgvol/registry:3\n" in done.stdout
    assert "LEFT OUT" not in done.stdout


def test_a_failing_step_fails_the_run_and_is_named(machine):
    machine.has(make='[ "$1" != test ] || { echo one test failed; exit 2; }')
    done = machine.run("run", IMGVOL_WITHOUT_DOCKER="1")
    assert done.returncode == 2
    assert "every check and test (failed: 2)" in done.stdout
    assert "suite as an ordinary user" not in done.stdout


def test_what_the_suite_leaves_in_docker_fails_the_run(machine):
    listed = 'if [ -e "$STATE/suite" ] && [ "$1" = volume ]; then echo volume forgotten; fi'
    machine.has(docker=f"[ $1 != info ] || echo /; {listed}")
    machine.has(make=f'case "$1" in conformance-kind) touch "$STATE/suite";; esac; {MAKE}')
    done = machine.run("real-node.sh")
    assert done.returncode == 1
    assert "volume forgotten" in done.stderr


def test_images_that_are_named_are_not_built(machine):
    machine.has(docker="")
    done = machine.run("real-node.sh", "kindest/node:v1", "registry:3")
    assert done.returncode == 0, done.stderr
    assert "make: conformance-kind NODE_IMAGE=kindest/node:v1 REGISTRY_IMAGE=registry:3\n" in done.stdout
    assert "make: node-image" not in done.stdout


def test_no_room_for_a_first_build_is_said_before_it(machine):
    machine.has(docker="case $1 in info) echo /;; image) exit 1;; esac", df="printf 'Avail\\n3\\n'")
    done = machine.run("real-node.sh")
    assert done.returncode == 1
    assert "room: 3 GB; a first build takes" in done.stdout
    assert "there is not enough" in done.stderr
    assert "make: node-image" not in done.stdout
