"""Exponential back-off by key, as the kubelet keeps one for image pulls and one for container restarts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Backoff"]


@dataclass
class _Entry:
    delay: float
    updated: float


class Backoff:
    """Delays that double from `initial` to `limit` seconds, one series a key.

    A series that saw nothing for twice `limit` starts over. All times are seconds of the clock behind `now`.
    Source: client-go util/flowcontrol/backoff.go; the kubelet's 10 s and 300 s.
    """

    def __init__(self, now: Callable[[], float], *, initial: float = 10.0, limit: float = 300.0) -> None:
        self.now = now
        self._initial = initial
        self._limit = limit
        self._entries: dict[str, _Entry] = {}

    def next(self, key: str, at: float) -> None:
        """Start the series of `key`, or double its delay; `at` is when the failure happened."""
        entry = self._entries.get(key)
        delay = self._initial if entry is None or self._expired(entry, at) else min(entry.delay * 2, self._limit)
        self._entries[key] = _Entry(delay, self.now())

    def delay(self, key: str) -> float:
        """The present delay of `key`: 0 where nothing failed."""
        entry = self._entries.get(key)
        return entry.delay if entry else 0.0

    def waiting_since_update(self, key: str) -> bool:
        """Whether the delay of `key`, counted from its last failure, has yet to pass."""
        entry = self._entries.get(key)
        now = self.now()
        return entry is not None and not self._expired(entry, now) and now - entry.updated < entry.delay

    def waiting_since(self, key: str, at: float) -> bool:
        """Whether the delay of `key`, counted from `at`, has yet to pass."""
        entry = self._entries.get(key)
        return entry is not None and not self._expired(entry, at) and self.now() - at < entry.delay

    def until_update(self, key: str) -> float:
        """When the delay of `key`, counted from its last failure, is over."""
        entry = self._entries.get(key)
        return entry.updated + entry.delay if entry else self.now()

    def forget(self, prefix: str) -> None:
        """Drop every key that begins with `prefix`: the pod is gone."""
        for key in [key for key in self._entries if key.startswith(prefix)]:
            del self._entries[key]

    def _expired(self, entry: _Entry, at: float) -> bool:
        return at - entry.updated > self._limit * 2
