"""The kubelet's image manager: pull policies, credentials, back-off, and the events that tell of them.

Source: Kubernetes pkg/kubelet/images/image_manager.go, with the texts of 1.36.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from emulator.node.containerd import Credential, CriError, ImageStatus, ReferenceError_, parse
from emulator.node.kubelet.backoff import Backoff
from emulator.node.kubelet.credentials import ImageCredential, Keyring
from emulator.node.kubelet.failures import StartFailure, go_duration
from emulator.node.kubelet.pulled import PulledImages

__all__ = ["ImageManager", "ImageService", "Report"]

Object = dict[str, Any]
Report = Callable[[str, str, str], None]
"""Records an event about the pod or one of its containers: type, reason, message."""


class ImageService(Protocol):
    """What the image manager asks of the container runtime."""

    async def pull(self, reference: str, credential: Credential | None = None) -> ImageStatus:
        """Pull an image; raises CriError."""

    def status(self, reference: str) -> ImageStatus | None:
        """The image, where the node has it."""


class ImageManager:
    """Makes sure that an image is on the node and that the pod may use it."""

    def __init__(
        self,
        images: ImageService,
        now: Callable[[], float],
        node_credentials: Callable[[str], Awaitable[tuple[ImageCredential, ...]]] | None = None,
    ) -> None:
        """`node_credentials` are those of the node itself for a repository, tried after the pod's."""
        self._images = images
        self._node_credentials = node_credentials
        self._backoff = Backoff(now)
        self._last_error: dict[str, str] = {}
        self._pulled = PulledImages()

    async def ensure(
        self,
        reference: str,
        policy: str,
        *,
        pod_uid: str,
        secrets: Sequence[Object],
        report: Report,
    ) -> ImageStatus:
        """Have the image of `reference`, pulling it where `policy` (`Always`, `IfNotPresent`, `Never`) asks.

        `secrets` are the pod's pull secrets in order. A pull that fails is not tried again before its
        back-off, kept by pod and reference, has passed.

        Raises:
            StartFailure: with the waiting reason and message that containers using the image then show.
        """
        try:
            name = parse(reference)
        except ReferenceError_ as error:
            message = (
                f'Failed to apply default image tag "{reference}": couldn\'t parse image name "{reference}": {error}'
            )
            report("Warning", "InspectFailed", message)
            raise StartFailure("InvalidImageName", message) from None
        image = reference if name.tag or name.digest else f"{reference}:latest"

        present = None if policy == "Always" else self._images.status(image)
        if present is None and policy == "Never":
            raise self._never_pulled(reference, report)
        try:
            credentials = Keyring(secrets).lookup(name.name)
        except ValueError as error:
            raise StartFailure(str(error), str(error)) from None
        if present is not None:
            if not self._pulled.must_pull(present.id, name.name, credentials):
                message = f'Container image "{reference}" already present on machine and can be accessed by the pod'
                report("Normal", "Pulled", message)
                return present
            if policy == "Never":  # whether the image exists is nothing to tell a pod that may not use it
                raise self._never_pulled(reference, report)

        if self._node_credentials is not None:
            credentials += await self._node_credentials(name.name)
        status, used = await self._pull(reference, image, credentials, f"{pod_uid}_{reference}", report)
        self._pulled.record(status.id, name.name, used)
        return status

    def forget(self, pod_uid: str) -> None:
        """Drop what is remembered of a pod that is gone."""
        self._backoff.forget(f"{pod_uid}_")
        for key in [key for key in self._last_error if key.startswith(f"{pod_uid}_")]:
            del self._last_error[key]

    @staticmethod
    def _never_pulled(reference: str, report: Report) -> StartFailure:
        message = f'Container image "{reference}" is not present with pull policy of Never'
        report("Warning", "ErrImageNeverPull", message)
        return StartFailure("ErrImageNeverPull", message)

    async def _pull(
        self,
        reference: str,
        image: str,
        credentials: Sequence[ImageCredential],
        key: str,
        report: Report,
    ) -> tuple[ImageStatus, ImageCredential | None]:
        if self._backoff.waiting_since_update(key):
            message = f'Back-off pulling image "{reference}"'
            report("Normal", "BackOff", message)
            last = self._last_error.get(key)
            raise StartFailure("ImagePullBackOff", f"{message}: {last}" if last else message)
        self._last_error.pop(key, None)

        report("Normal", "Pulling", f'Pulling image "{reference}"')
        started = time.monotonic()
        try:
            status, used = await self._try_each(image, credentials)
        except CriError as error:
            report("Warning", "Failed", f'Failed to pull image "{reference}": {error}')
            self._backoff.next(key, self._backoff.now())
            self._last_error[key] = f"ErrImagePull: {error}"
            raise StartFailure("ErrImagePull", str(error)) from None
        took = go_duration(time.monotonic() - started)
        report(
            "Normal",
            "Pulled",
            f'Successfully pulled image "{reference}" in {took} ({took} including waiting). '
            f"Image size: {status.size} bytes.",
        )
        return status, used

    async def _try_each(
        self, image: str, credentials: Sequence[ImageCredential]
    ) -> tuple[ImageStatus, ImageCredential | None]:
        if not credentials:
            return await self._images.pull(image), None
        errors: list[CriError] = []
        for credential in credentials:
            try:
                status = await self._images.pull(image, Credential(credential.username, credential.password))
            except CriError as error:
                errors.append(error)
            else:
                return status, credential
        raise _aggregate(errors)


def _aggregate(errors: Sequence[CriError]) -> CriError:
    """Several errors as one, as apimachinery's `Aggregate` prints them: each text once, in brackets."""
    texts = list(dict.fromkeys(str(error) for error in errors))
    if len(texts) == 1:
        return errors[0]
    return CriError("Unknown", "[" + ", ".join(texts) + "]")
