"""What commands say while they work: on standard error, so that their results can be piped."""

from __future__ import annotations

import sys

__all__ = ["say"]


def say(text: str) -> None:
    """A line about what is done, and with what."""
    print(text, file=sys.stderr, flush=True)
