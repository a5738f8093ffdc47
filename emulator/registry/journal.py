"""What was asked of a registry, as a second oracle for tests."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Journal", "RequestSeen"]

_LIMIT = 10_000


@dataclass(frozen=True)
class RequestSeen:
    """One answered request.

    `at` is in emulated seconds; `path` has no query; `received` and `sent` are the bytes of both bodies;
    `user` is empty for an anonymous one; `listener` is the `127.0.0.1:PORT` it came in by. `fault` names the fault that
    struck it, if one did: `SCENARIO[NUMBER]`; `status` is 0 where a fault closed the connection in place of an answer.
    """

    at: float
    listener: str
    user: str
    method: str
    path: str
    query: str
    status: int
    received: int
    sent: int
    fault: str = ""


class Journal:
    """The newest 10,000 requests in the order in which their answers were decided.

    A request is in it before its client has the answer.
    """

    def __init__(self) -> None:
        self._seen: deque[RequestSeen] = deque(maxlen=_LIMIT)

    def __iter__(self) -> Iterator[RequestSeen]:
        return iter(tuple(self._seen))

    def __len__(self) -> int:
        return len(self._seen)

    def add(self, seen: RequestSeen) -> None:
        """Note a request."""
        self._seen.append(seen)

    def clear(self) -> None:
        """Forget everything."""
        self._seen.clear()
