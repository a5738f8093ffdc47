"""What a claim is: one sentence that is true of a conforming target, with an id that reads as one."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest

__all__ = ["MOUNTS", "Claim", "Verdict", "claim", "claim_of", "claim_param"]

_ID = re.compile(r"[a-z][a-z-]*/[a-z0-9][a-z0-9-]*")
# What nearly every claim needs: that containers get the volumes they ask for.
MOUNTS = ("mounts",)
_Test = TypeVar("_Test", bound=Callable[..., Any])


class Verdict(enum.StrEnum):
    """What the suite can say of a claim.

    `unsupported` needs a capability that the target itself declares missing *and* a claim that indeed does not hold;
    `error` means that the suite broke, which says nothing of the target.
    """

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    UNSUPPORTED = "unsupported"
    SKIPPED = "skipped-by-request"
    ERROR = "error"


@dataclass(frozen=True)
class Claim:
    """A claim: its id (`topic/what-holds`), the sentence, who promises it, and the capabilities it stands on."""

    id: str
    says: str
    source: str
    needs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise ValueError(f"{self.id!r} does not read as topic/what-holds")
        if not self.says or not self.source:
            raise ValueError(f"claim {self.id} needs a sentence and a source")

    @property
    def topic(self) -> str:
        """The part before the slash."""
        return self.id.split("/")[0]


def claim(id_: str, *, source: str, needs: Iterable[str] = MOUNTS) -> Callable[[_Test], _Test]:
    """Mark a test as the judge of a claim; the test's docstring is the claim's sentence.

    Most claims need a target that mounts at all; one that does not says so with `needs=()`.
    """

    def mark(test: _Test) -> _Test:
        says = " ".join((test.__doc__ or "").split())
        marked: _Test = pytest.mark.claim(Claim(id_, says, source, tuple(needs)))(test)
        return marked

    return mark


def claim_param(value: Any, judged: Claim) -> Any:
    """A parameter of a test that judges one claim a parameter."""
    return pytest.param(value, id=judged.id, marks=pytest.mark.claim(judged))


def claim_of(item: pytest.Item) -> Claim | None:
    """The claim that a test judges, or None for a test that judges none."""
    marker = item.get_closest_marker("claim")
    return marker.args[0] if marker else None
