"""Whatever ends a run, what it made in Docker is removed, and nothing else."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from conformance.targets.reaper import Reaper, directory_of, remove

RUN = "0fab1e"
CONTAINER = {"Id": "c1", "Names": ["/node"], "State": {"Status": "running"}}
REMOVALS = ["DELETE /containers/c1", "DELETE /networks/n1", "DELETE /volumes/v1"]


@pytest.fixture
def busy(daemon, monkeypatch, tmp_path):
    """A daemon with a container, a network and a volume of the run."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    daemon.answers |= {
        "GET /containers/json": (200, [CONTAINER]),
        "GET /containers/c1/json": (200, CONTAINER),
        "GET /networks": (200, [{"Id": "n1", "Name": "imgvol-1"}]),
        "GET /volumes": (200, {"Volumes": [{"Name": "v1"}]}),
        **dict.fromkeys(REMOVALS, (204, "")),
    }
    directory_of(RUN).mkdir()
    (directory_of(RUN) / "kubeconfig").write_text("secret")
    return daemon


def removals(daemon):
    return [asked for asked in daemon.asked if asked.startswith("DELETE")]


def test_containers_go_before_what_they_hold(busy):
    remove(RUN)
    assert removals(busy) == REMOVALS
    assert not directory_of(RUN).exists()


def test_what_is_gone_already_is_no_failure(busy):
    busy.answers["DELETE /containers/c1"] = (404, {"message": "No such container: c1"})
    remove(RUN)
    assert removals(busy) == REMOVALS


def test_the_end_of_a_run_is_its_removal(busy):
    Reaper(RUN).close()
    assert removals(busy) == REMOVALS


def test_a_run_to_be_kept_is_kept(busy):
    Reaper(RUN, keep=True).close()
    assert removals(busy) == []
    assert directory_of(RUN).exists()


def test_a_kept_run_is_removed_by_the_command_that_was_told(busy):
    reaper = Reaper(RUN, keep=True)
    reaper.close()
    subprocess.run(reaper.command.split(), check=True)
    assert removals(busy) == REMOVALS


def test_a_run_that_is_killed_is_removed(busy):
    code = f"from conformance.targets.reaper import Reaper; Reaper({RUN!r}); print('on', flush=True); input()"
    run = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert run.stdout.readline() == "on\n"
    reaper = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().strip()
    run.kill()
    run.wait()
    run.stdin.close()
    # Ends when the reaper does, which has the other end of it.
    assert run.stdout.read() == ""
    run.stdout.close()
    assert reaper
    assert removals(busy) == REMOVALS


def test_usage():
    run = subprocess.run(
        [sys.executable, "-m", "conformance.targets.reaper"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert run.stderr.startswith("usage: ")
