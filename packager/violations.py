"""Violations: what verifying finds wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Report", "Violation"]

Report = Callable[[str, str, object, object], None]
"""Called with what, where, expected and found, of one violation."""


@dataclass(frozen=True)
class Violation:
    """One rule that an image breaks: `what` the rule is about, `where` in the image, and both sides of it."""

    what: str
    where: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}: expected {self.expected}, found {self.found}"
