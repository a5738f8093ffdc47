"""What is promised of a push and a copy whatever a registry does, and the faults that Hypothesis draws for it."""

import hashlib
import json
import shutil

from hypothesis import strategies as st

import packager

ACCEPT = {"Accept": "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json"}
OPERATIONS = ["ping", "blob-head", "upload-post", "upload-patch", "upload-put", "upload-get", "manifest-*", "*"]
DEEDS = [
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
    {"drop": "50%", "reset": True},
    {"truncate": "50%"},
    {"corrupt": "50%"},
    {"full-disk": True},
    {"headers": {"Docker-Content-Digest": "sha256:" + "0" * 64}},
    {"headers": {"Location": "/nowhere"}},
    {"headers": {"Range": "0-7"}},
]
_TIMES = st.just({}) | st.fixed_dictionaries(
    {}, optional={"skip": st.integers(0, 4), "every": st.integers(1, 3), "first": st.integers(1, 3)}
)
_MOST_REQUESTS = 400  # of one push of five blobs or manifests: attempts are bounded


def faults(operations=OPERATIONS, *, min_size=1):
    """Up to three faults of these operations."""
    return st.lists(
        st.builds(
            lambda operation, times, deed: {"match": {"operation": operation}, "times": times, **deed},
            st.sampled_from(operations),
            _TIMES,
            st.sampled_from(DEEDS),
        ),
        min_size=min_size,
        max_size=3,
    )


def said_once(work):
    """What `work` gives, and nothing said; or None, and the one sentence that it ends with."""
    try:
        return work(), ""
    except packager.PackagerError as error:
        said = str(error)
    assert said
    assert len(said.splitlines()) == 1
    return None, said


def attempt(served, work):
    """The same, in a bounded number of requests; then the faults end."""
    served.registry.journal.clear()
    found, said = said_once(work)
    assert len(served.registry.journal) < _MOST_REQUESTS
    assert served("DELETE", f"{served.control}/faults").status_code == 204
    return found, said


def check_push(served, repository, push):
    """Push, and hold the outcome to the promise; what is said if it fails.

    `push` takes a reference. It ends in the right digest or in a clear error, and the tag leads to nothing or to all
    of an image. Once the registry is well, the same push succeeds, whatever was left behind.
    """
    reference = f"{served.host}/{repository}:v1"
    pushed, said = attempt(served, lambda: push(reference))
    tagged = tagged_digest(served, repository)
    if pushed is None:
        again = push(reference)
        assert tagged in (None, again.digest)
        assert tagged_digest(served, repository) == again.digest
    else:
        assert tagged == pushed.digest
    return said


def check_copy(served, reference, layout, copy):
    """Copy an image out of the registry, and hold the outcome to the promise; what is said if it fails.

    `copy` takes a reference and a path. There is a layout with all of the image, or nothing.
    """
    shutil.rmtree(layout, ignore_errors=True)
    copied, said = attempt(served, lambda: copy(reference, layout))
    if copied is None:
        assert not layout.exists()
    else:
        assert packager.inspect(layout).digest == copied.digest
        for blob in (layout / "blobs" / "sha256").iterdir():
            assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    return said


def tagged_digest(served, repository, tag="v1"):
    """The digest that a tag leads to, if there is one; everything that it names is there, byte for byte."""
    answer = served("GET", f"/v2/{repository}/manifests/{tag}", headers=ACCEPT)
    if answer.status_code == 404:
        return None
    assert answer.status_code == 200, answer.text
    _whole(served, repository, answer.json())
    return f"sha256:{hashlib.sha256(answer.content).hexdigest()}"


def _whole(served, repository, manifest):
    for entry in manifest.get("manifests", ()):
        answer = served("GET", f"/v2/{repository}/manifests/{entry['digest']}", headers=ACCEPT)
        assert f"sha256:{hashlib.sha256(answer.content).hexdigest()}" == entry["digest"]
        _whole(served, repository, json.loads(answer.content))
    for blob in (manifest["config"], *manifest["layers"]) if "layers" in manifest else ():
        content = served("GET", f"/v2/{repository}/blobs/{blob['digest']}").content
        assert f"sha256:{hashlib.sha256(content).hexdigest()}" == blob["digest"]
        assert len(content) == blob["size"]
