"""The same promises of Azure Container Registry: sign-in that fails, tokens that expire, blobs from another host."""

import json
import urllib.request
from types import SimpleNamespace

import pytest
from faulty_promises import OPERATIONS, attempt, check_copy, check_push, faults, tagged_digest
from faulty_served import Served
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import packager
from emulator.clock import Clock
from emulator.registry.acr import NULL_GUID, parse_config

_PASSWORD = "c4n4ry-t0-be-seen-n0where"
_ACR = f"""
identities:
  developer: {{roles: [AcrPush]}}
  reader: {{roles: [AcrPull]}}
tokens:
  narrow: {{password: {_PASSWORD}, repositories: {{"*": content/read}}}}
  ci: {{password: {_PASSWORD}, repositories: {{"*": [content/read, content/write, metadata/read]}}}}
"""
_SIGN_IN = ["exchange", "token"]
_PUSHING = [*_SIGN_IN, *OPERATIONS]
_PULLING = [*_SIGN_IN, "blob-get", "blob-download", "manifest-get", "*"]
# In looks at the registry's clock, of which every request takes a few.
_LIFETIMES = st.fixed_dictionaries({}, optional={"access": st.integers(0, 60), "refresh": st.integers(0, 120)})
_SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class _Ticking(Clock):
    """Every look at it takes a second: what expires does so after so many requests, however busy the machine is."""

    def __init__(self):
        super().__init__()
        self._seconds = 0

    def now(self):
        self._seconds += 1
        return self._seconds

    async def sleep(self, seconds):
        self._seconds += seconds


class _Entra:
    """Stands in for one of azure-identity's credentials."""

    def __init__(self, control, identity):
        self._control, self._identity = control, identity

    def get_token(self, *scopes):
        (scope,) = scopes
        url = f"{self._control}/metadata/identity/oauth2/token?client_id={self._identity}&resource={scope[:-9]}"
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Metadata": "true"}), timeout=30) as answer:
            return SimpleNamespace(token=json.load(answer)["access_token"])


def _identity(served, name="developer"):
    return packager.azure_credentials(served.host, _Entra(served.control, name))


_WAYS = {
    "identity": _identity,
    "exposed token": lambda served: packager.Credentials(NULL_GUID, _identity(served).password),
    "password": lambda _: packager.Credentials("ci", _PASSWORD),
}
_NARROW = {
    "reader": lambda served: _identity(served, "reader"),
    "narrow": lambda _: packager.Credentials("narrow", _PASSWORD),
}


@pytest.fixture(scope="module")
def acr_place(tmp_path_factory, tree):
    """A registry that plays ACR, and a tree to push."""
    served = Served(tmp_path_factory.mktemp("acr") / "registry", acr=parse_config(_ACR, "acr.yaml"), clock=_Ticking())
    yield served, tree
    served.close()


def _bad_day(served, faults, lifetimes):
    tokens = {"tokens": {kind: f"{seconds}s" for kind, seconds in lifetimes.items()}}
    served.faults(*faults, **(tokens if lifetimes else {}))


def _keeps_secrets(served, said):
    """No token is in what the user reads, and none went to the host that blobs are downloaded from."""
    assert "eyJ" not in said
    assert _PASSWORD not in said
    downloads = [seen for seen in served.registry.journal if seen.path.startswith("/download/") and not seen.fault]
    assert 400 not in {seen.status for seen in downloads}


@_SETTINGS
@given(
    faults=faults(_PUSHING, min_size=0),
    lifetimes=_LIFETIMES,
    way=st.sampled_from(sorted(_WAYS)),
    mode=st.sampled_from(["auto", "chunked", "single"]),
    mount=st.booleans(),
)
def test_a_push_ends_right_or_in_a_clear_error(acr_place, faults, lifetimes, way, mode, mount):
    served, tree = acr_place
    name = tree.fresh()
    if mount:
        packager.push(tree.path, f"{served.host}/mounted/{name}:v1", auth=_WAYS["password"](served))

    def push(reference):
        mounts = [f"mounted/{name}"] if mount else []
        return packager.push(tree.path, reference, auth=_WAYS[way](served), upload_mode=mode, mount_from=mounts)

    _bad_day(served, faults, lifetimes)
    said = check_push(served, f"acr/{name}", push)
    _keeps_secrets(served, said)


@pytest.mark.parametrize("way", sorted(_WAYS))
def test_tokens_that_expire_in_the_middle_are_renewed(acr_place, way):
    served, tree = acr_place
    repository = f"renewed/{tree.fresh()}"
    credentials = _WAYS[way](served)
    _bad_day(served, [], {"access": 12})
    pushed, said = attempt(
        served,
        lambda: packager.push(tree.path, f"{served.host}/{repository}:v1", auth=credentials, upload_mode="chunked"),
    )
    assert (said, tagged_digest(served, repository)) == ("", pushed.digest)
    asked = [seen for seen in served.registry.journal if seen.path == "/oauth2/token"]
    assert len(asked) > 3
    assert {seen.status for seen in asked} == {200}


@pytest.fixture(scope="module")
def pushed(acr_place):
    """An image in that registry, by its tag."""
    served, tree = acr_place
    tree.fresh()
    reference = f"{served.host}/pulled:v1"
    packager.push(tree.path, reference, auth=_WAYS["password"](served))
    return reference


@_SETTINGS
@given(faults=faults(_PULLING, min_size=0), lifetimes=_LIFETIMES, way=st.sampled_from(sorted(_WAYS)))
def test_a_copy_ends_whole_or_in_a_clear_error(acr_place, pushed, tmp_path, faults, lifetimes, way):
    served, _ = acr_place
    _bad_day(served, faults, lifetimes)
    said = check_copy(
        served, pushed, tmp_path / "copy", lambda source, path: packager.copy(source, path, auth=_WAYS[way](served))
    )
    _keeps_secrets(served, said)


_REFUSALS = {
    "a reader does not push": (
        "reader", [], {}, "forbids this to this identity; it takes repository:REPOSITORY:pull,push"
    ),
    "a token that is narrower does not push": (
        "narrow", [], {}, "forbids this to 'narrow'; it takes repository:REPOSITORY:pull,push"
    ),
    "a token has expired before it is used": (
        "password", [], {"access": 0}, "does not accept the token that it gave for this just now; do its clock and its"
    ),
    "a refresh token has expired": (
        "identity", [], {"refresh": 0}, "does not accept the identity token; it may have expired: sign in anew"
    ),
    "an exposed token has expired": (
        "exposed token", [], {"refresh": 0}, "does not accept the identity token; it may have expired: sign in anew"
    ),
    "there is no token service": (
        "password", [{"status": 404}], {}, "cannot get a token for HOST from HOST: it answered 404 (NAME_UNKNOWN"
    ),
    "a token's answer makes no sense": (
        "password", [{"truncate": "50%"}], {}, "cannot get a token for HOST from HOST: its answer is not JSON"
    ),
    "a token is missing from its answer": (
        "password", [{"truncate": 0}], {}, "cannot get a token for HOST from HOST: its answer is not JSON"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", _REFUSALS)
def test_who_is_refused_reads_why(acr_place, case):
    served, tree = acr_place
    way, deeds, lifetimes, sentence = _REFUSALS[case]
    repository = f"refused/{tree.fresh()}"
    token_faults = [{"match": {"operation": "token"}, **deed} for deed in deeds]
    _bad_day(served, token_faults, lifetimes)
    reference, sign_in = f"{served.host}/{repository}:v1", {**_WAYS, **_NARROW}[way]
    _, said = attempt(served, lambda: packager.push(tree.path, reference, auth=sign_in(served)))
    assert sentence.replace("HOST", served.host).replace("REPOSITORY", repository) in said
    assert tagged_digest(served, repository) is None
    _keeps_secrets(served, said)
