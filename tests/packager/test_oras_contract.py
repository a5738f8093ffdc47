"""What oras 0.2.43 does that packager.registries does otherwise.

Each test shows the library's own behaviour. If one fails after an update of oras, the library has changed, and the
part of ours that works around it can be looked at anew.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import oras.provider  # first: its own modules import each other in a circle
import pytest
import requests
from packager_faulty import Fault, FaultyRegistry

import packager
from packager.documents import INDEX, Document
from packager.references import Reference
from packager.registries import RegistryClient


@pytest.fixture
def library(faulty: FaultyRegistry) -> Any:
    client = oras.provider.Registry(faulty.address, insecure=True)
    yield client
    client.session.close()


@pytest.fixture
def ours(faulty: FaultyRegistry) -> Any:
    client = RegistryClient(Reference.parse(f"{faulty.address}/c:v1"), push=True, pause=lambda _: None)
    yield client
    client.session.close()


@pytest.fixture
def naps(monkeypatch) -> list[float]:
    taken: list[float] = []
    monkeypatch.setattr(oras.decorator.time, "sleep", taken.append)
    return taken


def container(faulty: FaultyRegistry) -> Any:
    return oras.container.Container(f"{faulty.address}/c:v1")


def test_the_version_these_hold_for() -> None:
    assert version("oras") == "0.2.43"


def test_it_gives_up_at_the_first_429_and_503(library, ours, faulty: FaultyRegistry, naps) -> None:
    for status in (429, 503):
        faulty.faults = [Fault("GET", "/x", status), Fault("GET", "/manifests/", status)]
        assert library.do_request(f"http://{faulty.address}/x").status_code == status
        faulty.manifests["v1"] = (INDEX, b"{}")
        assert ours.manifest("v1")[0].body == b"{}"
    assert naps == []


def test_it_waits_two_minutes_on_a_wrong_password(library, faulty: FaultyRegistry, naps) -> None:
    faulty.faults = [Fault("GET", "/x", 401, {"WWW-Authenticate": 'Basic realm="r"'}, times=99)]
    library.auth.set_basic_auth("ci", "wrong")
    with pytest.raises(Exception):  # noqa: B017 -- whatever it is
        library.do_request(f"http://{faulty.address}/x")
    assert sum(naps) == 131


def test_it_keeps_a_token_that_is_not_for_pushing(library, ours, faulty: FaultyRegistry, naps) -> None:
    def scoped(action: str) -> dict[str, str]:
        realm = f"http://{faulty.address}/token"
        return {"WWW-Authenticate": f'Bearer realm="{realm}",service="s",scope="repository:c:{action}"'}

    def challenges() -> list[Fault]:
        token = Fault("GET", "/token", 200, body=b'{"token":"for pulling"}', times=99)
        return [
            token,
            Fault("HEAD", "/blobs/", 401, scoped("pull")),
            Fault("POST", "/uploads/", 401, scoped("pull,push"), times=99),
        ]

    faulty.faults = challenges()
    library.get_blob(container(faulty), "sha256:0", head=True)
    response = library.do_request(f"http://{faulty.address}/v2/c/blobs/uploads/", "POST")
    assert response.status_code == 401
    assert faulty.count("GET", "/token") == 1

    faulty.faults = challenges()
    faulty.headers.clear()
    ours.has_blob("sha256:0")
    assert faulty.headers[-1]["Authorization"] == "Bearer for pulling"
    assert ours._authenticator.actions == "pull,push"  # asked for from the start


def test_it_has_no_time_outs(library, ours, faulty: FaultyRegistry, monkeypatch) -> None:
    seen: list[Any] = []
    request = requests.Session.request

    def note(self: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append(kwargs.get("timeout"))
        return request(self, *args, **kwargs)

    monkeypatch.setattr(requests.Session, "request", note)
    library.do_request(f"http://{faulty.address}/v2/c/blobs/x")
    ours.has_blob("x")
    assert seen[0] is None
    assert seen[1] is not None


def test_it_reads_a_blob_whole_to_send_it(library, faulty: FaultyRegistry, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "blob").write_bytes(bytes(5000))
    sent: list[Any] = []
    normal = library.do_request
    monkeypatch.setattr(
        library, "do_request", lambda *args, **kw: (sent.append(kw.get("data")), normal(*args, **kw))[1]
    )
    digest = "sha256:" + hashlib.sha256(bytes(5000)).hexdigest()
    library.put_upload(str(tmp_path / "blob"), container(faulty), {"digest": digest, "size": 5000})
    assert sent[-1] == bytes(5000)


def test_it_sends_a_chunk_again_although_it_arrived(library, faulty: FaultyRegistry, tmp_path: Path, naps) -> None:
    """The registry takes the chunk and fails to say so: sent once more, it is there twice or in the wrong place."""
    (tmp_path / "blob").write_bytes(b"x" * 5000)
    faulty.faults = [Fault("PATCH", "", unanswered=True)]
    digest = "sha256:" + hashlib.sha256(b"x" * 5000).hexdigest()
    with pytest.raises(ValueError, match="Issue with"):
        library.chunked_upload(str(tmp_path / "blob"), container(faulty), {"digest": digest, "size": 5000})
    assert faulty.count("PATCH") == 2


def test_it_writes_manifests_anew_and_knows_no_index(library, ours, faulty: FaultyRegistry) -> None:
    body = b'{"schemaVersion":2,"layers":[],  "config":{"mediaType":"a/b","size":2,"digest":"sha256:0"}}'
    library.upload_manifest(json.loads(body), container(faulty))
    assert faulty.manifests["v1"][1] != body
    source = inspect.getsource(oras.provider.Registry.upload_manifest)
    assert '"Content-Type": oras.defaults.default_manifest_media_type' in source

    ours.put_manifest(Document(INDEX, body), "v1")
    assert faulty.manifests["v1"] == (INDEX, body)


def test_it_believes_what_it_downloads(library, faulty: FaultyRegistry, content: Path, tmp_path: Path) -> None:
    config = packager.push(content, f"{faulty.address}/c:v1").variants[0].config_digest
    faulty.blobs[config] = faulty.blobs[config].replace(b"1970", b"1971")
    library.download_blob(container(faulty), config, str(tmp_path / "blob"))
    assert b"1971" in (tmp_path / "blob").read_bytes()
    with pytest.raises(packager.PackagerError, match=r"its config is sha256:[0-9a-f]*, not sha256:"):
        packager.inspect(f"{faulty.address}/c:v1")
