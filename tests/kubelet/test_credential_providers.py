"""Credential providers as a kubelet runs them: real programs, and what it makes of their answers."""

import asyncio
import contextlib
import json
import logging
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from emulator.clock import Clock
from emulator.node.kubelet.credentials import matches
from emulator.node.kubelet.providers import CredentialProviders, ProviderConfigError, read_config

API = "credentialprovider.kubelet.k8s.io/v1"
RESPONSE = {
    "kind": "CredentialProviderResponse",
    "apiVersion": API,
    "cacheKeyType": "Registry",
    "cacheDuration": "60m",
    "auth": {"registry.example": {"username": "u", "password": "p"}},
}


class StoppedClock(Clock):
    """A clock that stands still until it is set."""

    at = 0.0

    def now(self):
        return self.at


class Lab:
    """A provider whose program notes each request, and prints or does what a test says."""

    def __init__(self, path, **options):
        self.path = path
        self.clock = StoppedClock()
        (path / "bin").mkdir()
        self.options = options

    def program(self, *lines, name="plugin"):
        program = self.path / "bin" / name
        program.write_text("#!/bin/sh\n" + f'cat >> "{self.path}/requests"\n' + "\n".join(lines) + "\n")
        program.chmod(0o755)

    def answers(self, response, name="plugin"):
        text = response if isinstance(response, str) else json.dumps(response)
        self.program(f"cat <<'END'\n{text}\nEND", name=name)

    def providers(self, *more, **changes):
        one = {
            "name": "plugin",
            "apiVersion": API,
            "matchImages": ["registry.example", "*.cr.example"],
            "defaultCacheDuration": "10m",
        }
        config = {"apiVersion": "kubelet.config.k8s.io/v1", "kind": "CredentialProviderConfig"}
        path = self.path / "config.yaml"
        path.write_text(yaml.safe_dump({**config, "providers": [{**one, **changes}, *more]}))
        return CredentialProviders(read_config(path), self.path / "bin", self.clock, **self.options)

    @property
    def requests(self):
        try:
            return [json.loads(line) for line in (self.path / "requests").read_text().splitlines()]
        except FileNotFoundError:
            return []


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path)


def lookup(providers, image="registry.example/team/app"):
    return [(found.username, found.password) for found in asyncio.run(providers.lookup(image))]


def test_the_protocol(lab):
    lab.answers(RESPONSE)
    assert lookup(lab.providers()) == [("u", "p")]
    assert lab.requests == [
        {"kind": "CredentialProviderRequest", "apiVersion": API, "image": "registry.example/team/app"}
    ]


def test_arguments_and_environment(lab):
    lab.program(f'echo "$1 $2 $GREETING $HOME" > "{lab.path}/told"', "exit 1")
    env = [{"name": "GREETING", "value": "hello"}]
    lookup(lab.providers(args=["a b", "c"], env=env))
    assert (lab.path / "told").read_text().startswith("a b c hello /")


def test_an_image_that_does_not_match_is_not_asked_about(lab):
    lab.answers(RESPONSE)
    assert lookup(lab.providers(), "other.example/app") == []
    assert lab.requests == []


@pytest.mark.parametrize(
    ("pattern", "image", "fits"),
    [
        ("*.azurecr.io", "my.azurecr.io/app", True),
        ("*.azurecr.io", "azurecr.io/app", False),
        ("*.azurecr.io", "a.b.azurecr.io/app", False),
        ("*.*.geo.azurecr.*", "my.eastus.geo.azurecr.io/app", True),
        ("app*.k8s.io", "app7.k8s.io/x", True),
        ("registry.io:8080/path", "registry.io:8080/path/app", True),
        ("registry.io:8080", "registry.io/app", False),
        ("registry.io", "registry.io:8080/app", False),
        ("registry.io/foo", "registry.io/bar/app", False),
        ("127.0.0.1:5000", "127.0.0.1:5000/app", True),
    ],
)
def test_globs_match_one_label_each_and_the_path_is_a_prefix(pattern, image, fits):
    assert matches(pattern, image) is fits


@pytest.mark.parametrize(
    ("kind", "second", "asked"),
    [
        ("Image", "registry.example/team/app", 1),
        ("Image", "registry.example/other", 2),
        ("Registry", "registry.example/other", 1),
        ("Registry", "eu.cr.example/app", 2),
        ("Global", "eu.cr.example/app", 1),
    ],
)
def test_what_is_remembered_by_what(lab, kind, second, asked):
    lab.answers({**RESPONSE, "cacheKeyType": kind})
    providers = lab.providers()
    lookup(providers)
    lookup(providers, second)
    assert len(lab.requests) == asked


@pytest.mark.parametrize(
    ("duration", "lasts"),
    [("60m", 3600), ("1h30m0s", 5400), (None, 600), ("1500ms", 1.5)],
)
def test_how_long_it_is_remembered_on_the_emulators_clock(lab, duration, lasts):
    lab.answers({**RESPONSE, "cacheDuration": duration})
    providers = lab.providers()
    lookup(providers)
    lab.clock.at = lasts - 0.1
    assert lookup(providers) == [("u", "p")]
    assert len(lab.requests) == 1
    lab.clock.at = lasts
    lookup(providers)
    assert len(lab.requests) == 2


@pytest.mark.parametrize(("duration", "default"), [("0s", "10m"), (None, "0s")])
def test_what_is_not_to_be_remembered_is_not(lab, duration, default):
    lab.answers({**RESPONSE, "cacheDuration": duration})
    providers = lab.providers(defaultCacheDuration=default)
    lookup(providers)
    lookup(providers)
    assert len(lab.requests) == 2


def test_many_who_ask_for_one_image_at_once_run_the_program_once(lab):
    lab.answers(RESPONSE)
    providers = lab.providers()

    async def ask():
        return await asyncio.gather(*(providers.lookup("registry.example/app") for _ in range(5)))

    assert [len(found) for found in asyncio.run(ask())] == [1] * 5
    assert len(lab.requests) == 1


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["echo no luck >&2", "exit 1"], "plugin plugin for image registry.example/team/app: exit status 1: no luck"),
        (["kill -9 $$"], "registry.example/team/app: signal: killed: "),
        (["echo nonsense"], "error reading GVK from response: "),
        (["echo '[]'"], f"did not match expected apiVersion:{API}, actual apiVersion:"),
        ([f"""echo '{json.dumps({**RESPONSE, "apiVersion": "v2"})}'"""], "actual apiVersion:v2"),
        ([f"""echo '{json.dumps({**RESPONSE, "kind": "Pod"})}'"""], "error decoding credential provider"),
        ([f"""echo '{json.dumps({**RESPONSE, "cacheKeyType": "Pod"})}'"""], "did not return a valid cacheKeyType: Pod"),
        ([f"""echo '{json.dumps({**RESPONSE, "auth": {"a": 7}})}'"""], "error decoding credential provider"),
        ([f"""echo '{json.dumps({**RESPONSE, "cacheDuration": "soon"})}'"""], "error decoding credential provider"),
    ],
)  # fmt: skip
def test_a_provider_that_fails_is_logged_and_gives_nothing(lab, caplog, lines, says):
    lab.program(*lines)
    with caplog.at_level(logging.ERROR):
        assert lookup(lab.providers()) == []
    assert says in caplog.text


def test_a_program_that_is_not_there(lab, caplog):
    with caplog.at_level(logging.ERROR):
        assert lookup(lab.providers()) == []
    assert "/bin/plugin: no such file or directory" in caplog.text


def test_a_provider_that_takes_too_long_is_ended_with_all_it_started(tmp_path, caplog):
    lab = Lab(tmp_path, timeout=0.5)
    lab.program(f"sleep 600 & echo $! > {lab.path}/pid", "wait")
    with caplog.at_level(logging.ERROR):
        assert lookup(lab.providers()) == []
    assert "context deadline exceeded" in caplog.text
    # Reaped by whoever adopted it, or not yet: then it is a zombie.
    stat = Path("/proc") / (lab.path / "pid").read_text().strip() / "stat"
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        assert stat.read_text().split()[2] == "Z"


def test_a_password_is_in_no_log(lab, caplog):
    lab.answers(json.dumps({**RESPONSE, "kind": "Pod"}).replace('"p"', '"hidden-secret"'))
    with caplog.at_level(logging.DEBUG):
        lookup(lab.providers())
    assert "hidden-secret" not in caplog.text


def test_several_providers_and_the_longest_place_first(lab):
    lab.answers({**RESPONSE, "auth": {"*.example": {"username": "any", "password": "1"}}})
    lab.answers({**RESPONSE, "auth": {"registry.example": {"username": "own", "password": "2"}}}, name="other")
    other = {"name": "other", "apiVersion": API, "matchImages": ["registry.example"], "defaultCacheDuration": "1m"}
    assert lookup(lab.providers(other)) == [("own", "2"), ("any", "1")]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": "a/b"}, r"providers\[0\]\.name must be a file name without spaces, not 'a/b'"),
        ({"apiVersion": "v1"}, r"providers\[0\]\.apiVersion must be one of credentialprovider.kubelet.k8s.io/v1, "),
        ({"matchImages": []}, r"providers\[0\]\.matchImages: at least 1 item in matchImages is required"),
        ({"defaultCacheDuration": "soon"}, r"providers\[0\]\.defaultCacheDuration must be a duration"),
        ({"defaultCacheDuration": None}, r"providers\[0\]\.defaultCacheDuration must be a duration"),
        ({"tokenAttributes": {}}, r"tokenAttributes: service account tokens for providers are not emulated"),
        ({"matchImage": ["x"]}, r"providers\[0\] has no key 'matchImage'"),
        ({"env": ["A=b"]}, r"providers\[0\]\.env must be a list of name and value"),
    ],
)
def test_a_configuration_that_no_kubelet_starts_with(lab, changes, says):
    with pytest.raises(ProviderConfigError, match=says):
        lab.providers(**changes)


def test_two_providers_of_one_name(lab):
    twin = {"name": "plugin", "apiVersion": API, "matchImages": ["x"], "defaultCacheDuration": "1m"}
    with pytest.raises(ProviderConfigError, match="there are two providers called 'plugin'"):
        lab.providers(twin)


@given(st.integers(0, 100), st.integers(0, 59), st.integers(0, 59))
def test_go_durations(hours, minutes, seconds):
    from emulator.node.kubelet.providers import _seconds

    assert _seconds(f"{hours}h{minutes}m{seconds}s") == hours * 3600 + minutes * 60 + seconds
