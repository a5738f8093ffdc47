"""The Docker daemon: reaching it, what its host is like, and its refusals as sentences."""

from __future__ import annotations

import contextlib
import gc
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conformance.targets.choice import TargetUnavailableError

if TYPE_CHECKING:
    from docker import DockerClient

__all__ = ["RUN", "Host", "connect", "ensure_image", "explained", "innermost", "untidy"]

# The label of everything that a run makes; its value is the run.
RUN = "imgvol.dev/run"

_LEAST_MEMORY = 1.5 * 2**30
_FILE_SYSTEMS_WITHOUT_OVERLAY = {"btrfs", "zfs", "xfs"}
_DRIVERS_ON_DEVICES = {"btrfs", "zfs", "devicemapper"}


@dataclass(frozen=True)
class Host:
    """What the daemon says of the host that it runs on."""

    version: str
    operating_system: str
    architecture: str
    processors: int
    memory: int
    cgroup: int
    rootless: bool
    remaps_users: bool
    maps_devices: bool
    is_here: bool

    @classmethod
    def of(cls, info: dict[str, Any], *, is_here: bool) -> Host:
        """The host of a daemon's `GET /info`; `is_here`: the daemon is reached by a socket of this machine."""
        security = ",".join(info.get("SecurityOptions") or ())
        backing = dict(info.get("DriverStatus") or ()).get("Backing Filesystem", "")
        rootless = "name=rootless" in security
        return cls(
            version=info.get("ServerVersion", ""),
            operating_system=info.get("OSType", "linux"),
            architecture=info.get("Architecture", ""),
            processors=info.get("NCPU", 0),
            memory=info.get("MemTotal", 0),
            cgroup=2 if info.get("CgroupVersion") == "2" else 1,
            rootless=rootless,
            remaps_users="name=userns" in security,
            maps_devices=not rootless
            and (info.get("Driver") in _DRIVERS_ON_DEVICES or backing in _FILE_SYSTEMS_WITHOUT_OVERLAY),
            is_here=is_here,
        )

    def __str__(self) -> str:
        return (
            f"Docker {self.version}, {self.architecture}, {self.processors} processors, "
            f"{self.memory / 2**30:.0f} GiB, cgroup v{self.cgroup}{', rootless' if self.rootless else ''}"
        )

    def check(self) -> None:
        """Raise TargetUnavailableError if no node can run there."""
        if self.operating_system != "linux":
            raise TargetUnavailableError(
                f"this Docker runs {self.operating_system} containers, and a node is a Linux one: "
                "switch Docker to Linux containers"
            )
        if self.rootless and self.cgroup == 1:
            raise TargetUnavailableError(
                "rootless Docker can run a node only with cgroup v2, and this host has v1: use Docker as root"
            )
        if 0 < self.memory < _LEAST_MEMORY:
            raise TargetUnavailableError(
                f"Docker has {self.memory / 2**30:.1f} GiB of memory, and a node needs 1.5: give Docker more"
            )

    @property
    def modules(self) -> str:
        """Where the host has its kernel modules; empty if it has none."""
        return "/lib/modules" if not self.is_here or Path("/lib/modules").is_dir() else ""


@contextlib.contextmanager
def connect() -> Iterator[DockerClient]:
    """A connection to the daemon that Testcontainers would use.

    Raises TargetUnavailableError where there is no daemon.
    """
    from docker.errors import DockerException
    from testcontainers.core.docker_client import DockerClient

    unreached = ""
    try:
        client = DockerClient().client
        client.ping()
    except (DockerException, OSError) as error:
        unreached = innermost(error)
    if unreached:
        _collect()
        raise TargetUnavailableError(
            f"no Docker daemon answers ({unreached}): start one, or name it in DOCKER_HOST; "
            "the emulator (--target=emulator) needs none"
        )
    with contextlib.closing(client):
        yield client


def ensure_image(client: DockerClient, name: str, option: str) -> None:
    """Have an image, by pulling it where it is missing.

    Raises TargetUnavailableError, which names the option that takes another image.
    """
    from docker.errors import DockerException, NotFound

    try:
        client.images.get(name)
    except NotFound:
        pass
    else:
        return
    try:
        client.images.pull(name)
    except (DockerException, OSError) as error:
        unavailable = explained(error) or TargetUnavailableError(
            f"the image {name} is not here and cannot be pulled ({innermost(error)}): "
            f"name another with {option}; `make node-image` builds both images without any registry"
        )
    else:
        return
    # Raised out here it does not hold on to the daemon's answer, and the connection that it came by.
    raise unavailable


@contextlib.contextmanager
def untidy(client: DockerClient) -> Iterator[None]:
    """For work in which docker-py leaves connections to the garbage collector.

    None is open, or held against a test, afterwards. The client can be used again.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            yield
        finally:
            client.close()
            gc.collect()


def _collect() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def explained(error: BaseException) -> TargetUnavailableError | None:
    """What a refusal of the daemon means for its user, if that is known."""
    said = innermost(error)
    if "no space left on device" in said:
        return TargetUnavailableError(f"Docker has no room left ({said}): make some, e.g. by `docker system prune`")
    if "address pools have been fully subnetted" in said or "could not find an available" in said:
        return TargetUnavailableError(f"Docker has no network left ({said}): remove some, by `docker network prune`")
    if "permission denied" in said.lower() and "socket" in said:
        return TargetUnavailableError(f"this user may not use Docker ({said}): join the group docker, or use sudo")
    return None


def innermost(error: BaseException) -> str:
    """The daemon's own words, or those of the system, without what Python's layers wrapped around them."""
    said = None
    deepest: BaseException | None = error
    while deepest is not None:
        error, said = deepest, said or getattr(deepest, "explanation", None)
        deepest = error.__cause__ or error.__context__
    return " ".join(str(said or error).split())
