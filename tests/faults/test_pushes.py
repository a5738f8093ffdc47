"""Whatever a registry does, a push ends in the right digest, or in a clear error and no tag on something unpulled."""

import hashlib
import json
from unittest import mock

import pytest
import requests
from faulty_served import Served
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import packager
from emulator.faults import scenario_names
from packager.registries import RegistryClient

_ACCEPT = {"Accept": "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json"}
_OPERATIONS = ["ping", "blob-head", "upload-post", "upload-patch", "upload-put", "upload-get", "manifest-*", "*"]
_DEEDS = st.sampled_from(
    [
        {"status": 401},
        {"status": 403},
        {"status": 404},
        {"status": 413},
        {"status": 416},
        {"status": 429, "headers": {"Retry-After": 1}},
        {"status": 500},
        {"status": 502, "body": "<h1>Bad gateway</h1>"},
        {"status": 503},
        {"hang-up": "before"},
        {"hang-up": "after"},
        {"hang-up": "before", "reset": True},
        {"lose": "50%"},
        {"lose": 1, "reset": True},
        {"drop": 0},
        {"truncate": "50%"},
        {"corrupt": "50%"},
        {"full-disk": True},
        {"headers": {"Docker-Content-Digest": "sha256:" + "0" * 64}},
        {"headers": {"Location": "/nowhere"}},
        {"headers": {"Range": "0-7"}},
    ]
)
_TIMES = st.fixed_dictionaries(
    {}, optional={"skip": st.integers(0, 4), "every": st.integers(1, 3), "first": st.integers(1, 3)}
)
_FAULTS = st.lists(
    st.tuples(st.sampled_from(_OPERATIONS), _TIMES, _DEEDS).map(
        lambda one: {"match": {"operation": one[0]}, "times": one[1], **one[2]}
    ),
    min_size=1,
    max_size=3,
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A registry, and a tree to push."""
    root = tmp_path_factory.mktemp("pushes")
    tree = root / "tree"
    tree.mkdir()
    (tree / "text").write_text("hello\n")
    (tree / "data").write_bytes(hashlib.sha256(b"data").digest() * 2000)
    served = Served(root / "registry")
    yield served, tree
    served.close()


@pytest.fixture(autouse=True)
def at_once():
    """Nobody waits between attempts."""
    with mock.patch.dict(RegistryClient.__init__.__kwdefaults__, {"pause": lambda _: None}):
        yield


def check(served, tree, repository):
    """Push, and hold the outcome to the promise."""
    pushed, said = None, "pushed"
    try:
        pushed = packager.push(tree, f"{served.host}/{repository}:v1")
    except packager.PackagerError as error:
        said = str(error)
    assert len(said.splitlines()) == 1
    served("DELETE", f"{served.control}/faults")
    answer = served("GET", f"/v2/{repository}/manifests/v1", headers=_ACCEPT)
    if pushed is None and answer.status_code == 404:
        return
    assert answer.status_code == 200, answer.text
    digest = f"sha256:{hashlib.sha256(answer.content).hexdigest()}"
    if pushed is not None:
        assert digest == pushed.digest
    whole(served, repository, answer.json())


def whole(served, repository, manifest):
    """Everything that a tagged manifest names is there, byte for byte."""
    for entry in manifest.get("manifests", ()):
        answer = served("GET", f"/v2/{repository}/manifests/{entry['digest']}", headers=_ACCEPT)
        assert f"sha256:{hashlib.sha256(answer.content).hexdigest()}" == entry["digest"]
        whole(served, repository, json.loads(answer.content))
    for blob in (manifest["config"], *manifest["layers"]) if "layers" in manifest else ():
        content = served("GET", f"/v2/{repository}/blobs/{blob['digest']}").content
        assert f"sha256:{hashlib.sha256(content).hexdigest()}" == blob["digest"]
        assert len(content) == blob["size"]


_NUMBERS = iter(range(1_000_000))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(faults=_FAULTS)
def test_a_push_ends_right_or_in_a_clear_error(place, faults):
    served, tree = place
    served.faults(*faults)
    # The tree differs each time: what was pushed before would be found, and not sent.
    number = next(_NUMBERS)
    (tree / "text").write_text(f"{number}\n")
    check(served, tree, f"pushes/{number}")


@pytest.mark.parametrize("name", [name for name in scenario_names() if name not in ("slow-to-answer", "slow-bodies")])
def test_every_scenario_that_comes_along(place, name):
    served, tree = place
    (tree / "text").write_text(f"{name}\n")
    answer = served("PUT", f"{served.control}/faults/{name}")
    assert answer.status_code == 200
    check(served, tree, f"scenarios/{name}")


def test_what_failed_once_is_pushed_whole_the_next_time(place):
    served, tree = place
    (tree / "text").write_text("again\n")
    served.faults({"match": {"operation": "upload-*"}, "times": {"skip": 1}, "hang-up": "before"})
    with pytest.raises(packager.PackagerError):
        packager.push(tree, f"{served.host}/again:v1")
    assert served("DELETE", f"{served.control}/faults").status_code == 204
    pushed = packager.push(tree, f"{served.host}/again:v1")
    answer = served("GET", "/v2/again/manifests/v1", headers=_ACCEPT)
    assert answer.headers["Docker-Content-Digest"] == pushed.digest
    whole(served, "again", answer.json())
    assert requests.codes.ok == answer.status_code
