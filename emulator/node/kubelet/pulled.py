"""Who may use an image that is already on the node without showing a credential for it.

Source: Kubernetes pkg/kubelet/images/pullmanager (KubeletEnsureSecretPulledImages, KEP-2535) with its default
policy, NeverVerifyPreloadedImages.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from emulator.node.kubelet.credentials import ImageCredential, SecretKey

__all__ = ["PulledImages"]


@dataclass
class _Access:
    anyone: bool = False
    secrets: dict[SecretKey, str] = field(default_factory=dict)  # secret → fingerprint of its credential


class PulledImages:
    """What this kubelet pulled, and with which credentials: by image ID, then by repository."""

    def __init__(self) -> None:
        self._records: dict[str, dict[str, _Access]] = {}

    def record(self, image_id: str, repository: str, credential: ImageCredential | None) -> None:
        """Remember a pull that succeeded; without a credential every pod of the node may use the image."""
        access = self._records.setdefault(image_id, {}).setdefault(repository, _Access())
        if credential is None or credential.secret is None:  # the node's own is for all of its pods
            access.anyone = True
            access.secrets.clear()
        elif not access.anyone:
            access.secrets[credential.secret] = credential.fingerprint

    def must_pull(self, image_id: str, repository: str, credentials: Iterable[ImageCredential]) -> bool:
        """Whether a pod that brings `credentials` has to prove by a pull that it may use a present image.

        An image this kubelet did not pull was there before it and is open to all. A secret counts as proof when
        it holds the same credential as a recorded one, or is the recorded one with a new credential.
        """
        record = self._records.get(image_id)
        if record is None:
            return False
        access = record.get(repository)
        if access is None:
            return True
        if access.anyone:
            return False
        for credential in credentials:
            if credential.secret is None:
                continue
            known = access.secrets.get(credential.secret) is not None
            if known or credential.fingerprint in access.secrets.values():
                access.secrets[credential.secret] = credential.fingerprint
                return False
        return True
