"""The service account controller: every namespace has the account `default`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from emulator.cluster.errors import ApiError

from .controller import Controller, Source
from .owners import Key

if TYPE_CHECKING:
    from emulator.cluster.watch import WatchEvent

__all__ = ["ServiceAccounts"]


class ServiceAccounts(Controller):
    """Makes the account `default` in every active namespace, again if somebody deletes it."""

    component = "serviceaccount-controller"

    def sources(self) -> Mapping[str, Source]:
        """Namespaces, and accounts that go."""
        return {
            "namespaces": lambda event: (("", event.object["metadata"]["name"]),),
            "serviceaccounts": _of_account,
        }

    def sync(self, key: Key) -> float | None:
        """See to one namespace."""
        namespace = key[1]
        try:
            if (self.api.get("namespaces", namespace).get("status") or {}).get("phase") == "Active":
                self.api.create("serviceaccounts", {"metadata": {"name": "default", "namespace": namespace}})
        except ApiError as error:
            if error.reason not in ("NotFound", "AlreadyExists"):
                raise
        return None


def _of_account(event: WatchEvent) -> Iterable[Key]:
    metadata = event.object["metadata"]
    return (("", metadata["namespace"]),) if event.type == "DELETED" and metadata["name"] == "default" else ()
