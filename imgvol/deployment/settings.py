"""The settings of a command, each a variable of the environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from imgvol.deployment.errors import UsageError

__all__ = ["ROOT", "Settings"]

ROOT = Path(__file__).parents[2]
"""The repository."""

_TARGETS = ("aks", "emulator", "kind")
_VARIANTS = ("sample", "production")
_BUILDS = ("tasks", "packager")
_TAG = re.compile(r"[a-z0-9]+(?:[._/-]+[a-z0-9]+)*:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_REGISTRY = re.compile(r"[a-zA-Z0-9]{3,50}")


@dataclass(frozen=True)
class Settings:
    """What the environment says; empty strings stand for what it does not say.

    `directory` is where targets that run here are remembered, `options` what `imgvol up` is given besides.
    """

    target: str = "aks"
    project_tag: str = "project-content:v1.0.0"
    variant: str = "sample"
    namespace: str = "default"
    digest: str = ""
    engine_build: str = ""
    acr_name: str = ""
    resource_group: str = ""
    aks_name: str = ""
    auto_approve: bool = False
    node_image: str = ""
    registry_image: str = ""
    options: str = ""
    directory: Path = ROOT / "build" / "target"
    terraform: Path = ROOT / "terraform"

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Settings:
        """The settings of an environment, where an empty variable is as good as none. Raises UsageError."""

        def given(name: str, otherwise: str = "") -> str:
            return environment.get(name) or otherwise

        target = _one_of("TARGET", given("TARGET", "aks"), _TARGETS)
        build = given("ENGINE_BUILD", "tasks" if target == "aks" else "packager")
        settings = cls(
            target=target,
            project_tag=given("PROJECT_TAG", cls.project_tag),
            variant=_one_of("VARIANT", given("VARIANT", cls.variant), _VARIANTS),
            namespace=given("NAMESPACE", cls.namespace),
            digest=given("DIGEST"),
            engine_build=_one_of("ENGINE_BUILD", build, _BUILDS),
            acr_name=given("ACR_NAME"),
            resource_group=given("RESOURCE_GROUP"),
            aks_name=given("AKS_NAME"),
            auto_approve=given("AUTO_APPROVE", "0") not in ("0", "no", "false"),
            node_image=given("NODE_IMAGE"),
            registry_image=given("REGISTRY_IMAGE"),
            options=given("UP"),
            directory=Path(given("TARGET_DIR", str(cls.directory))),
            terraform=Path(given("TERRAFORM_DIR", str(cls.terraform))),
        )
        if not _TAG.fullmatch(settings.project_tag):
            raise UsageError(f"PROJECT_TAG={settings.project_tag!r} is not NAME:TAG; an example: {cls.project_tag}")
        if settings.digest and not _DIGEST.fullmatch(settings.digest):
            raise UsageError(f"DIGEST={settings.digest!r} is not sha256: and 64 lower-case hexadecimal digits")
        if settings.acr_name and not _REGISTRY.fullmatch(settings.acr_name):
            raise UsageError(f"ACR_NAME={settings.acr_name!r} is not a registry's name: 3 to 50 letters and digits")
        return settings

    @property
    def repository(self) -> str:
        """The repository of the project content, without its tag."""
        return self.project_tag.partition(":")[0]


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise UsageError(f"{name}={value!r} is none of {', '.join(choices)}")
    return value
