"""How a node talks to registries that are not at their best: real HTTP servers that misbehave on purpose."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import gzip
import hashlib
import ipaddress
import json
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from emulator.node.containerd import Credential, CriError, ImageStore, Platform, Profile
from fixtures import Entry, tar_bytes

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def digest_of(raw: bytes) -> str:
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


EMPTY_INDEX = b'{"manifests":[]}'
LAYER = tar_bytes([Entry("file", content=os.urandom(200_000))])
BLOB = gzip.compress(LAYER)
CONFIG = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"diff_ids": [digest_of(LAYER)]}}).encode()
DOCUMENT = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": digest_of(CONFIG),
            "size": len(CONFIG),
        },
        "layers": [
            {
                "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                "digest": digest_of(BLOB),
                "size": len(BLOB),
            }
        ],
    }
).encode()

Handler = Callable[[web.Request], Awaitable[web.StreamResponse | None]]


async def well(request: web.Request) -> web.StreamResponse:
    """The registry as it should be."""
    last = request.path.rpartition("/")[2]
    if "/manifests/" in request.path:
        headers = {"Content-Type": MANIFEST, "Docker-Content-Digest": digest_of(DOCUMENT)}
        return web.Response(body=DOCUMENT, headers=headers)
    for blob in (CONFIG, BLOB):
        if last == digest_of(blob):
            return web.Response(body=blob)
    return web.Response(status=404)


@asynccontextmanager
async def serving(first: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[str, list[str]]]:
    """A registry that asks `first`, and answers well where that has nothing to say."""
    seen: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        seen.append(f"{request.method} {request.path.rpartition('/')[0].rpartition('/')[2]}")
        return await first(request) or await well(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    try:
        yield f"127.0.0.1:{runner.addresses[0][1]}", seen
    finally:
        await runner.cleanup()


def pull(
    folder: Path, first: Handler, credential: Credential | None = None, tls: ssl.SSLContext | None = None
) -> tuple[str, list[str]]:
    """Pull lab/app:v1 from such a registry: what came of it, with its address as REGISTRY, and the requests seen."""

    async def run() -> tuple[str, list[str]]:
        store = ImageStore(folder / "node", Profile.load("containerd-2.3"), Platform("amd64"), privileged=False)
        async with serving(first, tls) as (address, seen):
            try:
                image = await store.pull(f"{address}/lab/app:v1", credential)
            except CriError as error:
                return str(error).replace(address, "REGISTRY"), seen
            finally:
                await store.close()
            assert image.target == digest_of(DOCUMENT)
            return "pulled", seen

    return asyncio.run(run())


RESOLVING = 'failed to pull and unpack image "REGISTRY/lab/app:v1": failed to resolve image: '
COPYING = 'failed to pull and unpack image "REGISTRY/lab/app:v1": failed to copy: '
ON_HEAD = "unexpected status from HEAD request to http://REGISTRY/v2/lab/app/manifests/v1: "


async def nothing(request: web.Request) -> None:
    return None


def test_a_good_registry_is_asked_no_more_than_needed(tmp_path: Path) -> None:
    result, seen = pull(tmp_path, nothing)
    assert result == "pulled"
    assert seen == ["HEAD manifests", "GET manifests", "GET blobs", "GET blobs"]


def test_head_not_allowed_is_asked_by_get(tmp_path: Path) -> None:
    async def no_head(request: web.Request) -> web.Response | None:
        return web.Response(status=405) if request.method == "HEAD" else None

    assert pull(tmp_path, no_head)[0] == "pulled"


def test_an_answer_without_a_digest_is_fetched_and_hashed(tmp_path: Path) -> None:
    async def no_digest(request: web.Request) -> web.Response | None:
        if "/manifests/" in request.path:
            return web.Response(body=DOCUMENT, headers={"Content-Type": MANIFEST})
        return None

    result, seen = pull(tmp_path, no_digest)
    assert result == "pulled"
    assert seen[:2] == ["HEAD manifests", "GET manifests"]


@pytest.mark.parametrize(
    ("status", "asked", "text"),
    [
        (404, 1, "rpc error: code = NotFound desc = {}REGISTRY/lab/app:v1: not found"),
        (403, 1, "{}" + ON_HEAD + "403 Forbidden"),
        (500, 2, "{}" + ON_HEAD + "500 Internal Server Error"),
        (503, 2, "{}" + ON_HEAD + "503 Service Unavailable"),
        (429, 5, "{}" + ON_HEAD + "429 Too Many Requests"),
        (418, 1, "{}" + ON_HEAD + "418 I'm a Teapot"),
    ],
)
def test_refusals(tmp_path: Path, status: int, asked: int, text: str) -> None:
    async def refuse(request: web.Request) -> web.Response:
        return web.Response(status=status)

    result, seen = pull(tmp_path, refuse)
    assert result == text.format(RESOLVING)
    explained = ["GET manifests"] if status == 403 else []  # for what the registry says of it
    assert seen == ["HEAD manifests"] * asked + explained


def test_what_passes_is_tried_again(tmp_path: Path) -> None:
    statuses = iter([429, 408, 500, 503])

    async def pass_by(request: web.Request) -> web.Response | None:
        return web.Response(status=status) if (status := next(statuses, 0)) else None

    assert pull(tmp_path, pass_by)[0] == "pulled"


def test_the_errors_of_a_body_are_told(tmp_path: Path) -> None:
    async def denied(request: web.Request) -> web.Response | None:
        if "/blobs/" not in request.path:
            return None
        errors = [{"code": "DENIED", "message": "not for you"}]
        return web.json_response({"errors": errors}, status=403)

    result, _ = pull(tmp_path, denied)
    assert result == (
        f"{COPYING}httpReadSeeker: failed open: unexpected status from GET request to "
        f"http://REGISTRY/v2/lab/app/blobs/{digest_of(CONFIG)}: 403 Forbidden\ndenied: not for you"
    )


def test_a_download_that_breaks_off_is_resumed(tmp_path: Path) -> None:
    ranges: list[str | None] = []

    async def break_off(request: web.Request) -> web.StreamResponse | None:
        if not request.path.endswith(digest_of(BLOB)):
            return None
        ranges.append(request.headers.get("Range"))
        offset = int((ranges[-1] or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        response = web.StreamResponse(status=206 if offset else 200)
        response.content_length = len(BLOB) - offset
        await response.prepare(request)
        await response.write(BLOB[offset : offset + 90_000])
        if offset + 90_000 < len(BLOB):
            assert request.transport is not None
            request.transport.close()
        return response

    assert pull(tmp_path, break_off)[0] == "pulled"
    assert ranges[0] is None
    assert len(ranges) >= 3


def test_a_download_that_goes_nowhere_is_given_up(tmp_path: Path) -> None:
    async def silent(request: web.Request) -> web.StreamResponse | None:
        if not request.path.endswith(digest_of(BLOB)):
            return None
        response = web.StreamResponse()
        response.content_length = len(BLOB)
        await response.prepare(request)
        assert request.transport is not None
        request.transport.close()
        return response

    short = f"short read: expected {len(BLOB)} bytes but got 0: unexpected EOF"
    assert pull(tmp_path, silent)[0] == f'failed to pull and unpack image "REGISTRY/lab/app:v1": {short}'


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (BLOB[:-1], f"short read: expected {len(BLOB)} bytes but got {len(BLOB) - 1}: unexpected EOF"),
        (BLOB + b"x", f"failed to copy: httpReadSeeker: read past expected size {len(BLOB)}: failed precondition"),
    ],
    ids=["shorter", "longer"],
)
def test_blobs_of_another_size(tmp_path: Path, body: bytes, text: str) -> None:
    async def other(request: web.Request) -> web.Response | None:
        return web.Response(body=body) if request.path.endswith(digest_of(BLOB)) else None

    assert pull(tmp_path, other)[0].endswith(f'"REGISTRY/lab/app:v1": {text}')


def test_a_redirect_keeps_the_credential_from_other_hosts(tmp_path: Path) -> None:
    got: list[str | None] = []
    basic = "Basic " + base64.b64encode(b"someone:secret").decode()

    async def run() -> None:
        async def storage(request: web.Request) -> web.Response:
            got.append(request.headers.get("Authorization"))
            return web.Response(body=BLOB)

        async with serving(storage) as (elsewhere, _):

            async def guarded(request: web.Request) -> web.Response | None:
                if request.headers.get("Authorization") != basic:
                    return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="here"'})
                if request.path.endswith(digest_of(BLOB)):
                    return web.Response(status=307, headers={"Location": f"http://{elsewhere}/bytes"})
                return None

            store = ImageStore(tmp_path / "node", Profile.load("containerd-2.3"), Platform("amd64"), privileged=False)
            async with serving(guarded) as (address, _):
                await store.pull(f"{address}/lab/app:v1", Credential("someone", "secret"))
            await store.close()

    asyncio.run(run())
    assert got == [None]


def bearer(grant: Callable[[web.Request], Awaitable[web.Response]], seen: list[str]) -> Handler:
    """A registry whose token service answers with `grant`; only "Bearer good" gets in."""

    async def guard(request: web.Request) -> web.Response | None:
        if request.path == "/token":
            seen.append(f"{request.method} {request.query_string} {await request.text()}".strip())
            return await grant(request)
        if request.headers.get("Authorization") == "Bearer good":
            return None
        scope = "repository:lab/app:pull"
        challenge = f'Bearer realm="http://{request.host}/token",service="here",scope="{scope}"'
        return web.Response(status=401, headers={"WWW-Authenticate": challenge})

    return guard


async def good(request: web.Request) -> web.Response:
    return web.json_response({"token": "good"})


def test_an_anonymous_token(tmp_path: Path) -> None:
    asked: list[str] = []
    assert pull(tmp_path, bearer(good, asked))[0] == "pulled"
    assert asked == ["GET scope=repository:lab/app:pull&service=here"]


def test_a_token_for_a_credential(tmp_path: Path) -> None:
    async def grant(request: web.Request) -> web.Response:
        form = await request.post()
        assert (form["username"], form["password"], form["grant_type"]) == ("someone", "secret", "password")
        return web.json_response({"access_token": "good"})

    asked: list[str] = []
    assert pull(tmp_path, bearer(grant, asked), Credential("someone", "secret"))[0] == "pulled"
    assert len(asked) == 1


def test_a_token_service_without_post_is_asked_by_get(tmp_path: Path) -> None:
    async def grant(request: web.Request) -> web.Response:
        if request.method == "POST":
            return web.Response(status=405)
        assert request.headers["Authorization"].startswith("Basic ")
        return web.json_response({"token": "good"})

    asked: list[str] = []
    assert pull(tmp_path, bearer(grant, asked), Credential("someone", "secret"))[0] == "pulled"
    assert [one.partition(" ")[0] for one in asked] == ["POST", "GET"]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (
            lambda: web.Response(status=401),
            (
                "failed to authorize: failed to fetch anonymous token: unexpected status from GET request to "
                "http://REGISTRY/token?scope=repository%3Alab%2Fapp%3Apull&service=here: 401 Unauthorized"
            ),
        ),
        (
            lambda: web.json_response({}),
            (
                "failed to authorize: failed to fetch anonymous token: "
                "authorization server did not include a token in the response"
            ),
        ),
    ],
    ids=["refused", "empty"],
)
def test_a_token_service_that_gives_none(tmp_path: Path, answer: Callable[[], web.Response], text: str) -> None:
    async def grant(request: web.Request) -> web.Response:
        return answer()

    assert pull(tmp_path, bearer(grant, []))[0] == f"{RESOLVING}{text}"


def test_a_token_that_does_not_do(tmp_path: Path) -> None:
    async def guard(request: web.Request) -> web.Response:
        if request.path == "/token":
            return web.json_response({"token": "poor"})
        error = ',error="insufficient_scope"' if "Authorization" in request.headers else ""
        challenge = f'Bearer realm="http://{request.host}/token",service="here"{error}'
        return web.Response(status=401, headers={"WWW-Authenticate": challenge})

    result, _ = pull(tmp_path, guard)
    assert result == (
        f"{RESOLVING}pull access denied, repository does not exist or may require authorization: "
        "server message: insufficient_scope: authorization failed"
    )


def test_a_challenge_of_an_unknown_kind(tmp_path: Path) -> None:
    async def guard(request: web.Request) -> web.Response:
        return web.Response(status=401, headers={"WWW-Authenticate": "Negotiate"})

    assert pull(tmp_path, guard)[0] == f"{RESOLVING}{ON_HEAD}401 Unauthorized"


def certificate(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "registry")])
    now = dt.datetime.now(dt.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "registry.pem"
    path.write_bytes(private + built.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def test_a_registry_on_loopback_that_speaks_https(tmp_path: Path) -> None:
    result, seen = pull(tmp_path, nothing, tls=certificate(tmp_path))
    assert result == "pulled"
    assert seen == ["HEAD manifests", "GET manifests", "GET blobs", "GET blobs"]


def test_a_name_that_cannot_be_found(tmp_path: Path) -> None:
    async def run() -> str:
        store = ImageStore(tmp_path / "node", Profile.load("containerd-2.3"), Platform("amd64"), privileged=False)
        try:
            await store.pull("registry.invalid/lab/app:v1")
        except CriError as error:
            return str(error)
        finally:
            await store.close()
        return ""

    assert asyncio.run(run()) == (
        'failed to pull and unpack image "registry.invalid/lab/app:v1": failed to resolve image: failed to do request: '
        'Head "https://registry.invalid/v2/lab/app/manifests/v1": dial tcp: lookup registry.invalid: no such host'
    )


def test_manifests_of_the_wrong_kind(tmp_path: Path) -> None:
    async def index_as_manifest(request: web.Request) -> web.Response | None:
        if "/manifests/" not in request.path:
            return None
        body = EMPTY_INDEX
        headers = {"Content-Type": MANIFEST, "Docker-Content-Digest": digest_of(body)}
        return web.Response(body=body, headers=headers)

    assert pull(tmp_path, index_as_manifest)[0].endswith(
        f"children: invalid desc {digest_of(EMPTY_INDEX)}: media-type: expected manifest but found index ({MANIFEST})"
    )


def test_a_registry_that_hung_up_is_asked_over_http_again(tmp_path: Path) -> None:
    told: list[str] = []

    async def hang_up(request: web.Request) -> web.Response | None:
        if not told:
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        return None

    async def run() -> list[str]:
        store = ImageStore(tmp_path / "node", Profile.load("containerd-2.3"), Platform("amd64"), privileged=False)
        async with serving(hang_up) as (address, _):
            for _ in range(2):
                try:
                    told.append((await store.pull(f"{address}/lab/app:v1")).target)
                except CriError as error:
                    told.append(str(error).replace(address, "REGISTRY"))
        await store.close()
        return told

    first, second = asyncio.run(run())
    assert first == f'{RESOLVING}failed to do request: Head "http://REGISTRY/v2/lab/app/manifests/v1": EOF'
    assert second == digest_of(DOCUMENT)
