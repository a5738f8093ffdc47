"""References: what is understood, and how what is not is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import packager
from packager.platforms import Platform, parse_platforms
from packager.references import Reference

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "reference", "api"),
    [
        (
            "127.0.0.1:5000/lab/content:v1",
            Reference("127.0.0.1:5000", "lab/content", "v1"),
            "http://127.0.0.1:5000/v2/lab/content",
        ),
        (f"localhost/c@{DIGEST}", Reference("localhost", "c", "", DIGEST), "http://localhost/v2/c"),
        ("[::1]:5000/c", Reference("[::1]:5000", "c", "latest"), "http://[::1]:5000/v2/c"),
        (
            f"demo.azurecr.io/project-content:v1.0.0@{DIGEST}",
            Reference("demo.azurecr.io", "project-content", "v1.0.0", DIGEST),
            "https://demo.azurecr.io/v2/project-content",
        ),
        (
            "registry:443/a__b/c-d.e",
            Reference("registry:443", "a__b/c-d.e", "latest"),
            "https://registry:443/v2/a__b/c-d.e",
        ),
        (
            "docker.io/busybox:1",
            Reference("docker.io", "busybox", "1"),
            "https://registry-1.docker.io/v2/library/busybox",
        ),
        ("10.0.0.1:5000/c:v1", Reference("10.0.0.1:5000", "c", "v1"), "https://10.0.0.1:5000/v2/c"),
        (
            "localhost.evil.example/c:v1",
            Reference("localhost.evil.example", "c", "v1"),
            "https://localhost.evil.example/v2/c",
        ),
    ],
)
def test_understood(text: str, reference: Reference, api: str) -> None:
    assert Reference.parse(text) == reference
    assert reference.api == api


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it does not begin with a registry"),
        ("content:v1", "it does not begin with a registry"),
        ("lab/content:v1", "it does not begin with a registry"),
        ("https://demo.azurecr.io/c:v1", "leave out the scheme"),
        ("demo.azurecr.io/Content:v1", "a repository is in lower case"),
        ("demo.azurecr.io/c:", "'' is not a tag"),
        ("demo.azurecr.io/c:v 1", "'v 1' is not a tag"),
        ("demo.azurecr.io/c:" + "v" * 129, "is not a tag"),
        ("demo.azurecr.io/", "'' is not a repository"),
        ("demo.azurecr.io/a//b", "'a//b' is not a repository"),
        ("demo.azurecr.io/../b", "'../b' is not a repository"),
        ("demo.azurecr.io/c@sha256:12", "a digest is sha256: and 64"),
        ("demo.azurecr.io/c@", "a digest is sha256: and 64"),
        ("demo.azurecr.io/c@sha512:" + "0" * 128, "a digest is sha256: and 64"),
        ("127.0.0.1:99999/c:v1", "'127.0.0.1:99999' is not a host and port"),
        ("user@demo.azurecr.io/c", "a digest is"),
        ("demo.azurecr.io\n/c", "is not a host and port"),
    ],
)
def test_refused(text: str, why: str) -> None:
    with pytest.raises(packager.UsageError) as refused:
        Reference.parse(text)
    assert why in str(refused.value)
    assert "\n" not in str(refused.value)


@given(st.text(max_size=60))
def test_any_text_is_understood_or_refused(text: str) -> None:
    try:
        reference = Reference.parse(text)
    except packager.UsageError:
        return
    assert Reference.parse(str(reference)) == reference


@pytest.mark.parametrize(
    ("texts", "platforms"),
    [
        (["linux/arm64,linux/amd64"], ["linux/amd64", "linux/arm64"]),
        (["linux/amd64", "linux/amd64"], ["linux/amd64"]),
        (["linux/arm64/v8"], ["linux/arm64"]),
        (["linux/arm/v7"], ["linux/arm/v7"]),
    ],
)
def test_platforms(texts: list[str], platforms: list[str]) -> None:
    assert [str(platform) for platform in parse_platforms(texts)] == platforms


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        ("linux/x86_64", "did you mean linux/amd64?"),
        ("aarch64", "did you mean linux/arm64?"),
        ("amd64", "write OS/ARCHITECTURE"),
        ("linux/amd46", "write OS/ARCHITECTURE"),
        ("linux/", "write OS/ARCHITECTURE"),
        ("", "write OS/ARCHITECTURE"),
        ("linux/arm/7", "write OS/ARCHITECTURE"),
    ],
)
def test_platforms_that_are_refused(text: str, mend: str) -> None:
    with pytest.raises(packager.UsageError) as refused:
        Platform.parse(text)
    assert mend in str(refused.value)
