"""Interleaved clients against a model of what a registry is: Hypothesis looks for a history that tells them apart."""

import itertools
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule
from registry_client import OCI_MANIFEST, Served, descriptor, digest

REPOSITORIES = st.sampled_from(["a", "b"])
CONTENT = st.sampled_from([b"", b"0", b"01", b"012", b"x" * 300])
TAGS = st.sampled_from(["v1", "v2"])
COUNTER = itertools.count()


@pytest.fixture(scope="module")
def shared():
    with tempfile.TemporaryDirectory() as root:
        served = Served(Path(root))
        yield served
        served.close()


class RegistryModel(RuleBasedStateMachine):
    """Repositories of this run have a prefix of their own; content is shared with all earlier runs."""

    served: Served

    def __init__(self):
        super().__init__()
        self.prefix = f"run{next(COUNTER)}/"
        self.uploads = {}  # url → [repository, bytes] while the session lives
        self.blobs = {name: {} for name in "ab"}  # repository → digest → content
        self.manifests = {name: {} for name in "ab"}
        self.tags = {name: {} for name in "ab"}  # repository → tag → digest
        self.known = dict.fromkeys("ab", False)  # had a manifest at some time

    def path(self, repository, rest):
        return f"/v2/{self.prefix}{repository}/{rest}"

    uploads_made = Bundle("uploads")
    manifests_made = Bundle("manifests")

    @rule(target=uploads_made, repository=REPOSITORIES)
    def start(self, repository):
        url = self.served.start(self.prefix + repository)
        self.uploads[url] = [repository, b""]
        return url

    @rule(url=uploads_made, chunk=CONTENT, shift=st.sampled_from([None, 0, 0, 0, -1, 1]))
    def append(self, url, chunk, shift):
        live = url in self.uploads
        offset = len(self.uploads[url][1]) if live else 0
        headers = {}
        if shift is not None and chunk and offset + shift >= 0:
            headers["Content-Range"] = f"{offset + shift}-{offset + shift + len(chunk) - 1}"
        response = self.served("PATCH", url, data=chunk, headers=headers)
        if not live:
            assert response.status_code == 404
        elif headers and shift:
            assert response.status_code == 416
        else:
            assert response.status_code == 202
            self.uploads[url][1] += chunk

    @rule(url=uploads_made)
    def status(self, url):
        response = self.served("GET", url)
        if url in self.uploads:
            assert response.status_code == 204
            assert response.headers["Range"] == f"0-{max(0, len(self.uploads[url][1]) - 1)}"
        else:
            assert response.status_code == 404

    @rule(url=uploads_made, chunk=CONTENT, right=st.sampled_from([True, True, False]))
    def finish(self, url, chunk, right):
        repository, kept = self.uploads.get(url, ("a", b""))
        wanted = digest(kept + chunk if right else b"something else")
        response = self.served("PUT", f"{url}&digest={wanted}", data=chunk)
        if url not in self.uploads:
            assert response.status_code == 404
        elif right:
            assert response.status_code == 201
            self.blobs[repository][wanted] = kept + chunk
        else:
            assert response.status_code == 400
        self.uploads.pop(url, None)

    @rule(url=consumes(uploads_made))
    def cancel(self, url):
        assert self.served("DELETE", url).status_code == (204 if url in self.uploads else 404)
        self.uploads.pop(url, None)

    @rule(source=REPOSITORIES, into=REPOSITORIES, content=CONTENT)
    def mount(self, source, into, content):
        wanted = digest(content)
        query = f"mount={wanted}&from={self.prefix}{source}"
        response = self.served("POST", self.path(into, f"blobs/uploads/?{query}"))
        if wanted in self.blobs[source]:
            assert response.status_code == 201
            self.blobs[into][wanted] = content
        else:
            assert response.status_code == 202

    @rule(repository=REPOSITORIES, content=CONTENT)
    def delete_blob(self, repository, content):
        wanted = digest(content)
        status = self.served("DELETE", self.path(repository, f"blobs/{wanted}")).status_code
        assert status == (404 if self.blobs[repository].pop(wanted, None) is None else 202)

    @rule(
        target=manifests_made,
        repository=REPOSITORIES,
        contents=st.lists(CONTENT, min_size=1, max_size=3),
        tag=TAGS | st.none(),
        note=st.sampled_from(["1", "2"]),
    )
    def put_manifest(self, repository, contents, tag, note):
        document = {
            "schemaVersion": 2,
            "config": descriptor(contents[0], "x/config"),
            "layers": [descriptor(layer, "x/layer") for layer in contents[1:]],
            "annotations": {"note": note},
        }
        content = json.dumps(document).encode()
        wanted = digest(content)
        response = self.served.put(self.prefix + repository, tag or wanted, content)
        if not all(digest(blob) in self.blobs[repository] for blob in contents):
            assert response.status_code == 400
            return multiple()
        assert response.status_code == 201
        self.known[repository] = True
        self.manifests[repository][wanted] = content
        if tag:
            self.tags[repository][tag] = wanted
        return wanted

    @rule(target=manifests_made, repository=REPOSITORIES, content=CONTENT, tag=TAGS | st.none())
    def push_image(self, repository, content, tag):
        wanted = self.served.push(self.prefix + repository, content)
        self.blobs[repository][wanted] = content
        return self.put_manifest(repository, [content], tag, "1")

    @rule(repository=REPOSITORIES, tag=TAGS)
    def delete_tag(self, repository, tag):
        status = self.served("DELETE", self.path(repository, f"manifests/{tag}")).status_code
        assert status == (202 if self.tags[repository].pop(tag, None) else 404)

    @rule(repository=REPOSITORIES, wanted=manifests_made)
    def delete_manifest(self, repository, wanted):
        status = self.served("DELETE", self.path(repository, f"manifests/{wanted}")).status_code
        assert status == (202 if self.manifests[repository].pop(wanted, None) else 404)
        self.tags[repository] = {t: d for t, d in self.tags[repository].items() if d != wanted}

    @invariant()
    def tags_lead_to_manifests(self):
        for repository in "ab":
            response = self.served("GET", self.path(repository, "tags/list"))
            assert response.status_code == (200 if self.known[repository] else 404)
            if self.known[repository]:
                assert response.json()["tags"] == sorted(self.tags[repository])
            for tag, wanted in self.tags[repository].items():
                response = self.served.get_manifest(self.prefix + repository, tag, OCI_MANIFEST)
                assert response.content == self.manifests[repository][wanted]

    @invariant()
    def blobs_are_whole_or_absent(self):
        for repository in "ab":
            for content in (b"", b"0", b"01", b"012", b"0120", b"x" * 300):
                response = self.served("GET", self.path(repository, f"blobs/{digest(content)}"))
                there = digest(content) in self.blobs[repository]
                assert (response.status_code, response.content == content) == ((200, True) if there else (404, False))

    def teardown(self):
        for url in list(self.uploads):
            self.cancel(url)


@pytest.mark.slow
def test_interleaved_clients(shared):
    from hypothesis.stateful import run_state_machine_as_test

    RegistryModel.served = shared
    run_state_machine_as_test(
        RegistryModel,
        settings=settings(
            max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
