from __future__ import annotations

from emulator.node.kubelet.credentials import ImageCredential, SecretKey
from emulator.node.kubelet.pulled import PulledImages


def credential(password: str = "right", name: str = "one", uid: str = "1") -> ImageCredential:
    return ImageCredential("me", password, SecretKey("ns", name, uid))


def test_an_image_that_was_there_before_is_open_to_all() -> None:
    assert not PulledImages().must_pull("sha256:1", "r/a", [])


def test_an_image_pulled_without_credentials_is_open_to_all() -> None:
    pulled = PulledImages()
    pulled.record("sha256:1", "r/a", None)
    assert not pulled.must_pull("sha256:1", "r/a", [])
    assert not pulled.must_pull("sha256:1", "r/a", [credential()])


def test_an_image_pulled_with_a_secret_needs_one() -> None:
    pulled = PulledImages()
    pulled.record("sha256:1", "r/a", credential())
    assert pulled.must_pull("sha256:1", "r/a", [])
    assert pulled.must_pull("sha256:1", "r/a", [credential("wrong", "two", "2")])
    assert not pulled.must_pull("sha256:1", "r/a", [credential()])


def test_another_secret_with_the_same_credential_is_proof() -> None:
    pulled = PulledImages()
    pulled.record("sha256:1", "r/a", credential())
    assert not pulled.must_pull("sha256:1", "r/a", [credential(name="two", uid="2")])


def test_the_same_secret_with_a_new_credential_is_proof_and_stays_it() -> None:
    pulled = PulledImages()
    pulled.record("sha256:1", "r/a", credential())
    assert not pulled.must_pull("sha256:1", "r/a", [credential("renewed")])
    assert not pulled.must_pull("sha256:1", "r/a", [credential("renewed", "two", "2")])


def test_a_recreated_secret_is_another_one() -> None:
    pulled = PulledImages()
    pulled.record("sha256:1", "r/a", credential())
    assert pulled.must_pull("sha256:1", "r/a", [credential("other", uid="recreated")])


def test_access_is_by_repository_even_for_the_same_image() -> None:
    pulled = PulledImages()
    pulled.record("sha256:1", "open/a", None)
    assert pulled.must_pull("sha256:1", "private/a", [])
