"""Reading YAML that people write: every key and value is checked, and what is wrong is named with its file and key.

A reader takes where it is, as `FILE: key.key`, and the value found there, and returns what it means.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from emulator.faults.scenario import ScenarioError

__all__ = ["Read", "document", "fields", "one_of", "seconds", "text", "texts", "whole", "wrong", "yes"]

Read = Callable[[str, Any], Any]

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def document(written: str, where: str) -> Any:
    """The content of a YAML document; ScenarioError where it is none."""
    import yaml

    try:
        return yaml.safe_load(written)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise ScenarioError(f"{where}{line}: this is no YAML: {getattr(error, 'problem', None) or error}") from None
    except RecursionError:
        raise ScenarioError(f"{where}: this is nested too deeply") from None


def texts(where: str, data: Any) -> tuple[str, ...]:
    """A text, or a list of texts."""
    if isinstance(data, list) and data:
        return tuple(text(f"{where}[{number}]", one) for number, one in enumerate(data))
    return (text(where, data),)


def text(where: str, data: Any) -> str:
    """A text."""
    if not isinstance(data, str):
        raise wrong(where, "a text", data)
    return data


def yes(where: str, data: Any) -> bool:
    """True, for a switch that is left out otherwise."""
    if data is not True:
        raise wrong(where, "true, or be left out", data)
    return True


def whole(least: int, most: int | None = None) -> Read:
    """A reader of whole numbers in a range."""

    def read(where: str, data: Any) -> int:
        if not isinstance(data, int) or isinstance(data, bool) or data < least or (most is not None and data > most):
            raise wrong(where, f"a whole number from {least}" + (f" to {most}" if most else " on"), data)
        return data

    return read


def one_of(*choices: str) -> Read:
    """A reader of one of some texts."""

    def read(where: str, data: Any) -> str:
        if data not in choices:
            raise wrong(where, f"one of {', '.join(choices)}", data)
        return cast("str", data)

    return read


def seconds(where: str, data: Any) -> float:
    """A duration like `5m`, in seconds."""
    match = _DURATION.fullmatch(data) if isinstance(data, str) else None
    if match is None:
        raise wrong(where, "a duration like 500ms, 2s, 5m or 3h", data)
    return float(match[1]) * _SECONDS[match[2]]


def wrong(where: str, wanted: str, data: Any) -> ScenarioError:
    """The error that says what is expected and what was found."""
    return ScenarioError(f"{where} must be {wanted}, not {data!r}")


def fields(where: str, data: Any, kinds: Mapping[str, Read]) -> dict[str, Any]:
    """A mapping of some known keys, each read by its own reader."""
    if not isinstance(data, dict):
        raise wrong(where, f"a mapping with some of {', '.join(kinds)}", data)
    if unknown := [key for key in data if key not in kinds]:
        raise ScenarioError(f"{where} has no key {unknown[0]!r}; it may have {', '.join(kinds)}")
    separator = "." if ": " in where else ": "
    return {key: kinds[key](f"{where}{separator}{key}", value) for key, value in data.items()}
