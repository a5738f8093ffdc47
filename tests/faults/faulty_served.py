"""A registry with a control endpoint, in a thread of its own."""

import asyncio
import hashlib
import json
import threading

import requests

from emulator.registry import Registry

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Served:
    """A running registry, what tests ask of it, and its faults.

    `host` is where clients find it: with `acr`, a listener that plays Azure Container Registry. What tests ask
    themselves goes to an open one.
    """

    def __init__(self, root, *, acr=None, clock=None):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.registry = Registry(root, clock=clock)
        self.host = self.run(self.registry.listen())
        self.url = f"http://{self.host}"
        if acr is not None:
            self.host = self.run(self.registry.listen_as_acr(acr, storage="localhost"))
        self.control = f"http://{self.run(self.registry.control())}"
        self.http = requests.Session()
        self.http.trust_env = False

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(60)

    def __call__(self, method, path, **options):
        return self.http.request(method, path if path.startswith("http") else self.url + path, timeout=30, **options)

    def faults(self, *faults, name="test", **scenario):
        """Bring faults into force by the control endpoint."""
        answer = self("PUT", f"{self.control}/faults/{name}", data=json.dumps({"faults": faults, **scenario}))
        assert answer.status_code == 200, answer.text

    def struck(self, name="test"):
        """How often each fault struck."""
        return [fault["struck"] for fault in self("GET", f"{self.control}/faults").json()[name]["faults"]]

    def push(self, repository, content):
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        session = self("POST", f"/v2/{repository}/blobs/uploads/").headers["Location"]
        answer = self("PUT", f"{session}&digest={digest}", data=content)
        assert answer.status_code == 201, answer.text
        return digest

    def image(self, repository, tag, content):
        """Push an image of one layer; the digests of its manifest and of its layer."""
        config, layer = self.push(repository, b"{}"), self.push(repository, content)
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": config, "size": 2},
                "layers": [{"mediaType": "application/octet-stream", "digest": layer, "size": len(content)}],
            }
        ).encode()
        headers = {"Content-Type": OCI_MANIFEST}
        answer = self("PUT", f"/v2/{repository}/manifests/{tag}", data=manifest, headers=headers)
        assert answer.status_code == 201, answer.text
        return f"sha256:{hashlib.sha256(manifest).hexdigest()}", layer

    def close(self):
        self.http.close()
        self.run(self.registry.close())
        self.run(self.loop.shutdown_default_executor())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()
