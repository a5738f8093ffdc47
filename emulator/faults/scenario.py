"""What a scenario says: which requests go wrong, how often, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

__all__ = ["OPERATIONS", "Amount", "Asked", "Fault", "Match", "Scenario", "ScenarioError", "Times"]

OPERATIONS = (
    "ping",
    "manifest-head",
    "manifest-get",
    "manifest-put",
    "manifest-delete",
    "blob-head",
    "blob-get",
    "blob-delete",
    "blob-download",
    "upload-post",
    "upload-patch",
    "upload-put",
    "upload-get",
    "upload-delete",
    "tags",
    "catalog",
    "referrers",
    "exchange",
    "token",
)
"""What is asked of a registry. `blob-download` is the other host that a download may be sent to, `exchange` and `token`
are the token service."""


class ScenarioError(ValueError):
    """There is no such scenario, or it says what none can say; the text is one sentence."""


@dataclass(frozen=True)
class Asked:
    """One request, as rules see it. `reference` is its tag or digest, empty where there is none."""

    operation: str
    method: str = "GET"
    repository: str = ""
    reference: str = ""


@dataclass(frozen=True)
class Match:
    """Which requests a fault is about; patterns are shell globs whose `*` crosses slashes."""

    operations: tuple[str, ...] = ("*",)
    methods: tuple[str, ...] = ("*",)
    repository: str = "*"
    reference: str = "*"

    def __call__(self, asked: Asked) -> bool:
        """Whether this is one of them."""
        return (
            any(fnmatchcase(asked.operation, pattern) for pattern in self.operations)
            and any(fnmatchcase(asked.method, pattern) for pattern in self.methods)
            and fnmatchcase(asked.repository, self.repository)
            and fnmatchcase(asked.reference, self.reference)
        )


@dataclass(frozen=True)
class Times:
    """Which of the matching requests a fault strikes, in the order they come: all, unless it is said otherwise.

    The first `skip` are spared; of the rest every `every`-th is struck, and at most `first` of them in all. `each` says
    what is counted by itself: everything together, a repository, or a thing in it (a tag, a digest).
    """

    skip: int = 0
    every: int = 1
    first: int | None = None
    each: Literal["registry", "repository", "reference"] = "registry"

    def strikes(self, number: int) -> bool:
        """Whether the `number`-th request, counted from 1, is struck."""
        position = number - self.skip
        if position < 1 or position % self.every:
            return False
        return self.first is None or position // self.every <= self.first


@dataclass(frozen=True)
class Amount:
    """Some bytes of a body: so many, or a share of all of them in percent."""

    bytes: int = 0
    percent: float | None = None

    def of(self, total: int) -> int:
        """How many bytes that is of `total`, which it does not exceed."""
        wanted = self.bytes if self.percent is None else int(total * self.percent / 100)
        return min(wanted, total)


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    At most one of: `refuse` (nobody listens any more), `hang_up` (the connection is closed in place of an answer,
    `before` the request is looked at or `after` all of it is done), `status` (this answer, and nothing is done),
    `lose` (the connection is closed once so much of the request's body is read), `full_disk` (nothing can be written),
    `drop` (the connection is closed after so much of the answer's body), `truncate` (the answer is whole, but only so
    long), `corrupt` (one bit of the answer's body is flipped, there). With any of them, or alone: `delay` before it, in
    seconds of the emulator's clock; `rate` of the answer's body in bytes per such second; `headers` that replace the
    answer's, or are taken from it (None). `reset` closes connections by RST.
    """

    match: Match = field(default_factory=Match)
    times: Times = field(default_factory=Times)
    delay: float = 0.0
    refuse: bool = False
    hang_up: Literal["", "before", "after"] = ""
    status: int = 0
    code: str = ""
    message: str = ""
    body: str | None = None
    headers: Mapping[str, str | None] = field(default_factory=dict)
    lose: Amount | None = None
    full_disk: bool = False
    drop: Amount | None = None
    truncate: Amount | None = None
    corrupt: Amount | None = None
    rate: float | None = None
    reset: bool = False

    @property
    def alters_body(self) -> bool:
        """Whether the answer's body, or the way it comes, is another than it would be."""
        return any(one is not None for one in (self.drop, self.truncate, self.corrupt, self.rate))


@dataclass(frozen=True)
class Scenario:
    """A bad day: what it is like in a sentence, and its faults, of which the first that strikes a request counts.

    `access_token` and `refresh_token` are how long tokens last, in seconds of the emulator's clock.
    """

    says: str = ""
    faults: tuple[Fault, ...] = ()
    access_token: float | None = None
    refresh_token: float | None = None
