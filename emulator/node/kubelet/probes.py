"""Probes of a container: the state machine of one, apart from how a single try is made.

Source: Kubernetes pkg/kubelet/prober/worker.go. The first try comes `initialDelaySeconds` after the container
started, as the API promises; a real kubelet's tick may be up to a period later.
"""

from __future__ import annotations

from typing import Any

__all__ = ["ProbeState", "probe_message"]

Object = dict[str, Any]

_INITIAL = {"readiness": False, "liveness": True, "startup": None}


class ProbeState:
    """What one probe of one attempt has found so far.

    `kind` is `readiness`, `liveness` or `startup`. `result` is what holds: None where it is not yet known.
    """

    def __init__(self, kind: str, probe: Object) -> None:
        self.kind = kind
        self.result: bool | None = _INITIAL[kind]
        self.initial_delay = float(probe.get("initialDelaySeconds") or 0)
        self.period = float(probe.get("periodSeconds") or 10)
        self.timeout = float(probe.get("timeoutSeconds") or 1)
        self._needed = {
            True: int(probe.get("successThreshold") or 1),
            False: int(probe.get("failureThreshold") or 3),
        }
        self._last: bool | None = None
        self._run = 0

    def observe(self, success: bool) -> bool:
        """Take in one try; say whether `result` has changed by it."""
        self._run = self._run + 1 if success is self._last else 1
        self._last = success
        if self._run < self._needed[success] or self.result is success:
            return False
        self.result = success
        return True


def probe_message(kind: str, output: str) -> str:
    """The message of an Unhealthy event."""
    return f"{kind.capitalize()} probe failed: {output}"
