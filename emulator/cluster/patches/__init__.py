"""The three ways to patch an object: JSON patch, JSON merge patch, strategic merge patch."""

from __future__ import annotations

from emulator.cluster.patches.json_patch import apply_json_patch
from emulator.cluster.patches.merge_patch import apply_merge_patch
from emulator.cluster.patches.strategic import apply_strategic_patch

__all__ = ["apply_json_patch", "apply_merge_patch", "apply_strategic_patch"]
