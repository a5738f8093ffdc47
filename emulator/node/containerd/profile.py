"""What differs between runtime versions, as data: `emulator/profiles/*.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import yaml

__all__ = ["Dialogue", "Profile", "ProfileError"]

_FOLDER = Path(__file__).parents[2] / "profiles"
PullService = Literal["transfer", "client"]


@dataclass(frozen=True)
class Dialogue:
    """How a version talks to a registry that fails: requests it makes of one in all, whether it repeats one that met a
    server's error once, or a connection that broke, and whether it asks by GET what a refused HEAD was about.
    """

    attempts: int
    server_errors: bool
    broken_connections: bool
    explained_refusals: bool


class ProfileError(ValueError):
    """There is no such runtime profile, or its file is wrong; the text is one sentence."""


@dataclass(frozen=True)
class Profile:
    """One version of the runtime.

    `version` is the one recorded ("2.3.7"); `pull_service` says which of containerd's two pull paths the CRI plugin
    takes; `image_volumes` whether it mounts images at all, and `subpath` whether it heeds an image volume's
    subPath (otherwise the whole image appears). `kubernetes` is the version of the kubelet beside it, and
    `volumes_of_ended_pods` says whether that looks at volumes' images where no container is to be started.
    """

    name: str
    version: str
    pull_service: PullService
    image_volumes: bool
    subpath: bool
    kubernetes: str
    volumes_of_ended_pods: bool
    messages: Mapping[str, str]
    dialogue: Dialogue

    @classmethod
    def load(cls, name: str) -> Profile:
        """Read a profile by its name, "containerd-2.3".

        Raises:
            ProfileError: there is none of that name.
        """
        fields = _read(name)
        messages = cast("dict[str, str]", fields["messages"])
        capabilities = cast("dict[str, bool]", fields["capabilities"])
        return cls(
            name=name,
            version=str(fields["version"]),
            pull_service=cast("PullService", fields["pull-service"]),
            image_volumes=capabilities["image-volumes"],
            subpath=capabilities["subpath"],
            dialogue=Dialogue(**{key.replace("-", "_"): value for key, value in fields["dialogue"].items()}),
            kubernetes=str(fields["kubernetes"]),
            volumes_of_ended_pods=capabilities["volumes-of-ended-pods"],
            messages={key: " ".join(text.split("\n")) for key, text in messages.items()},
        )

    @staticmethod
    def names() -> list[str]:
        """The profiles there are."""
        return sorted(path.stem for path in _FOLDER.glob("*.yaml"))

    def say(self, message: str, **values: object) -> str:
        """A message of this version with its blanks filled in."""
        return self.messages[message].format(**values)


def _read(name: str) -> dict[str, Any]:
    path = _FOLDER / f"{name}.yaml"
    if name not in Profile.names():
        raise ProfileError(f"there is no runtime profile {name!r}; choose one of {', '.join(Profile.names())}")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    fields = cast("dict[str, Any]", yaml.load(path.read_text(), Loader=loader))  # noqa: S506 - a safe loader
    base = fields.pop("extends", None)
    if base is None:
        return fields
    inherited = _read(base)
    for key, value in fields.items():
        inherited[key] = {**inherited[key], **value} if isinstance(value, dict) else value
    return inherited
