"""Files that are there whole or not at all."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

__all__ = ["write_json"]


def write_json(path: Path, value: Any, *, indent: int = 2, sort_keys: bool = False) -> None:
    """Write a value as JSON, replacing the file at once, whoever else writes there; the folder is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(value, indent=indent, sort_keys=sort_keys, ensure_ascii=False) + "\n"
    with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".partial", delete=False) as partial:
        unfinished = Path(partial.name)
        try:
            partial.write(text)
            partial.flush()
            unfinished.chmod(0o644)
            unfinished.replace(path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
