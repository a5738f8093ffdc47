"""Where the suite can run: an embedded emulator, a cluster in Docker, any running cluster, a live AKS cluster.

A target is started once a run, by the process that leads it. Test processes reach it through `Target`, made from a
`Description` of plain strings.
"""

from conformance.targets.choice import Options, TargetUnavailableError, start
from conformance.targets.target import (
    HOSTNAME,
    Description,
    Finding,
    Fingerprint,
    NodeFingerprint,
    RegistryEndpoint,
    Tamper,
    Target,
)

__all__ = [
    "HOSTNAME",
    "Description",
    "Finding",
    "Fingerprint",
    "NodeFingerprint",
    "Options",
    "RegistryEndpoint",
    "Tamper",
    "Target",
    "TargetUnavailableError",
    "start",
]
