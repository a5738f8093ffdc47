"""The embedded emulator: a registry and a one-node Kubernetes cluster in one process.

`start` runs one beside this process, `start_registry` only a registry; everything else of it is reached over HTTP.
"""

from emulator.running import Emulator, RegistryProcess, StartError, start, start_registry

__all__ = ["Emulator", "RegistryProcess", "StartError", "start", "start_registry"]
