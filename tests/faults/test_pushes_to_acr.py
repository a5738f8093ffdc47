"""The same promises of Azure Container Registry: sign-in that fails, tokens that expire, blobs from another host."""

import itertools

import pytest
from acr_on_a_bad_day import LIFETIMES, NARROW, PASSWORD, PULLING, PUSHING, SIGN_IN, WAYS, bad_day
from faulty_promises import DEEDS, attempt, check_copy, check_push, faults, tagged_digest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import packager

_SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _keeps_secrets(served, said):
    """No token is in what the user reads, and none went to the host that blobs are downloaded from."""
    assert "eyJ" not in said
    assert PASSWORD not in said
    downloads = [seen for seen in served.registry.journal if seen.path.startswith("/download/") and not seen.fault]
    assert 400 not in {seen.status for seen in downloads}


@_SETTINGS
@given(
    faults=faults(PUSHING, min_size=0),
    lifetimes=LIFETIMES,
    way=st.sampled_from(sorted(WAYS)),
    mode=st.sampled_from(["auto", "chunked", "single"]),
    mount=st.booleans(),
)
def test_a_push_ends_right_or_in_a_clear_error(acr_place, faults, lifetimes, way, mode, mount):
    served, tree = acr_place
    name = tree.fresh()
    if mount:
        packager.push(tree.path, f"{served.host}/mounted/{name}:v1", auth=WAYS["password"](served))

    def push(reference):
        mounts = [f"mounted/{name}"] if mount else []
        return packager.push(tree.path, reference, auth=WAYS[way](served), upload_mode=mode, mount_from=mounts)

    bad_day(served, faults, lifetimes)
    said = check_push(served, f"acr/{name}", push)
    _keeps_secrets(served, said)


@pytest.mark.slow
@pytest.mark.parametrize("operation", PUSHING)
def test_every_deed_at_every_step(acr_place, operation):
    served, tree = acr_place
    for deed, times in itertools.product(DEEDS, ({}, {"first": 1})):
        name = tree.fresh()
        bad_day(served, [{"match": {"operation": operation}, "times": times, **deed}], {})
        said = check_push(
            served,
            f"steps/{name}",
            lambda reference: packager.push(tree.path, reference, auth=WAYS["identity"](served)),
        )
        _keeps_secrets(served, said)


@pytest.mark.parametrize("way", sorted(WAYS))
def test_tokens_that_expire_in_the_middle_are_renewed(acr_place, way):
    served, tree = acr_place
    repository = f"renewed/{tree.fresh()}"
    credentials = WAYS[way](served)
    bad_day(served, [], {"access": 12})
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
    packager.push(tree.path, reference, auth=WAYS["password"](served))
    return reference


@_SETTINGS
@given(faults=faults(PULLING, min_size=0), lifetimes=LIFETIMES, way=st.sampled_from(sorted(WAYS)))
def test_a_copy_ends_whole_or_in_a_clear_error(acr_place, pushed, tmp_path, faults, lifetimes, way):
    served, _ = acr_place
    bad_day(served, faults, lifetimes)
    said = check_copy(
        served, pushed, tmp_path / "copy", lambda source, path: packager.copy(source, path, auth=WAYS[way](served))
    )
    _keeps_secrets(served, said)


@_SETTINGS
@given(
    faults=faults([*SIGN_IN, "ping"], min_size=0),
    lifetimes=LIFETIMES,
    way=st.sampled_from(sorted(WAYS)),
    right=st.booleans(),
)
def test_what_is_not_checked_is_not_stored(acr_place, tmp_path, faults, lifetimes, way, right):
    served, _ = acr_place
    stored = tmp_path / "config.json"
    stored.unlink(missing_ok=True)
    credentials = WAYS[way](served)
    if not right:
        credentials = packager.Credentials(credentials.username, "wrong")
    bad_day(served, faults, lifetimes)
    signed_in, said = attempt(
        served, lambda: packager.login(served.host, credentials, environ={"DOCKER_CONFIG": str(tmp_path)})
    )
    assert stored.exists() == (signed_in is not None)
    assert signed_in is None or (right and signed_in.checked)
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
    bad_day(served, token_faults, lifetimes)
    reference, sign_in = f"{served.host}/{repository}:v1", {**WAYS, **NARROW}[way]
    _, said = attempt(served, lambda: packager.push(tree.path, reference, auth=sign_in(served)))
    assert sentence.replace("HOST", served.host).replace("REPOSITORY", repository) in said
    assert tagged_digest(served, repository) is None
    _keeps_secrets(served, said)
