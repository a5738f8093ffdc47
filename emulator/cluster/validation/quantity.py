"""Quantities such as 100m, 1Gi or 1e3.

Source: k8s.io/apimachinery pkg/api/resource/quantity.go (ParseQuantity, CanonicalizeBytes).
"""

from __future__ import annotations

import functools
import re
from fractions import Fraction

__all__ = ["QuantityError", "canonical", "parse"]

_PATTERN = re.compile(r"(?P<number>[+-]?\d*\.?\d*)(?P<suffix>[eE][+-]?\d+|[KMGTPE]i|[numkMGTPE]|)", re.ASCII)
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_DECIMAL = {-9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P", 18: "E"}
_EXPONENTS = {suffix: exponent for exponent, suffix in _DECIMAL.items()}
_NANO = Fraction(1, 10**9)
_LARGEST = Fraction(2**63 - 1)
# Python writes integers of up to 4,300 digits.
_LONGEST = 4000


class QuantityError(ValueError):
    """Not a quantity; the message is the API server's."""


def _split(text: str) -> tuple[Fraction, str]:
    found = _PATTERN.fullmatch(text)
    if found is None or not text:
        raise QuantityError(
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
        )
    # A number may lack its digits: what is not there is zero.
    whole_part, _, rest = found["number"].lstrip("+-").partition(".")
    number = Fraction(f"{whole_part or 0}.{rest or 0}") * (-1 if found["number"].startswith("-") else 1)
    suffix = found["suffix"]
    if suffix.endswith("i") and not whole_part + rest:
        raise QuantityError("unable to parse numeric part of quantity")
    if suffix in _EXPONENTS:
        value = number * Fraction(10) ** _EXPONENTS[suffix]
    elif suffix.endswith("i"):
        value = number * 1024 ** _BINARY.index(suffix)
    else:
        if abs(int(suffix[1:])) > _LONGEST:
            raise QuantityError(f"the emulator does not model exponents beyond {_LONGEST}")
        value = number * Fraction(10) ** int(suffix[1:])
    # Nothing is finer than a nano; the API server rounds away from zero.
    nanos = value / _NANO
    whole = -((-nanos.numerator) // nanos.denominator) if nanos > 0 else nanos.numerator // nanos.denominator
    value = whole * _NANO
    if suffix.endswith("i"):
        value = max(-_LARGEST, min(_LARGEST, value))
    return value, suffix


@functools.lru_cache(maxsize=1024)
def parse(text: str) -> Fraction:
    """The value. Raises QuantityError."""
    return _split(text)[0]


@functools.lru_cache(maxsize=1024)
def canonical(text: str) -> str:
    """The quantity as the API server writes it back: 0.1 is 100m, 1024Mi is 1Gi. Raises QuantityError."""
    value, suffix = _split(text)
    if suffix.endswith("i") and abs(value) >= 1024 and value.denominator == 1:
        whole, power = value.numerator, 0
        while whole % 1024 == 0 and power < len(_BINARY) - 1:
            whole, power = whole // 1024, power + 1
        return f"{whole}{_BINARY[power]}"
    if value == 0:
        return "0"
    exponent = -9
    mantissa = (value / _NANO).numerator
    while mantissa % 1000 == 0 and exponent < max(_DECIMAL):
        mantissa, exponent = mantissa // 1000, exponent + 3
    if re.match("[eE][+-]?[0-9]", suffix):
        return f"{mantissa}e{exponent}" if exponent else str(mantissa)
    return f"{mantissa}{_DECIMAL[exponent]}"
