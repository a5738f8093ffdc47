"""Listeners: several on one storage, private ones, what they note, how they start and stop."""

import asyncio
import base64
import subprocess
import sys

import pytest
import requests
from registry_client import OCI_MANIFEST, Served, code, digest

import emulator.registry
from emulator.registry import Registry, RegistryError


def test_the_private_listener_serves_the_same_storage(served):
    content = served.manifest("a", "v1")
    url = f"{served.private_url}/v2/a/manifests/v1"
    response = served("GET", url, auth=("u", "p"), headers={"Accept": OCI_MANIFEST})
    assert response.content == content
    wanted = digest(b"private")
    url = f"{served.private_url}/v2/a/blobs/uploads/?digest={wanted}"
    assert served("POST", url, data=b"private", auth=("u", "p")).status_code == 201
    assert served("GET", f"/v2/a/blobs/{wanted}").content == b"private"


WRONG = [
    None,
    "Basic",
    "Basic !",
    "Basic " + base64.b64encode(b"u").decode(),
    "Basic " + base64.b64encode(b"u:").decode(),
    "Basic " + base64.b64encode(b"u:p ").decode(),
    "Basic " + base64.b64encode(b":").decode(),
    "Bearer " + base64.b64encode(b"u:p").decode(),
    "basic u:p",
]


@pytest.mark.parametrize("header", WRONG)
@pytest.mark.parametrize("path", ["/v2/", "/v2/a/tags/list", "/v2/_catalog", "/nonsense", "/_emulator/requests"])
def test_no_way_around_the_credentials(served, header, path):
    response = served("GET", served.private_url + path, headers={"Authorization": header} if header else {})
    assert (response.status_code, code(response)) == (401, "UNAUTHORIZED")
    assert response.headers["WWW-Authenticate"] == 'Basic realm="basic-realm"'
    assert response.headers["Docker-Distribution-API-Version"] == "registry/2.0"


def test_the_scheme_is_case_insensitive(served):
    header = "bAsIc " + base64.b64encode(b"u:p").decode()
    assert served("GET", f"{served.private_url}/v2/", headers={"Authorization": header}).status_code == 200


def test_passwords_may_hold_anything(tmp_path):
    async def scenario():
        registry = Registry(tmp_path)
        host = await registry.listen(basic_auth=("ü", "a:b ☃"))
        header = "Basic " + base64.b64encode("ü:a:b ☃".encode()).decode()
        response = await asyncio.to_thread(
            requests.get, f"http://{host}/v2/", headers={"Authorization": header}, timeout=30
        )
        await registry.close()
        return response.status_code

    assert asyncio.run(scenario()) == 200


def test_the_journal_is_a_second_oracle(served):
    wanted = served.push("a", b"content")
    served("GET", f"/v2/a/blobs/{wanted}", headers={"Range": "bytes=0-2"})
    served("HEAD", f"{served.private_url}/v2/a/blobs/{wanted}", auth=("u", "p"))
    served("GET", f"{served.private_url}/v2/?x=y", auth=("u", "wrong"))
    seen = [
        (r.listener, r.user, r.method, r.path, r.query, r.status, r.received, r.sent)
        for r in list(served.registry.journal)[2:]
    ]
    path = f"/v2/a/blobs/{wanted}"
    assert seen[:2] == [
        (served.host, "", "GET", path, "", 206, 0, 3),
        (served.private_host, "u", "HEAD", path, "", 200, 0, 0),
    ]
    assert seen[2][:6] == (served.private_host, "", "GET", "/v2/", "x=y", 401)
    put = list(served.registry.journal)[1]
    assert (put.method, put.received, put.status) == ("PUT", 7, 201)
    over_http = served("GET", "/_emulator/requests").json()
    assert [entry["path"] for entry in over_http] == [r.path for r in served.registry.journal][:-1]
    assert served("POST", "/_emulator/requests").status_code == 405
    served.registry.journal.clear()
    assert len(served.registry.journal) == 0


def test_a_taken_port(served, tmp_path):
    port = int(served.host.split(":")[1])
    with pytest.raises(RegistryError) as error:
        asyncio.run(Registry(tmp_path / "other").listen(port=port))
    assert str(error.value) == (
        f"the registry cannot listen on 127.0.0.1:{port}: Address already in use; "
        "choose another port, or 0 for any free one"
    )


def test_a_port_that_is_none(tmp_path):
    with pytest.raises(RegistryError, match=r"cannot listen on 127\.0\.0\.1:70000: .*0-65535"):
        asyncio.run(Registry(tmp_path).listen(port=70000))


def test_a_root_that_cannot_be(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RegistryError, match=r"cannot use .*/file/root as its storage: Not a directory; name a dir"):
        Registry(tmp_path / "file" / "root")


def test_a_chosen_port_can_be_had_again(tmp_path):
    async def scenario():
        registry = Registry(tmp_path)
        port = int((await registry.listen()).split(":")[1])
        await registry.close()
        assert await registry.listen(port=port) == f"127.0.0.1:{port}"
        await registry.close()

    asyncio.run(scenario())


def test_content_outlives_the_registry_and_uploads_do_not(tmp_path):
    served = Served(tmp_path)
    content = served.manifest("a", "v1")
    served("PATCH", served.start("a"), data=b"half")
    served.close()
    served = Served(tmp_path)
    assert served.get_manifest("a", "v1").content == content
    assert served("GET", "/v2/a/tags/list").json()["tags"] == ["v1"]
    assert not [name for name in served.files() if name.startswith("incoming/")]
    served.close()


def test_unknown_paths_and_methods(served):
    for path in ("/", "/v1/", "/v3/a", "/v2/a", "/v2/a/manifests", "/v2/manifests/v1", "/_emulator/x", "/v2foo"):
        response = served("GET", path)
        assert (response.status_code, code(response)) == (404, "UNSUPPORTED"), path
    for method, path, allowed in [
        ("POST", "/v2/", "GET, HEAD"),
        ("PATCH", "/v2/a/manifests/v1", "DELETE, GET, HEAD, PUT"),
        ("GET", "/v2/a/blobs/uploads/", "POST"),
        ("POST", f"/v2/a/referrers/{digest(b'')}", "GET, HEAD"),
        ("PROPFIND", "/v2/_catalog", "GET, HEAD"),
    ]:
        response = served(method, path)
        assert (response.status_code, code(response)) == (405, "UNSUPPORTED")
        assert response.headers["Allow"] == allowed


def test_exported_names():
    assert emulator.registry.__all__ == sorted(emulator.registry.__all__)
    assert all(hasattr(emulator.registry, name) for name in emulator.registry.__all__)


def test_import_stays_light():
    """What the emulator must not import, it does not."""
    unwanted = ["kubernetes", "oras", "requests", "rich", "yaml"]
    program = f"import sys, emulator.registry; print([n for n in {unwanted} if n in sys.modules])"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
