"""Whatever ends a run, what it made in Docker is removed, and nothing else."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from conformance.targets.reaper import LeftBehindError, Reaper, directory_of, remove, runs

RUN = "0fab1e"
LABELS = {"imgvol.dev/run": RUN}
CONTAINER = {"Id": "c1", "Names": ["/node"], "State": "running", "Labels": LABELS}
REMOVALS = ["DELETE /containers/c1", "DELETE /networks/n1", "DELETE /volumes/v1"]


class Things:
    """What a daemon has of the run: listed until it is removed, and removed only when nothing holds it."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.there = {"c1": CONTAINER}
        self.refusals = {}
        daemon.answers |= {
            "GET /containers/json": lambda: (200, [one for name, one in self.there.items() if name[0] == "c"]),
            "GET /networks": lambda: (200, [one for name, one in self.there.items() if name[0] == "n"]),
            "GET /volumes": lambda: (200, {"Volumes": [one for name, one in self.there.items() if name[0] == "v"]}),
        }
        for kind, names in {"containers": ("c1", "c2", "c3"), "networks": ("n1",), "volumes": ("v1",)}.items():
            for name in names:
                daemon.answers[f"DELETE /{kind}/{name}"] = lambda name=name: self.remove(name)
        self.there |= {"n1": {"Id": "n1", "Name": "imgvol-1", "Labels": LABELS}, "v1": {"Name": "v1", "Labels": LABELS}}

    def remove(self, name):
        """Refuse as often as the test wants, and as long as a container holds what is to go; else remove."""
        if self.refusals.get(name, 0) > 0:
            self.refusals[name] -= 1
            return 409, {"message": f"removal of {name} is already in progress"}
        if name in ("n1", "v1") and any(other[0] == "c" for other in self.there):
            return 403, {"message": f"{name} is in use"}
        if self.there.pop(name, None) is None:
            return 404, {"message": f"no {name}"}
        return 204, ""


@pytest.fixture
def things(daemon, monkeypatch, tmp_path):
    """A daemon with a container, a network and a volume of the run."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    directory_of(RUN).mkdir()
    (directory_of(RUN) / "kubeconfig").write_text("secret")
    return Things(daemon)


@pytest.fixture
def busy(things):
    """The daemon of those things."""
    return things.daemon


def removals(daemon):
    return [asked for asked in daemon.asked if asked.startswith("DELETE")]


def test_containers_go_before_what_they_hold(busy):
    remove(RUN)
    assert removals(busy) == REMOVALS
    assert not directory_of(RUN).exists()


def test_what_is_gone_already_is_no_failure(things):
    def gone():
        things.there.pop("c1")
        return 404, {"message": "No such container: c1"}

    things.daemon.answers["DELETE /containers/c1"] = gone
    remove(RUN)
    assert removals(things.daemon) == REMOVALS


def test_one_failed_removal_keeps_nothing_else_from_being_removed(things):
    things.there |= {"c2": {**CONTAINER, "Id": "c2"}, "c3": {**CONTAINER, "Id": "c3"}}
    things.refusals = {"c1": 2}
    remove(RUN)
    assert things.there == {}
    asked = removals(things.daemon)
    assert asked[:3] == ["DELETE /containers/c1", "DELETE /containers/c2", "DELETE /containers/c3"]
    assert asked.count("DELETE /containers/c1") == 3


def test_a_daemon_that_does_not_answer_for_a_moment_is_asked_again(things):
    answers = iter([(500, {"message": "server overloaded"}), (500, {"message": "server overloaded"})])
    things.daemon.answers["GET /_ping"] = lambda: next(answers, (200, "OK"))
    remove(RUN)
    assert things.there == {}


@pytest.mark.parametrize("answers_in", [0.0, 1.2])
def test_what_the_daemon_was_still_making_goes_too(things, answers_in):
    """A run that dies while a container is being created leaves nothing: the container appears a moment later.

    Nor does it if the daemon takes longer to answer than the quiet that is waited for.
    """
    looks = []

    def containers():
        looks.append(len(looks))
        if len(looks) == 2:
            time.sleep(answers_in)
        if len(looks) == 3:
            things.there["c2"] = {**CONTAINER, "Id": "c2"}
        return 200, [one for name, one in things.there.items() if name[0] == "c"]

    things.daemon.answers["GET /containers/json"] = containers
    remove(RUN, under_way=1.0)
    assert "DELETE /containers/c2" in removals(things.daemon)
    assert things.there == {}


def test_what_cannot_be_removed_is_named_with_the_reason_and_the_way_to_try_again(things):
    things.refusals = {"c1": 10**6}
    with pytest.raises(LeftBehindError) as left:
        remove(RUN, patience=0.3)
    assert "container node (removal of c1 is already in progress)" in str(left.value)
    assert f"conformance.targets.reaper {RUN}" in str(left.value)
    assert set(things.there) == {"c1", "n1", "v1"}


def test_runs_are_listed_by_their_label(things):
    assert runs() == {RUN: ["container node", "network imgvol-1", "volume v1"]}
    listing = subprocess.run(
        [sys.executable, "-m", "conformance.targets.reaper"], capture_output=True, text=True, check=True
    )
    assert listing.stdout == f"{RUN}  container node, network imgvol-1, volume v1\n"


def test_the_end_of_a_run_is_its_removal(busy):
    Reaper(RUN).close(settled=True)
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
    code = (
        "from conformance.targets.reaper import Reaper\n"
        f"Reaper({RUN!r}, under_way=0.5); print('on', flush=True); input()"
    )
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
        [sys.executable, "-m", "conformance.targets.reaper", "--help-me"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert run.stderr.startswith("usage: ")
