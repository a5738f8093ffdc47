"""Kubernetes quantities ("100m", "64Mi", "1e3") as exact numbers (k8s.io/apimachinery/pkg/api/resource)."""

from __future__ import annotations

import re
from fractions import Fraction

__all__ = ["quantity"]

_SUFFIXES = {
    "": 0, "n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18,
}  # fmt: skip
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_FORM = re.compile(r"([+-]?[0-9]*\.?[0-9]*)(?:[eE]([+-]?[0-9]+)|([a-zA-Z]*))")


def quantity(text: str | float) -> Fraction:
    """The value of a quantity. Raises ValueError when it is none."""
    found = _FORM.fullmatch(str(text))
    number = found[1] if found else ""
    if found is None or not any(map(str.isdigit, number)):
        raise ValueError(f"{text!r} is not a quantity")
    value = Fraction(number if number[-1] != "." else number + "0")
    suffix = found[3] or ""
    if found[2] is not None:
        return value * _power(int(found[2]))
    if suffix in _BINARY:
        return value * (1 << _BINARY[suffix])
    if suffix not in _SUFFIXES:
        raise ValueError(f"{text!r} is not a quantity: its suffix {suffix!r} is not one of Kubernetes'")
    return value * _power(_SUFFIXES[suffix])


def _power(exponent: int) -> Fraction:
    return Fraction(10**exponent) if exponent >= 0 else Fraction(1, 10**-exponent)
