"""`imgvol clean`: what a killed run left goes, what is not of a run stays."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
import requests

import emulator
from conformance.kube import Kube, path_of
from conformance.oci import Repository
from conformance.targets.choice import Options
from conformance.targets.lease import under_way
from conformance.targets.running import running
from conformance.targets.sweeping import _run_of, _stuck
from conformance.targets.target import RegistryEndpoint
from fixtures import ImageSpec, forge

RUN, OTHER = "imgvol-0a1b2c", "imgvol-ffffff"
SPEC = ImageSpec(({"content": [{"path": "a", "text": "a"}]},), {}, {}, None, {})


@pytest.fixture
def started():
    with emulator.start(speed=10.0) as up:
        yield up


def kube(started):
    from kubernetes import config

    return Kube(config.new_client_from_config(str(started.kubeconfig)))


def leave(started):
    """What two killed runs leave, and what somebody else has."""
    for name, labels in (
        (f"{RUN}-mount", {"imgvol.dev/run": RUN}),
        (f"{OTHER}-mount", {"imgvol.dev/run": OTHER}),
        ("precious", {}),
    ):
        kube(started).create(path_of("namespaces"), {"metadata": {"name": name, "labels": labels}})
    endpoint = RegistryEndpoint(f"http://{started.registry}", started.registry)
    for name in (f"{RUN}/shared/probe", f"{OTHER}/shared/probe", "imgvol-precious/probe", "precious"):
        Repository(endpoint, name).push(forge(SPEC, architecture="amd64", nonce=name), "v1")


def clean(started, *arguments):
    place = [f"--kubeconfig={started.kubeconfig}", f"--registry={started.registry}"]
    return subprocess.run(
        [sys.executable, "-m", "imgvol", "clean", *place, *arguments],
        env={**os.environ, "IMGVOL_PATIENCE": "10"},
        capture_output=True,
        text=True,
        check=False,
    )


def there(started):
    """Namespaces that are not about to go, and repositories with a tag."""
    spaces = kube(started).get(path_of("namespaces"))["items"]
    listed = requests.get(f"http://{started.registry}/v2/_catalog", timeout=10).json()["repositories"]
    tags = {
        name: requests.get(f"http://{started.registry}/v2/{name}/tags/list", timeout=10).json().get("tags")
        for name in listed
    }
    return (
        {one["metadata"]["name"] for one in spaces if "deletionTimestamp" not in one["metadata"]},
        {name for name, found in tags.items() if found},
    )


def test_what_runs_left_goes_and_nothing_else(started):
    leave(started)
    before = there(started)
    dry = clean(started, "--dry-run", "--json")
    assert dry.returncode == 0, dry.stderr
    assert json.loads(dry.stdout) == {
        "removed": False,
        "namespaces": [f"{RUN}-mount", f"{OTHER}-mount"],
        "repositories": [f"{RUN}/shared/probe", f"{OTHER}/shared/probe"],
        "stuck": {},
        "spared": {},
    }
    assert there(started) == before

    one = clean(started, f"--run={RUN}")
    assert one.returncode == 0, one.stderr
    assert one.stdout.splitlines() == [
        f"removed       namespace {RUN}-mount",
        f"removed       repository {RUN}/shared/probe",
    ]
    assert there(started) == (before[0] - {f"{RUN}-mount"}, before[1] - {f"{RUN}/shared/probe"})

    assert clean(started).returncode == 0
    spaces, repositories = there(started)
    assert "precious" in spaces
    assert not any(name.startswith("imgvol-") for name in spaces)
    assert repositories == {"imgvol-precious/probe", "precious"}


def test_a_namespace_that_is_stuck_is_told_of(started):
    body = {"metadata": {"name": f"{RUN}-stuck", "labels": {"imgvol.dev/run": RUN}}}
    kube(started).create(path_of("namespaces"), body)
    pod = {
        "metadata": {"name": "held", "finalizers": ["example.org/held"]},
        "spec": {
            "containers": [{"name": "a", "image": f"{started.registry}/none:v1"}],
            "terminationGracePeriodSeconds": 0,
        },
    }
    api = kube(started)
    accounts = path_of("serviceaccounts", f"{RUN}-stuck")
    next(iter(api.watch(accounts, {"fieldSelector": "metadata.name=default"}, 20)))
    api.create(path_of("pods", f"{RUN}-stuck"), pod)
    clean(started)

    def said(event):
        return "example.org/held" in _stuck(event["object"])

    query = {"fieldSelector": f"metadata.name={RUN}-stuck"}
    assert any(said(event) for event in api.watch(path_of("namespaces"), query, 30))
    again = clean(started)
    assert again.returncode == 1
    assert again.stdout.startswith(f"stays         namespace {RUN}-stuck: ")
    assert "example.org/held" in again.stdout


def test_wrong_usage():
    for arguments in ([], ["--aks", "--kubeconfig=x"]):
        done = subprocess.run(
            [sys.executable, "-m", "imgvol", "clean", *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert "give --aks, or --kubeconfig and --registry" in done.stderr


def test_a_cluster_that_does_not_answer(started, tmp_path):
    dead = tmp_path / "config"
    text = started.kubeconfig.read_text()
    server = next(line for line in text.splitlines() if "server:" in line)
    dead.write_text(text.replace(server.split("server:")[1], " https://127.0.0.1:1"))
    done = subprocess.run(
        [sys.executable, "-m", "imgvol", "clean", f"--kubeconfig={dead}", f"--registry={started.registry}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "namespaces: the cluster does not list them: " in done.stderr
    assert "Traceback" not in done.stderr


def hold(started, run, *, age):
    """What a run that is under way, or was some seconds ago, has in the cluster: its Lease."""
    renewed = (datetime.now(UTC) - timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    labels = {"imgvol.dev/run": run}
    kube(started).create(path_of("namespaces"), {"metadata": {"name": run, "labels": labels}})
    spec = {"holderIdentity": run, "leaseDurationSeconds": 120, "renewTime": renewed}
    kube(started).create(path_of("leases", run), {"metadata": {"name": "run", "labels": labels}, "spec": spec})


def test_a_run_that_is_under_way_is_spared(started):
    leave(started)
    hold(started, RUN, age=60)
    hold(started, OTHER, age=600)
    done = clean(started)
    assert done.returncode == 0, done.stderr
    spaces, repositories = there(started)
    assert {f"{RUN}-mount", RUN} <= spaces
    assert not {f"{OTHER}-mount", OTHER} & spaces
    assert repositories == {f"{RUN}/shared/probe", "imgvol-precious/probe", "precious"}
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("spared")]
    assert line.startswith(f"spared        run {RUN}: it is under way, and said so at ")
    assert line.endswith(f"; to have it taken: --run {RUN}")

    assert clean(started, f"--run={RUN}").returncode == 0
    assert there(started) == (spaces - {f"{RUN}-mount", RUN}, {"imgvol-precious/probe", "precious"})


def test_a_run_of_another_cluster_is_spared(started):
    endpoint = RegistryEndpoint(f"http://{started.registry}", started.registry)
    Repository(endpoint, f"{RUN}/shared/probe").push(forge(SPEC, architecture="amd64", nonce="x"), "v1")
    done = clean(started, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["repositories"] == []
    assert list(told["spared"]) == [RUN]
    assert clean(started, f"--run={RUN}").returncode == 0
    assert there(started)[1] == set()


def test_a_run_says_that_it_is_under_way(started):
    place = Options(kubeconfig=str(started.kubeconfig), registry=started.registry)
    with running(place) as found:
        assert list(under_way(kube(started))) == [found.run]
        done = clean(started, "--json")
        assert list(json.loads(done.stdout)["spared"]) == [found.run]
        assert any(name.startswith(found.run) for name in there(started)[1])
    assert under_way(kube(started)) == {}
    assert clean(started).stdout == "nothing is left of any run\n"


@pytest.mark.parametrize(
    ("prefix", "name", "run"),
    [
        ("", "imgvol-0a1b2c/x", "imgvol-0a1b2c"),
        ("", "imgvol-0a1b2c", ""),
        ("", "imgvol-0a1b2/x", ""),
        ("team", "team/imgvol-0a1b2c/x", "imgvol-0a1b2c"),
        ("team", "imgvol-0a1b2c/x", ""),
        ("", "team/imgvol-0a1b2c/x", ""),
    ],
)
def test_whose_a_repository_is(prefix, name, run):
    assert _run_of(RegistryEndpoint("http://r", "r", prefix=prefix), name) == run
