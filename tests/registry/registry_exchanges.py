"""The same requests to any registry, and its answers in a form that can be compared.

Run against a Docker Distribution to record what it answers:

    python tests/registry/registry_exchanges.py http://127.0.0.1:5000 http://127.0.0.1:5001 > recording.json

The second address serves the same storage to user `u` with password `p` (htpasswd, realm `basic-realm`). The
storage must be empty and deletes allowed (REGISTRY_STORAGE_DELETE_ENABLED=true).
"""

import hashlib
import json
import re
import sys
from urllib.parse import urlsplit

import requests

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
HEADERS = (
    "Accept-Ranges",
    "Cache-Control",
    "Content-Range",
    "Content-Type",
    "Docker-Content-Digest",
    "Docker-Distribution-API-Version",
    "Docker-Upload-UUID",
    "ETag",
    "Link",
    "Location",
    "OCI-Subject",
    "Range",
    "WWW-Authenticate",
)
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def digest(content, algorithm="sha256"):
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


def dump(document):
    return json.dumps(document, separators=(",", ":")).encode()


def descriptor(content, media_type, **more):
    return {"mediaType": media_type, "digest": digest(content), "size": len(content), **more}


def symbolic(text):
    text = UUID.sub("<uuid>", text)
    text = re.sub(r"_state=[^&]+", "_state=<state>", text)
    return re.sub(r"https?://[0-9.:]+", "", text)


def answer(response):
    """Status, headers and body of an answer, with what differs from run to run made symbolic."""
    try:
        body = json.loads(response.content) if response.content else None
    except ValueError:
        body = symbolic(response.content.decode("latin-1"))
    headers = {name: symbolic(response.headers[name]) for name in HEADERS if name in response.headers}
    return {"status": response.status_code, "headers": headers, "body": body}


class Session:
    """A client that keeps what it was told under the name of the question."""

    def __init__(self, base):
        self.base = base
        self.answers = {}
        self.http = requests.Session()
        self.http.trust_env = False

    def ask(self, name, method, path, **options):
        url = path if path.startswith("http") else self.base + path
        response = self.http.request(method, url, allow_redirects=False, timeout=30, **options)
        if name:
            assert name not in self.answers, name
            self.answers[name] = answer(response)
        return response

    def start(self, repository, name=None):
        return self.location(self.ask(name, "POST", f"/v2/{repository}/blobs/uploads/"))

    def location(self, response):
        split = urlsplit(response.headers["Location"])
        return f"{split.path}?{split.query}"

    def push(self, repository, content):
        response = self.ask(None, "PUT", f"{self.start(repository)}&digest={digest(content)}", data=content)
        assert response.status_code == 201, response.text
        return digest(content)

    def put(self, name, repository, reference, content, media_type=OCI_MANIFEST):
        path = f"/v2/{repository}/manifests/{reference}"
        return self.ask(name, "PUT", path, data=content, headers={"Content-Type": media_type})


def play(base, private):
    """Ask everything; name of the question → answer."""
    s = Session(base)
    _nothing_there(s)
    _uploads(s)
    _blobs(s)
    _manifests(s)
    _lists(s)
    _deletes(s)
    _private(s, private)
    return s.answers


def _nothing_there(s):
    absent = digest(b"absent")
    s.ask("base", "GET", "/v2/")
    s.ask("unknown path", "GET", "/v2/lab/ok/nonsense")
    s.ask("blob of unknown repository", "GET", f"/v2/no/such/blobs/{absent}")
    s.ask("blob head of unknown repository", "HEAD", f"/v2/no/such/blobs/{absent}")
    s.ask("manifest of unknown repository", "GET", "/v2/no/such/manifests/v1")
    s.ask("manifest by digest of unknown repository", "GET", f"/v2/no/such/manifests/{absent}")
    s.ask("tags of unknown repository", "GET", "/v2/no/such/tags/list")
    s.ask("blob by malformed digest", "GET", "/v2/no/such/blobs/sha256:abc")
    s.ask("blob by digest of unknown algorithm", "GET", "/v2/no/such/blobs/md5:" + "0" * 32)
    s.ask("blob by upper-case digest", "GET", "/v2/no/such/blobs/sha256:" + "A" * 64)
    s.ask("manifest by malformed digest", "GET", "/v2/no/such/manifests/sha256:abc")
    s.ask("upper-case repository", "GET", "/v2/lab/OK/manifests/v1")
    s.ask("wrong method on blob", "POST", f"/v2/lab/ok/blobs/{absent}")
    s.ask("wrong method on tags", "DELETE", "/v2/lab/ok/tags/list")


def _uploads(s):
    content = b"0123456789"
    url = s.start("lab/up", "upload: start")
    s.ask("upload: status of empty", "GET", url)
    r = s.ask("upload: first chunk", "PATCH", url, data=content[:4], headers={"Content-Range": "0-3"})
    url = s.location(r)
    s.ask("upload: status", "GET", url)
    s.ask("upload: chunk again", "PATCH", url, data=content[:4], headers={"Content-Range": "0-3"})
    s.ask("upload: chunk ahead", "PATCH", url, data=content[6:], headers={"Content-Range": "6-9"})
    s.ask("upload: range backwards", "PATCH", url, data=b"45", headers={"Content-Range": "4-3"})
    s.ask("upload: range longer than body", "PATCH", url, data=b"45", headers={"Content-Range": "4-9"})
    r = s.ask("upload: second chunk", "PATCH", url, data=content[4:8], headers={"Content-Range": "4-7"})
    url = s.location(r)
    s.ask("upload: put without digest", "PUT", url)
    s.ask("upload: put with malformed digest", "PUT", f"{url}&digest=sha256:abc")
    s.ask(
        "upload: put out of order",
        "PUT",
        f"{url}&digest={digest(content)}",
        data=b"89",
        headers={"Content-Range": "0-1"},
    )
    s.ask(
        "upload: put with last chunk",
        "PUT",
        f"{url}&digest={digest(content)}",
        data=b"89",
        headers={"Content-Range": "8-9"},
    )
    s.ask("upload: finished session", "GET", url)
    url = s.start("lab/up")
    s.ask("upload: stream", "PATCH", url, data=iter([b"01", b"234"]))
    url = s.start("lab/up")
    s.ask("upload: put with wrong digest", "PUT", f"{url}&digest={digest(b'other')}", data=content)
    s.ask("upload: session after wrong digest", "GET", url)
    url = s.start("lab/up")
    s.ask("upload: cancel", "DELETE", url)
    s.ask("upload: cancelled session", "GET", url)
    s.ask("upload: chunk for cancelled session", "PATCH", url, data=b"x")
    url = s.start("lab/up")
    s.ask("upload: chunk without state", "PATCH", url.partition("?")[0], data=b"x")
    s.ask("upload: session of another repository", "PATCH", url.replace("lab/up", "lab/other"), data=b"x")
    s.ask("upload: status in another repository", "GET", url.replace("lab/up", "lab/other"))
    s.ask("mount", "POST", f"/v2/lab/mounted/blobs/uploads/?mount={digest(content)}&from=lab/up")
    s.ask("mount of absent", "POST", f"/v2/lab/mounted/blobs/uploads/?mount={digest(b'no')}&from=lab/up")
    s.ask("mount from absent", "POST", f"/v2/lab/mounted/blobs/uploads/?mount={digest(content)}&from=no/such")
    s.ask("mount of malformed", "POST", "/v2/lab/mounted/blobs/uploads/?mount=sha256:abc&from=lab/up")
    s.ask("mounted blob", "GET", f"/v2/lab/mounted/blobs/{digest(content)}")


def _blobs(s):
    blob = s.push("lab/blobs", b"0123456789")
    path = f"/v2/lab/blobs/blobs/{blob}"
    s.ask("blob", "GET", path)
    s.ask("blob head", "HEAD", path)
    s.ask("blob not modified", "GET", path, headers={"If-None-Match": f'"{blob}"'})
    for text in ("0-3", "4-", "-3", "8-20", "0-0", "10-", "20-30", "5-2", "-0", "x-y"):
        s.ask(f"blob range {text}", "GET", path, headers={"Range": f"bytes={text}"})
    s.ask("blob if-range matching", "GET", path, headers={"Range": "bytes=0-3", "If-Range": f'"{blob}"'})
    s.ask("blob if-range other", "GET", path, headers={"Range": "bytes=0-3", "If-Range": '"other"'})
    empty = s.push("lab/blobs", b"")
    s.ask("empty blob", "GET", f"/v2/lab/blobs/blobs/{empty}")
    s.ask("empty blob range", "GET", f"/v2/lab/blobs/blobs/{empty}", headers={"Range": "bytes=0-3"})
    s.ask("blob in another repository", "GET", f"/v2/lab/other/blobs/{blob}")


def _manifests(s):
    config, layer = b'{"architecture":"amd64","os":"linux"}', b"layer"
    for content in (config, layer):
        s.push("lab/ok", content)
        s.push("lab/differs", content)
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(config, "application/vnd.oci.image.config.v1+json"),
        "layers": [descriptor(layer, "application/vnd.oci.image.layer.v1.tar+gzip")],
    }
    manifest = dump(document)
    oci = {"Accept": OCI_MANIFEST}
    s.put("manifest put by tag", "lab/ok", "v1", manifest)
    s.put("manifest put by digest", "lab/ok", digest(manifest), manifest)
    s.put("manifest put again", "lab/ok", "v2", manifest)
    s.put("manifest put by wrong digest", "lab/ok", digest(b"other"), manifest)
    s.put("manifest put by malformed digest", "lab/ok", "sha256:abc", manifest)
    s.ask("manifest by tag", "GET", "/v2/lab/ok/manifests/v1", headers=oci)
    s.ask("manifest head by tag", "HEAD", "/v2/lab/ok/manifests/v1", headers=oci)
    s.ask("manifest by digest", "GET", f"/v2/lab/ok/manifests/{digest(manifest)}", headers=oci)
    s.ask(
        "manifest not modified",
        "GET",
        "/v2/lab/ok/manifests/v1",
        headers={**oci, "If-None-Match": f'"{digest(manifest)}"'},
    )
    s.ask("manifest by unknown tag", "GET", "/v2/lab/ok/manifests/none", headers=oci)
    s.ask("manifest by unknown digest", "GET", f"/v2/lab/ok/manifests/{digest(b'none')}", headers=oci)
    s.ask("manifest without accept", "GET", "/v2/lab/ok/manifests/v1")
    s.ask("manifest accepting anything", "GET", "/v2/lab/ok/manifests/v1", headers={"Accept": "*/*"})
    s.ask("manifest accepting another", "HEAD", "/v2/lab/ok/manifests/v1", headers={"Accept": DOCKER_MANIFEST})
    s.ask(
        "manifest accepting a list of types",
        "GET",
        "/v2/lab/ok/manifests/v1",
        headers={"Accept": f"{DOCKER_LIST}, {OCI_MANIFEST};q=0.5"},
    )
    s.put("manifest with parameter in its type", "lab/ok", "param", manifest, OCI_MANIFEST + "; charset=utf-8")
    missing = {**document, "layers": [descriptor(b"absent1", "x/y"), descriptor(b"absent2", "x/y")]}
    s.put("manifest with missing layers", "lab/ok", "missing", dump(missing))
    s.put("manifest with missing config", "lab/ok", "missing", dump({**document, "config": descriptor(b"no", "x/y")}))
    s.put("manifest with blob of another repository", "lab/elsewhere", "v1", manifest)
    s.put("manifest of no layers", "lab/ok", "no-layers", dump({**document, "layers": []}))
    s.put("manifest with unknown layer type", "lab/ok", "odd", dump({**document, "layers": [descriptor(layer, "x/y")]}))
    s.put("manifest that is no JSON", "lab/ok", "bad", b"{")
    s.put("manifest of another schema", "lab/ok", "bad", dump({**document, "schemaVersion": 1}))
    s.put("manifest of another mediaType", "lab/ok", "bad", dump({**document, "mediaType": OCI_INDEX}))
    s.put("manifest of unsupported type", "lab/ok", "bad", manifest, "application/json")
    s.put("manifest with manifests", "lab/ok", "bad", dump({**document, "manifests": []}))
    s.put("manifest by invalid tag", "lab/ok", "-bad", manifest)
    foreign = {
        **descriptor(b"f", "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"),
        "urls": ["https://example.com/f"],
    }
    s.put("manifest with foreign layer", "lab/differs", "foreign", dump({**document, "layers": [foreign]}))
    s.put(
        "manifest with malformed layer digest",
        "lab/ok",
        "bad",
        dump({**document, "layers": [{**descriptor(layer, "x/y"), "digest": "sha256:abc"}]}),
    )
    too_large = dump({**document, "annotations": {"a": "x" * (4 * 1024 * 1024)}})
    s.put("manifest too large", "lab/ok", "large", too_large)
    docker = dump({**document, "mediaType": DOCKER_MANIFEST})
    s.put("docker manifest put", "lab/ok", "docker", docker, DOCKER_MANIFEST)
    s.ask("docker manifest without accept", "GET", "/v2/lab/ok/manifests/docker")
    s.put(
        "docker manifest without mediaType",
        "lab/ok",
        "bad",
        dump({k: v for k, v in document.items() if k != "mediaType"}),
        DOCKER_MANIFEST,
    )
    platform = {"architecture": "amd64", "os": "linux"}
    index = dump(
        {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [descriptor(manifest, OCI_MANIFEST, platform=platform)],
        }
    )
    s.put("index put", "lab/ok", "index", index, OCI_INDEX)
    s.ask("index accepting manifests only", "GET", "/v2/lab/ok/manifests/index", headers=oci)
    s.ask("index", "GET", "/v2/lab/ok/manifests/index", headers={"Accept": OCI_INDEX})
    s.put(
        "index of nothing",
        "lab/ok",
        "empty-index",
        dump({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}),
        OCI_INDEX,
    )
    s.put(
        "index with absent entry",
        "lab/differs",
        "sparse",
        dump({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [descriptor(b"no", OCI_MANIFEST)]}),
        OCI_INDEX,
    )
    s.put("index with config", "lab/ok", "bad", dump({**document, "mediaType": OCI_INDEX, "manifests": []}), OCI_INDEX)
    listed = dump(
        {
            "schemaVersion": 2,
            "mediaType": DOCKER_LIST,
            "manifests": [descriptor(docker, DOCKER_MANIFEST, platform=platform)],
        }
    )
    s.put("docker list put", "lab/ok", "list", listed, DOCKER_LIST)
    s.ask("docker list", "GET", "/v2/lab/ok/manifests/list", headers={"Accept": DOCKER_LIST})
    s.ask("docker list by tag without accept", "GET", "/v2/lab/ok/manifests/list")
    s.ask("docker list by digest without accept", "GET", f"/v2/lab/ok/manifests/{digest(listed)}")
    other = dump({"schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": []})
    s.put("docker list of nothing", "lab/ok", "empty-list", other, DOCKER_LIST)
    s.ask("docker list of nothing without accept", "GET", "/v2/lab/ok/manifests/empty-list")
    subject = dump({**document, "subject": descriptor(b"no", OCI_MANIFEST)})
    s.put("manifest with subject", "lab/ok", "subject", subject)
    s.ask("referrers", "GET", f"/v2/lab/ok/referrers/{digest(b'no')}")


def _lists(s):
    # A manifest both kinds of registries take: what they disagree on must not change their lists.
    s.put(
        None,
        "lab/differs",
        "v1",
        s.ask(None, "GET", "/v2/lab/ok/manifests/v1", headers={"Accept": OCI_MANIFEST}).content,
    )
    s.ask("tags", "GET", "/v2/lab/ok/tags/list")
    s.ask("tags of repository without tags", "GET", "/v2/lab/blobs/tags/list")
    for query in ("n=2", "n=2&last=index", "last=list", "n=0", "n=1000", "n=-1", "n=x", "last=zzz", "n=1&last=subject"):
        s.ask(f"tags {query}", "GET", f"/v2/lab/ok/tags/list?{query}")
    s.ask("catalog", "GET", "/v2/_catalog")
    for query in ("n=2", "n=2&last=lab/blobs", "n=0", "n=1001", "n=x", "last=zzz"):
        s.ask(f"catalog {query}", "GET", f"/v2/_catalog?{query}")


def _deletes(s):
    config = s.push("lab/gone", b"config")
    manifest = dump(
        {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": descriptor(b"config", "x/y"), "layers": []}
    )
    oci = {"Accept": OCI_MANIFEST}
    for tag in ("a", "b", "c"):
        s.put(None, "lab/gone", tag, manifest)
    s.ask("delete tag", "DELETE", "/v2/lab/gone/manifests/a")
    s.ask("deleted tag", "GET", "/v2/lab/gone/manifests/a", headers=oci)
    s.ask("other tag of the manifest", "HEAD", "/v2/lab/gone/manifests/b", headers=oci)
    s.ask("delete tag again", "DELETE", "/v2/lab/gone/manifests/a")
    s.ask("delete blob", "DELETE", f"/v2/lab/gone/blobs/{config}")
    s.ask("deleted blob", "GET", f"/v2/lab/gone/blobs/{config}")
    s.ask("manifest of deleted blob", "GET", "/v2/lab/gone/manifests/b", headers=oci)
    s.ask("delete blob again", "DELETE", f"/v2/lab/gone/blobs/{config}")
    s.ask("delete manifest", "DELETE", f"/v2/lab/gone/manifests/{digest(manifest)}")
    s.ask("deleted manifest", "GET", f"/v2/lab/gone/manifests/{digest(manifest)}", headers=oci)
    s.ask("tag of deleted manifest", "GET", "/v2/lab/gone/manifests/b", headers=oci)
    s.ask("delete manifest again", "DELETE", f"/v2/lab/gone/manifests/{digest(manifest)}")
    s.ask("tags after deletes", "GET", "/v2/lab/gone/tags/list")


def _private(s, private):
    oci = {"Accept": OCI_MANIFEST}
    absent = digest(b"absent")
    s.ask("private: base without credentials", "GET", f"{private}/v2/")
    s.ask("private: manifest without credentials", "GET", f"{private}/v2/lab/ok/manifests/v1", headers=oci)
    s.ask("private: head without credentials", "HEAD", f"{private}/v2/lab/ok/manifests/v1", headers=oci)
    s.ask("private: push without credentials", "POST", f"{private}/v2/lab/ok/blobs/uploads/")
    s.ask("private: mount without credentials", "POST", f"{private}/v2/lab/ok/blobs/uploads/?mount={absent}&from=lab/x")
    s.ask("private: delete without credentials", "DELETE", f"{private}/v2/lab/ok/blobs/{absent}")
    s.ask("private: catalog without credentials", "GET", f"{private}/v2/_catalog")
    s.ask("private: wrong password", "GET", f"{private}/v2/", auth=("u", "wrong"))
    s.ask("private: wrong user", "GET", f"{private}/v2/", auth=("x", "p"))
    s.ask("private: bearer", "GET", f"{private}/v2/", headers={"Authorization": "Bearer x"})
    s.ask("private: right", "GET", f"{private}/v2/", auth=("u", "p"))
    s.ask("private: manifest", "GET", f"{private}/v2/lab/ok/manifests/v1", headers=oci, auth=("u", "p"))


if __name__ == "__main__":
    json.dump(play(*sys.argv[1:3]), sys.stdout, indent=1)
    sys.stdout.write("\n")
