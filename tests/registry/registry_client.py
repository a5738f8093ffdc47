"""A registry in a thread of its own, and what tests ask of it over HTTP."""

import asyncio
import hashlib
import json
import socket
import threading
import time

import requests

from emulator.registry import Registry

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"


def digest(content, algorithm="sha256"):
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


class Loop:
    """An event loop in a thread: the tests are synchronous, the registry is not."""

    def __init__(self):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def close(self):
        async def finish():
            await self._loop.shutdown_default_executor()

        self.run(finish())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Served:
    """A running registry: an open listener and a private one (user `u`, password `p`)."""

    def __init__(self, root, **options):
        self.root = root
        self.loop = Loop()
        self.registry = Registry(root, **options)
        self.host = self.loop.run(self.registry.listen())
        self.url = f"http://{self.host}"
        self.private_host = self.loop.run(self.registry.listen(basic_auth=("u", "p")))
        self.private_url = f"http://{self.private_host}"
        self.http = requests.Session()
        self.http.trust_env = False

    def __call__(self, method, path, **options):
        url = path if path.startswith("http") else self.url + path
        return self.http.request(method, url, timeout=30, **options)

    def start(self, repository):
        """The path of a new upload session, with room for more query."""
        response = self("POST", f"/v2/{repository}/blobs/uploads/")
        assert response.status_code == 202
        return response.headers["Location"]

    def push(self, repository, content, algorithm="sha256"):
        """Push a blob; its digest."""
        wanted = digest(content, algorithm)
        response = self("PUT", f"{self.start(repository)}&digest={wanted}", data=content)
        assert response.status_code == 201, response.text
        return wanted

    def manifest(self, repository, reference, *, layers=(b"layer",), config=b"{}", media_type=OCI_MANIFEST, **more):
        """Push an image of these blobs; its manifest's bytes."""
        for content in (config, *layers):
            self.push(repository, content)
        document = {
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": descriptor(config, "application/vnd.oci.image.config.v1+json"),
            "layers": [descriptor(layer, "application/vnd.oci.image.layer.v1.tar") for layer in layers],
            **more,
        }
        content = json.dumps(document).encode()
        response = self.put(repository, reference, content, media_type)
        assert response.status_code == 201, response.text
        return content

    def put(self, repository, reference, content, media_type=OCI_MANIFEST):
        headers = {"Content-Type": media_type}
        return self("PUT", f"/v2/{repository}/manifests/{reference}", data=content, headers=headers)

    def get_manifest(self, repository, reference, media_type=OCI_MANIFEST):
        return self("GET", f"/v2/{repository}/manifests/{reference}", headers={"Accept": media_type})

    def files(self):
        """Every file of the storage, relative to its root."""
        return sorted(str(p.relative_to(self.root)) for p in self.root.rglob("*") if p.is_file())

    def close(self):
        self.http.close()
        self.loop.run(self.registry.close())
        self.loop.close()


def descriptor(content, media_type, **more):
    return {"mediaType": media_type, "digest": digest(content), "size": len(content), **more}


def code(response):
    """The code of the first error of an answer."""
    assert response.headers["Content-Type"] == "application/json"
    return response.json()["errors"][0]["code"]


def send_part(served, method, url, content, length, headers=""):
    """Begin a request of `length` bytes, send only `content` of it, and give the connection."""
    host, port = served.host.split(":")
    connection = socket.create_connection((host, int(port)), timeout=30)
    connection.sendall(
        f"{method} {url} HTTP/1.1\r\nHost: {served.host}\r\nContent-Length: {length}\r\n{headers}\r\n".encode()
        + content
    )
    return connection


def wait_for(condition):
    """Until `condition` gives something true; the test's own timeout bounds it."""
    while not (result := condition()):
        time.sleep(0.002)
    return result
