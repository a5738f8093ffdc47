"""Which platforms a node takes (containerd/platforms)."""

from __future__ import annotations

import pytest

from emulator.node.containerd.platform import Matcher, Platform


@pytest.mark.parametrize(
    ("written", "normalized"),
    [
        (Platform("x86_64", "Linux"), Platform("amd64")),
        (Platform("amd64", variant="v1"), Platform("amd64")),
        (Platform("aarch64", variant="v8"), Platform("arm64")),
        (Platform("arm64", variant="9.0"), Platform("arm64", variant="v9")),
        (Platform("arm"), Platform("arm", variant="v7")),
        (Platform("armel"), Platform("arm", variant="v6")),
        (Platform("i386", variant="x"), Platform("386")),
        (Platform("amd64", "macos"), Platform("amd64", "darwin")),
        (Platform("", ""), Platform("", "linux")),
    ],
)
def test_one_spelling(written: Platform, normalized: Platform) -> None:
    assert written.normalized() == normalized


def test_an_amd64_node_runs_amd64_and_386_in_that_order() -> None:
    matcher = Matcher.compatible(Platform("amd64"))
    assert [matcher.rank(Platform(name)) for name in ("amd64", "386", "arm64", "")] == [0, 1, None, None]
    assert not matcher.matches(Platform("amd64", "windows"))


def test_newer_variants_run_older_ones() -> None:
    amd64 = Matcher.compatible(Platform("amd64", variant="v3"))
    assert [amd64.rank(Platform("amd64", variant=v)) for v in ("v3", "v2", "v1", "", "v4")] == [0, 1, 2, 2, None]
    arm64 = Matcher.compatible(Platform("arm64"))
    assert arm64.rank(Platform("arm64", variant="v8")) == 0
    assert [arm64.rank(Platform("arm", variant=v)) for v in ("v8", "v7", "v6", "v5")] == [1, 2, 3, 4]
    v9 = Matcher.compatible(Platform("arm64", variant="v9.1"))
    expected = ["v9.1", "v9", "v8.6", "v8.5", "v8.4", "v8.3", "v8.2", "v8.1", "v8"]
    assert [v9.rank(Platform("arm64", variant=v)) for v in expected] == list(range(9))
    assert v9.rank(Platform("arm64", variant="v8.7")) is None


def test_the_transfer_service_wants_the_very_platform() -> None:
    matcher = Matcher.exactly(Platform("amd64"))
    assert matcher.matches(Platform("x86-64"))
    assert not matcher.matches(Platform("386"))
