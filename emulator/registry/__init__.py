"""An embedded OCI registry (distribution specification 1.1) on the loopback interface."""

from emulator.registry.errors import RegistryError
from emulator.registry.journal import RequestSeen
from emulator.registry.registry import Registry

__all__ = ["Registry", "RegistryError", "RequestSeen"]
