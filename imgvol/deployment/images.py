"""The images of the sample system: the engine's, and the project content's."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

from imgvol.deployment.azure import account
from imgvol.deployment.errors import DeploymentError
from imgvol.deployment.places import Place
from imgvol.deployment.programs import find, run
from imgvol.deployment.saying import say
from imgvol.deployment.settings import ROOT, Settings

__all__ = ["ENGINE", "digest_of", "push_content", "push_engine", "signed_in"]

ENGINE = "engine:latest"
_CONTENT = ROOT / "project-content"
_PROGRAMS = os.environ.get("IMGVOL_BIN") or str(ROOT / "build" / "bin")
_ARCHITECTURES = ("amd64", "arm64")


def push_content(settings: Settings, place: Place) -> None:
    """Pack project-content/ and push it as PROJECT_TAG. Raises DeploymentError."""
    reference = f"{place.registry}/{settings.project_tag}"
    say(f"project-content/ becomes {reference}, for {place.name}")
    _imgvol(place, "push", str(_CONTENT), reference)


def push_engine(settings: Settings, place: Place) -> None:
    """Build the engine's image in the cloud, by ACR Tasks, or here, by the packager. Raises DeploymentError."""
    if settings.engine_build == "tasks":
        if settings.target != "aks":
            raise DeploymentError("ENGINE_BUILD=tasks is built by Azure: leave it out, or say TARGET=aks")
        _by_tasks(settings, place)
        return
    reference = f"{place.registry}/{ENGINE}"
    say(f"the engine, for linux/amd64 and linux/arm64, becomes {reference}, for {place.name}")
    programs = {f"linux/{each}": f"{_PROGRAMS}/engine-linux-{each}" for each in _ARCHITECTURES}
    if missing := [path for path in programs.values() if not os.path.exists(path)]:  # noqa: PTH110
        raise DeploymentError(f"{missing[0]} is not built: run `make build`")
    pairs = [word for platform, path in programs.items() for word in ("--program", f"{platform}={path}")]
    _imgvol(place, "push-program", reference, "--user", "65532", "--port", "8080", *pairs)


def digest_of(place: Place, reference: str) -> str:
    """What a reference means in the registry now. Raises DeploymentError if it is not there."""
    import packager

    try:
        with signed_in(place):
            return packager.inspect(reference).digest
    except packager.PackagerError as error:
        raise DeploymentError(str(error)) from None


def _by_tasks(settings: Settings, place: Place) -> None:
    find("az")
    name = place.registry.partition(".")[0] if not settings.acr_name else settings.acr_name
    say(f"ACR Tasks builds engine/ as {place.registry}/{ENGINE}, in the subscription {account()}")
    run("az", "acr", "build", "--registry", name, "--image", ENGINE, str(ROOT / "engine"))


def _imgvol(place: Place, *words: str) -> None:
    from imgvol.cli import main

    with signed_in(place):
        status = main(words)
    if status:
        sys.exit(status)  # it has said why


@contextlib.contextmanager
def signed_in(place: Place) -> Iterator[None]:
    """With the place's credentials where the packager looks for them, for as long as the block takes."""
    found = place.credentials()
    if found is None:
        yield
        return
    names = ("IMGVOL_USERNAME", "IMGVOL_PASSWORD")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(zip(names, (found.username, found.password), strict=True))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
