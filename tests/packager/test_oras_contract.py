"""What oras 0.2.43 does that packager.registries does otherwise.

Each test shows the library's own behaviour. If one fails after an update of oras, the library has changed, and the
part of ours that works around it can be looked at anew.
"""

from __future__ import annotations

import base64
import hashlib
import inspect
import json
import os
import tarfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import oras.auth.utils
import oras.client
import oras.layout
import oras.provider  # first: its own modules import each other in a circle
import oras.utils
import pytest
import requests
from packager_faulty import Fault, FaultyRegistry

import packager
from packager.credentials import find_credentials
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


def test_it_sends_what_az_acr_login_stored_as_an_empty_password(
    library, ours, faulty: FaultyRegistry, tmp_path
) -> None:
    """The file holds nobody's name, no password, and an identity token: only the token is of use."""
    nobody = base64.b64encode(b"00000000-0000-0000-0000-000000000000:").decode()
    entry = {"auth": nobody, "identitytoken": "refresh"}
    (tmp_path / "config.json").write_text(json.dumps({"auths": {faulty.address: entry}}))
    challenge = {"WWW-Authenticate": f'Bearer realm="http://{faulty.address}/token",service="s",scope="x"'}

    def begin() -> None:
        faulty.headers.clear()
        faulty.faults = [
            Fault("GET", "/manifests/", 401, challenge),
            Fault("GET", "/token", 200, body=b'{"token":"t"}'),
            Fault("POST", "/token", 200, body=b'{"access_token":"t"}'),
        ]
        faulty.manifests["v1"] = (INDEX, b"{}")

    begin()
    library.auth.load_configs(container(faulty), configs=[str(tmp_path / "config.json")])
    library.do_request(f"http://{faulty.address}/v2/c/manifests/v1")
    assert f"Basic {nobody}" in [headers.get("Authorization") for headers in faulty.headers]
    assert faulty.count("POST", "/token") == 0

    begin()
    found = find_credentials(faulty.address, {"DOCKER_CONFIG": str(tmp_path)})
    assert found is not None
    client = RegistryClient(Reference.parse(f"{faulty.address}/c:v1"), found)
    with client.session:
        client.manifest("v1")
    assert faulty.count("POST", "/token") == 1
    assert not [headers for headers in faulty.headers if headers.get("Authorization", "").startswith("Basic ")]


def test_it_knows_nothing_of_docker_config_and_podman(monkeypatch, tmp_path: Path) -> None:
    entry = {"auth": base64.b64encode(b"ci:s3cret").decode()}
    for path in ("docker/config.json", "run/containers/auth.json"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(json.dumps({"auths": {"r.example": entry}}))
    for name, value in {"DOCKER_CONFIG": "docker", "XDG_RUNTIME_DIR": "run", "HOME": "home"}.items():
        monkeypatch.setenv(name, str(tmp_path / value))
    assert "r.example" not in oras.auth.utils.load_configs()
    for name in ("DOCKER_CONFIG", "XDG_RUNTIME_DIR"):
        assert find_credentials("r.example", {name: os.environ[name], "HOME": os.environ["HOME"]}) is not None


def test_its_layouts_are_read_whole_and_sign_in_nowhere(faulty: FaultyRegistry, tmp_path: Path, content: Path) -> None:
    source = inspect.getsource(oras.layout.Layout.push_to_registry)
    assert "load_configs" not in source
    packager.pack(content, tmp_path / "layout")
    sent = packager.push(tmp_path / "layout", f"{faulty.address}/c:v1")
    assert faulty.manifests["v1"][0] == INDEX
    assert sent.digest == "sha256:" + hashlib.sha256(faulty.manifests["v1"][1]).hexdigest()


def test_its_push_puts_the_files_name_into_the_digest(library, faulty: FaultyRegistry, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tmp-x1.tgz").write_bytes(b"layer")
    library.push(target=f"{faulty.address}/c:v1", files=["tmp-x1.tgz:application/vnd.oci.image.layer.v1.tar+gzip"])
    assert b"tmp-x1.tgz" in faulty.manifests["v1"][1]

    (tmp_path / "content-x2").mkdir()
    (tmp_path / "content-x2/file").write_bytes(b"content")
    packager.push(tmp_path / "content-x2", f"{faulty.address}/c:v2")
    assert not [body for _, body in faulty.manifests.values() if b"content-x2" in body]


def test_its_login_stores_unchecked_for_everybody_to_read(faulty: FaultyRegistry, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "ours"))
    faulty.faults = [Fault("GET", "/v2/", 401, {"WWW-Authenticate": 'Basic realm="r"'}, times=99)]
    monkeypatch.setattr(oras.utils, "get_docker_client", None)  # as on a machine without Docker
    client = oras.client.OrasClient(faulty.address, insecure=True)
    umask = os.umask(0o022)
    try:
        file = tmp_path / "config.json"
        client.login(hostname=faulty.address, username="ci", password="wrong", config_path=str(file))
        assert faulty.count("GET") == 0
        assert file.stat().st_mode & 0o777 == 0o644
        with pytest.raises(packager.PackagerError, match="does not accept the user name and password of 'ci'"):
            packager.login(faulty.address, packager.Credentials("ci", "wrong"))
        assert not (tmp_path / "ours").exists()
        faulty.faults = [Fault("GET", "/v2/", 200)]
        packager.login(faulty.address, packager.Credentials("ci", "right"))
        assert (tmp_path / "ours/config.json").stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(umask)
        client.session.close()


def test_its_archives_keep_modes_and_owners(tmp_path: Path, make_tree) -> None:
    root = make_tree({"secret": b"x"})
    (root / "secret").chmod(0o600)
    oras.utils.make_targz(str(root), str(tmp_path / "theirs.tgz"))
    with tarfile.open(tmp_path / "theirs.tgz") as archive:
        (theirs,) = [member for member in archive if member.name.endswith("secret")]
    assert theirs.mode & 0o777 == 0o600
    packager.pack(root, tmp_path / "ours", platforms=["linux/amd64"])
    packager.pack(make_tree({"secret": b""}, "empty"), tmp_path / "empty-layout", platforms=["linux/amd64"])
    (difference,) = packager.diff(tmp_path / "empty-layout", tmp_path / "ours").differences
    assert difference.after is not None
    assert difference.after.mode == 0o644
