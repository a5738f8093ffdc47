"""Many clients at once, large blobs in little memory, and a registry that is killed."""

import hashlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from registry_client import Served, digest, send_part, wait_for

CLIENTS = 32


@pytest.mark.slow
def test_many_clients_at_once(served):
    """Each pushes its own image and one all of them share, by different ways, and reads the others'."""
    shared = os.urandom(300_000)
    barrier = threading.Barrier(CLIENTS)

    def client(number):
        barrier.wait()
        with requests.Session() as http:
            http.trust_env = False
            own = os.urandom(50_000 + number)
            for content in (shared, own):
                start = http.post(f"{served.url}/v2/r{number % 4}/blobs/uploads/", timeout=60)
                url = served.url + start.headers["Location"]
                half = len(content) // 2
                if number % 2:
                    assert http.patch(url, data=content[:half], timeout=60).status_code == 202
                    rest = content[half:]
                else:
                    rest = content
                done = http.put(f"{url}&digest={digest(content)}", data=rest, timeout=60)
                assert done.status_code == 201, done.text
                assert http.get(served.url + done.headers["Location"], timeout=60).content == content
            return own

    with ThreadPoolExecutor(CLIENTS) as pool:
        contents = list(pool.map(client, range(CLIENTS)))
    for number, own in enumerate(contents):
        assert served("GET", f"/v2/r{number % 4}/blobs/{digest(own)}").content == own
    assert not [name for name in served.files() if name.startswith("incoming/")]


@pytest.mark.slow
def test_many_clients_push_one_tag(served):
    contents = [served.manifest("a", f"n{number}", annotations={"n": str(number)}) for number in range(8)]
    stop = threading.Event()

    def push(content):
        while not stop.is_set():
            assert requests.put(
                f"{served.url}/v2/a/manifests/v1",
                data=content,
                headers={"Content-Type": "application/vnd.oci.image.manifest.v1+json"},
                timeout=60,
            ).ok

    served.put("a", "v1", contents[0])
    with ThreadPoolExecutor(len(contents)) as pool:
        pushes = [pool.submit(push, content) for content in contents]
        for _ in range(100):
            response = served.get_manifest("a", "v1")
            assert response.content in contents
            assert response.headers["Docker-Content-Digest"] == digest(response.content)
        stop.set()
        for done in pushes:
            done.result()


SERVER = """
import asyncio, resource, sys
from pathlib import Path
from emulator.registry import Registry

if len(sys.argv) > 2:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))

async def main():
    print(await Registry(Path(sys.argv[1])).listen(), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def process(tmp_path, request):
    """A registry in a process of its own: (process, its address, its root). A parameter limits the size of its
    files, in bytes: what a full disk is to a program.
    """
    command = [sys.executable, "-c", SERVER, str(tmp_path), *map(str, getattr(request, "param", ()))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        yield server, server.stdout.readline().strip(), tmp_path
        server.kill()


def peak_memory(pid):
    """The most memory a process had resident, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


SIZE = 256 << 20
BLOCK = bytes(range(256)) * 4096


@pytest.mark.slow
def test_memory_does_not_grow_with_the_blob(process):
    server, host, _ = process
    before = peak_memory(server.pid)
    sha256 = hashlib.sha256()
    for _ in range(SIZE // len(BLOCK)):
        sha256.update(BLOCK)
    wanted = f"sha256:{sha256.hexdigest()}"
    body = (BLOCK for _ in range(SIZE // len(BLOCK)))
    url = f"http://{host}/v2/a/blobs/uploads/?digest={wanted}"
    response = requests.post(url, data=body, timeout=100)
    assert response.status_code == 201
    size = 0
    with requests.get(f"http://{host}/v2/a/blobs/{wanted}", stream=True, timeout=100) as response:
        for part in response.iter_content(1 << 20):
            size += len(part)
    assert size == SIZE
    assert peak_memory(server.pid) - before < 24 << 20


@pytest.mark.slow
def test_kill_in_the_middle_of_an_upload_leaves_nothing_visible(process):
    server, host, root = process
    finished = digest(b"finished")
    url = f"http://{host}/v2/a/blobs/uploads/"
    assert requests.post(f"{url}?digest={finished}", data=b"finished", timeout=30).status_code == 201
    first_sent = threading.Event()

    def body():
        for _ in range(8):
            yield BLOCK
        first_sent.set()
        while True:
            yield BLOCK

    def push():
        with pytest.raises(requests.ConnectionError):
            requests.post(f"{url}?digest={digest(BLOCK * 8)}", data=body(), timeout=30)

    pushing = threading.Thread(target=push)
    pushing.start()
    first_sent.wait(30)
    wait_for(lambda: any(path.stat().st_size for path in (root / "incoming").iterdir()))
    server.send_signal(signal.SIGKILL)
    server.wait(30)
    pushing.join(30)
    assert list((root / "incoming").iterdir())
    served = Served(root)
    assert served("GET", f"/v2/a/blobs/{finished}").content == b"finished"
    assert served("HEAD", f"/v2/a/blobs/{digest(BLOCK * 8)}").status_code == 404
    assert len(served.files()) == 2
    served.close()


def test_a_client_that_goes_in_mid_download_is_no_error(served, caplog):
    content = bytes(32 << 20)
    wanted = served.push("a", content)
    for _ in range(3):
        with requests.get(f"{served.url}/v2/a/blobs/{wanted}", stream=True, timeout=30) as response:
            assert response.raw.read(1000) == bytes(1000)
    assert served("GET", f"/v2/a/blobs/{wanted}").content == content
    assert caplog.records == []


def test_close_does_not_wait_for_clients(served, caplog):
    content = bytes(32 << 20)
    wanted = served.push("a", content)
    url = served.start("a")
    with (
        send_part(served, "PATCH", url, b"part", 100),
        requests.get(f"{served.url}/v2/a/blobs/{wanted}", stream=True, timeout=30) as download,
    ):
        assert download.raw.read(1000) == bytes(1000)
        started = time.monotonic()
        served.loop.run(served.registry.close())
        assert time.monotonic() - started < 20  # well before the clients give up
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{served.url}/v2/", timeout=30)
    assert caplog.records == []


@pytest.mark.parametrize("process", [(2_500_000,)], indirect=True)
def test_a_full_disk_is_said_and_keeps_what_it_can(process):
    _, host, root = process
    content = bytes(range(256)) * 16384
    start = requests.post(f"http://{host}/v2/a/blobs/uploads/", timeout=30)
    url = f"http://{host}{start.headers['Location']}"
    response = requests.patch(url, data=content, timeout=30)
    assert response.status_code == 500
    assert response.json()["errors"] == [
        {
            "code": "UNKNOWN",
            "message": "unknown error",
            "detail": "the registry's storage failed: File too large",
        }
    ]
    kept = content[: kept_of_url(url)]
    assert 1 << 20 <= len(kept) < 2_500_000
    done = requests.put(f"{url}&digest={digest(kept)}", timeout=30)
    assert done.status_code == 201
    assert requests.get(f"http://{host}{done.headers['Location']}", timeout=30).content == kept
    assert not list((root / "incoming").iterdir())


def kept_of_url(url):
    return int(requests.get(url, timeout=30).headers["Range"].removeprefix("0-")) + 1


@pytest.mark.parametrize("process", [(100_000,)], indirect=True)
def test_a_manifest_that_finds_no_room_leaves_nothing(process):
    _, host, root = process
    content = b'{"schemaVersion": 2, "manifests": [], "x": "%s"}' % (b"x" * 200_000)
    headers = {"Content-Type": "application/vnd.oci.image.index.v1+json"}
    url = f"http://{host}/v2/a/manifests/v1"
    assert requests.put(url, data=content, headers=headers, timeout=30).status_code == 500
    assert requests.get(url, timeout=30).status_code == 404
    assert not [path for path in root.rglob("*") if path.is_file()]
