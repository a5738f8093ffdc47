"""Whether an object is what its kind allows, and what it means where it leaves something out."""

from __future__ import annotations

from emulator.cluster.validation.decoding import decode
from emulator.cluster.validation.defaults import set_defaults
from emulator.cluster.validation.objects import validate, validate_update

__all__ = ["decode", "set_defaults", "validate", "validate_update"]
