"""The embedded emulator: a registry and a one-node Kubernetes cluster in one process.

`start` runs one beside this process; everything else of it is reached over HTTP.
"""

from emulator.running import Emulator, StartError, start

__all__ = ["Emulator", "StartError", "start"]
