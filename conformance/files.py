"""Files that are there whole or not at all."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

__all__ = ["write_json", "write_text"]


def write_json(path: Path, value: Any, *, indent: int = 2, sort_keys: bool = False) -> None:
    """Write a value as JSON, replacing the file at once, whoever else writes there; the folder is made if need be."""
    write_text(path, json.dumps(value, indent=indent, sort_keys=sort_keys, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text in UTF-8, replacing the file at once, whoever else writes there; the folder is made if need be.

    Half a surrogate pair, which is no character, is written as a question mark.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("wb", dir=path.parent, suffix=".partial", delete=False) as partial:
        unfinished = Path(partial.name)
        try:
            partial.write(text.encode("utf-8", "replace"))
            partial.flush()
            unfinished.chmod(0o644)
            unfinished.replace(path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
