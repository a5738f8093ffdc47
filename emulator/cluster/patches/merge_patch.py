"""JSON Merge Patch (RFC 7386)."""

from __future__ import annotations

from typing import Any

from emulator.cluster.objects import clone

__all__ = ["apply_merge_patch"]


def apply_merge_patch(document: Any, patch: Any) -> Any:
    """The document with the patch merged in: null removes, objects merge, everything else replaces."""
    if not isinstance(patch, dict):
        return clone(patch)
    merged = clone(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = apply_merge_patch(merged.get(key), value)
    return merged
