from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from emulator.node.kubelet.credentials import Keyring


def secret(auths: dict[str, Any], name: str = "pull", kind: str = "dockerconfigjson") -> dict[str, Any]:
    content = {"auths": auths} if kind == "dockerconfigjson" else auths
    return {
        "metadata": {"name": name, "namespace": "ns", "uid": f"uid-{name}"},
        "type": f"kubernetes.io/{kind}",
        "data": {f".{kind}": base64.b64encode(json.dumps(content).encode()).decode()},
    }


def entry(user: str, password: str = "secret") -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def users(keyring: Keyring, repository: str) -> list[str]:
    return [each.username for each in keyring.lookup(repository)]


@pytest.mark.parametrize(
    ("location", "repository", "matches"),
    [
        ("127.0.0.1:5000", "127.0.0.1:5000/lab/ok", True),
        ("http://127.0.0.1:5000", "127.0.0.1:5000/lab/ok", True),
        ("https://127.0.0.1:5000/v2/", "127.0.0.1:5000/lab/ok", True),
        ("127.0.0.1:5000", "127.0.0.1:5001/lab/ok", False),
        ("127.0.0.1", "127.0.0.1:5000/lab/ok", False),
        ("127.0.0.1:5000/lab", "127.0.0.1:5000/lab/ok", True),
        ("127.0.0.1:5000/lab/ok", "127.0.0.1:5000/lab/ok", True),
        ("127.0.0.1:5000/other", "127.0.0.1:5000/lab/ok", False),
        ("*.azurecr.io", "demo.azurecr.io/engine", True),
        ("*.azurecr.io", "a.b.azurecr.io/engine", False),
        ("demo.azurecr.io", "demo.azurecr.io.evil.example/engine", False),
        ("https://index.docker.io/v1/", "docker.io/library/busybox", True),
    ],
)
def test_a_location_matches_as_the_kubelet_matches_it(location: str, repository: str, matches: bool) -> None:
    keyring = Keyring([secret({location: entry("me")})])
    assert users(keyring, repository) == (["me"] if matches else [])


def test_several_secrets_are_tried_in_order_and_the_longest_location_first() -> None:
    keyring = Keyring(
        [
            secret({"r:1": entry("first"), "r:1/lab": entry("deeper")}, "one"),
            secret({"r:1": entry("second")}, "two"),
        ]
    )
    assert users(keyring, "r:1/lab/ok") == ["deeper", "first", "second"]
    assert users(keyring, "r:1/x") == ["first", "second"]


def test_user_name_and_password_may_stand_by_themselves_and_the_old_format_counts() -> None:
    keyring = Keyring([secret({"r:1": {"username": "me", "password": "pw:x"}}, kind="dockercfg")])
    (found,) = keyring.lookup("r:1/a")
    assert (found.username, found.password, found.secret.uid) == ("me", "pw:x", "uid-pull")


def test_a_password_may_hold_colons() -> None:
    (found,) = Keyring([secret({"r:1": entry("me", "a:b")})]).lookup("r:1/a")
    assert found.password == "a:b"


def test_a_secret_of_another_type_gives_nothing() -> None:
    assert Keyring([secret({"r:1": entry("me")}) | {"type": "Opaque"}]).lookup("r:1/a") == ()


def test_what_is_no_docker_configuration_is_refused_by_name() -> None:
    broken = secret({}) | {"data": {".dockerconfigjson": base64.b64encode(b"{").decode()}}
    with pytest.raises(ValueError, match="ns/pull"):
        Keyring([broken])


def test_a_password_does_not_show() -> None:
    assert "hunter2" not in repr(Keyring([secret({"r:1": entry("me", "hunter2")})]).lookup("r:1/a"))
