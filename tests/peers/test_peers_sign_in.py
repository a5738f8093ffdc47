"""Programs that sign in to the registry, push and pull over https: with a user name and a password, as to ACR too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from peer_programs import run

import emulator
import packager

ACR = "tokens: {ci: {password: s3cret, repositories: {'*': [content/read, content/write]}}}"


@dataclass(frozen=True)
class Client:
    """A program, and how it is told whom to trust and where to keep what it signs in with."""

    name: str
    host: str
    ca: Path
    home: Path

    @property
    def environment(self) -> dict[str, object]:
        return {
            "SSL_CERT_FILE": self.ca,  # crane, as every Go program
            "REQUESTS_CA_BUNDLE": self.ca,  # imgvol
            "DOCKER_CONFIG": self.home,
            "HOME": self.home,
            "no_proxy": self.host.partition(":")[0],
        }

    def __call__(self, *arguments: object, fails: bool = False, told: str = "", trusting: bool = True) -> str:
        by_variable = {} if trusting else {"SSL_CERT_FILE": "", "REQUESTS_CA_BUNDLE": ""}
        environment = {**self.environment, **by_variable}
        by_option = [one for one in arguments if trusting or not (self.ca.name in str(one) or "cert-dir" in str(one))]
        return run(self.name, *by_option, fails=fails, told=told, env=environment)

    @property
    def authfile(self) -> str:
        return f"--authfile={self.home}/config.json"

    def login(self, password: str, **options: bool) -> None:
        """Sign in by a password that comes by standard input."""
        user = [self.host, "--username=ci", "--password-stdin"]
        commands: dict[str, list[object]] = {
            "imgvol": ["login", *user],
            "oras": ["login", *user, f"--ca-file={self.ca}"],
            "crane": ["auth", "login", *user],
            "skopeo": ["login", *user, f"--cert-dir={self.ca.parent}", self.authfile],
        }
        self(*commands[self.name], told=f"{password}\n", **options)

    def push(self, layout: Path, repository: str, **options: bool) -> None:
        """Push an image by its layout, under the tag v1."""
        reference, certs = f"{self.host}/{repository}:v1", f"--dest-cert-dir={self.ca.parent}"
        commands: dict[str, list[object]] = {
            "imgvol": ["push", layout, reference],
            "oras": ["cp", "--from-oci-layout", f"{layout}:v1", f"--to-ca-file={self.ca}", reference],
            "crane": ["push", "--index", layout, reference],
            "skopeo": ["copy", "--all", self.authfile, certs, f"oci:{layout}:v1", f"docker://{reference}"],
        }
        self(*commands[self.name], **options)

    def pull(self, repository: str, layout: Path) -> None:
        """Pull what is tagged v1, with every blob, into a layout."""
        reference, certs = f"{self.host}/{repository}:v1", f"--src-cert-dir={self.ca.parent}"
        commands: dict[str, list[object]] = {
            "imgvol": ["copy", reference, layout],
            "oras": ["cp", f"--from-ca-file={self.ca}", reference, "--to-oci-layout", f"{layout}:v1"],
            "crane": ["pull", "--format=oci", reference, layout],
            "skopeo": ["copy", "--all", self.authfile, certs, f"docker://{reference}", f"oci:{layout}:v1"],
        }
        self(*commands[self.name])


@pytest.fixture(scope="module", params=["basic", "acr"])
def secured(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    # To Linux 0.0.0.0 is this machine, and to imgvol no loopback address, to which alone it speaks plain http.
    names = ["0.0.0.0"]
    if request.param == "basic":
        options: dict[str, Any] = {"registry_auth": "basic", "username": "ci", "password": "s3cret"}
    else:
        config = tmp_path_factory.mktemp("acr") / "acr.yaml"
        config.write_text(ACR)
        options = {"acr_config": config}
    with emulator.start_registry(tls=True, tls_names=names, **options) as running:
        yield running


@pytest.mark.parametrize("name", ["imgvol", "oras", "crane", "skopeo"])
def test_sign_in_and_push_over_https(secured: Any, content: Path, tmp_path: Path, name: str) -> None:
    host, port = secured.registry.split(":")
    client = Client(name, f"{'0.0.0.0' if name == 'imgvol' else host}:{port}", secured.ca, tmp_path / "home")
    client.home.mkdir()
    layout, back, repository = tmp_path / "layout", tmp_path / "back", f"signed-in/{name}"
    packed = packager.pack(content, layout)
    tag_layout(layout)

    checks = name != "crane"  # which stores whatever it is told
    client.login("s3cret", trusting=False, fails=checks)
    client.login("wrong", fails=checks)
    client.push(layout, repository, fails=True)
    client.login("s3cret")
    client.push(layout, repository, trusting=False, fails=True)
    client.push(layout, repository)
    client.pull(repository, back)
    assert blobs(back) >= blobs(layout)
    assert packed.digest.removeprefix("sha256:") in blobs(back)


def tag_layout(layout: Path) -> None:
    """Name the one image of a layout v1, as oras and skopeo want it named."""
    index = json.loads((layout / "index.json").read_text())
    for entry in index["manifests"]:
        entry.setdefault("annotations", {})["org.opencontainers.image.ref.name"] = "v1"
    (layout / "index.json").write_text(json.dumps(index))


def blobs(layout: Path) -> set[str]:
    return {path.name for path in (layout / "blobs" / "sha256").iterdir()}
