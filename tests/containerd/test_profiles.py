"""Runtime profiles: data, inherited, complete."""

from __future__ import annotations

import re

import pytest

from emulator.node.containerd import Profile, ProfileError


def test_versions_and_what_they_can() -> None:
    told = {name: Profile.load(name) for name in Profile.names()}
    assert {name: (p.version, p.image_volumes, p.subpath) for name, p in told.items()} == {
        "containerd-2.0": ("2.0.14", False, False),
        "containerd-2.1": ("2.1.9", True, False),
        "containerd-2.2": ("2.2.9", True, True),
        "containerd-2.3": ("2.3.7", True, True),
        "containerd-2.4": ("2.4.2", True, True),
        "kubernetes-1.37-containerd-2.3": ("2.3.7", True, True),
    }


def test_every_profile_says_everything() -> None:
    messages = {name: Profile.load(name).messages for name in Profile.names()}
    complete = messages["containerd-2.3"]
    for name, own in messages.items():
        assert set(own) == set(complete), name
        assert not any("\n" in text for text in own.values()), name
    blanks = {key: set(re.findall(r"{(\w+)}", text)) for key, text in complete.items()}
    assert blanks["extract"] == {"media_type", "digest", "key"}


def test_an_unknown_profile_is_refused_by_name() -> None:
    with pytest.raises(
        ProfileError, match=r"there is no runtime profile 'containerd-9'; choose one of containerd-2\.0"
    ):
        Profile.load("containerd-9")
    with pytest.raises(ProfileError):
        Profile.load("../profiles/containerd-2.3")


def test_the_kubelet_of_1_37_leaves_the_volumes_of_ended_pods_alone() -> None:
    told = {name: (p.kubernetes, p.volumes_of_ended_pods) for name in Profile.names() if (p := Profile.load(name))}
    assert told.pop("kubernetes-1.37-containerd-2.3") == ("1.37.2", False)
    assert set(told.values()) == {("1.36.3", True)}
