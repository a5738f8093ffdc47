"""The difference of two pod specifications as the API server shows it when it refuses an update.

Source: k8s.io/apimachinery pkg/util/diff (a unified diff of indented JSON with three lines of context).
"""

from __future__ import annotations

import difflib
import json

from emulator.cluster.objects import Object

__all__ = ["spec_diff"]


def spec_diff(before: Object, after: Object) -> str:
    """A unified diff without file names. The API server prints its internal Go structs, this their wire form."""
    old, new = (json.dumps(spec, indent=1).split("\n") for spec in (before, after))
    lines = list(difflib.unified_diff(old, new, lineterm=""))[2:]
    return "".join(f"{line}\n" for line in lines)
