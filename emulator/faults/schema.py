"""Reading scenarios: every key and value is checked, and what is wrong is named with its file and key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from emulator.faults.reading import Read, document, fields, one_of, seconds, text, texts, whole, wrong, yes
from emulator.faults.scenario import OPERATIONS, Amount, Fault, Match, Scenario, ScenarioError, Times

__all__ = ["load", "parse", "scenario_names"]

_HERE = Path(__file__).parent
_PERCENT = re.compile(r"([0-9]+(?:\.[0-9]+)?)%")
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_CODE = re.compile(r"[A-Z_]+")
# What a fault does, of which it does one thing; and what may come with `status` only.
_DEEDS = ("refuse", "hang-up", "status", "lose", "full-disk", "drop", "truncate", "corrupt")
_OF_STATUS = ("code", "message", "body")


def scenario_names() -> list[str]:
    """The scenarios that come with the emulator."""
    return sorted(path.stem for path in _HERE.glob("*.yaml"))


def load(name: str) -> tuple[str, Scenario]:
    """A scenario by the name of one that comes with the emulator, or by the path of a YAML file; and what it is called.

    Raises:
        ScenarioError: there is none, or it is wrong.
    """
    is_path = "/" in name or name.endswith((".yaml", ".yml"))
    path = Path(name) if is_path else _HERE / f"{name}.yaml"
    if not is_path and name not in scenario_names():
        raise ScenarioError(
            f"there is no fault scenario {name!r}; choose one of {', '.join(scenario_names())}, or give a YAML file"
        )
    try:
        written = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ScenarioError(f"the fault scenario {path} cannot be read: {(error.strerror or '').lower()}") from None
    except UnicodeDecodeError:
        raise ScenarioError(f"the fault scenario {path} is not UTF-8 text") from None
    return path.stem, parse(written, str(path) if is_path else path.name)


def parse(written: str, where: str) -> Scenario:
    """A scenario from YAML (or JSON) text; `where` names the text in errors.

    Raises:
        ScenarioError: it is wrong.
    """
    data = document(written, where)
    read = fields(where, data, {"says": text, "faults": _faults, "tokens": _tokens})
    access, refresh = read.get("tokens", (None, None))
    return Scenario(read.get("says", ""), read.get("faults", ()), access, refresh)


def _faults(where: str, data: Any) -> tuple[Fault, ...]:
    if not isinstance(data, list):
        raise wrong(where, "a list of faults", data)
    return tuple(_fault(f"{where}[{number}]", one) for number, one in enumerate(data))


def _tokens(where: str, data: Any) -> tuple[float | None, float | None]:
    read = fields(where, data, {"access": seconds, "refresh": seconds})
    return read.get("access"), read.get("refresh")


def _fault(where: str, data: Any) -> Fault:
    read = fields(where, data, _FAULT)
    deeds = [key for key in _DEEDS if key in read]
    if len(deeds) > 1:
        raise ScenarioError(f"{where} says {' and '.join(deeds)}: a fault does one of these, so write two faults")
    if not deeds and not read.keys() & {"delay", "rate", "headers"}:
        raise ScenarioError(f"{where} does nothing: give it one of {', '.join((*_DEEDS, 'delay', 'rate', 'headers'))}")
    if "refuse" in deeds and len(read) > 1:
        raise ScenarioError(f"{where} says refuse, which takes nothing else: who does not listen knows of no request")
    if alone := [key for key in _OF_STATUS if key in read and "status" not in read]:
        raise ScenarioError(f"{where}.{alone[0]} is part of a status: give that, too")
    if "reset" in read and not read.keys() & {"drop", "lose", "hang-up"}:
        raise ScenarioError(f"{where}.reset says how a connection is closed: it needs drop, lose or hang-up")
    return Fault(**{key.replace("-", "_"): value for key, value in read.items()})


def _match(where: str, data: Any) -> Match:
    read = fields(where, data, {"operation": _operations, "method": _methods, "repository": text, "reference": text})
    return Match(
        read.get("operation", ("*",)),
        read.get("method", ("*",)),
        read.get("repository", "*"),
        read.get("reference", "*"),
    )


def _times(where: str, data: Any) -> Times:
    kinds: Mapping[str, Read] = {
        "skip": whole(0),
        "every": whole(1),
        "first": whole(1),
        "each": one_of("registry", "repository", "reference"),
    }
    return Times(**fields(where, data, kinds))


def _operations(where: str, data: Any) -> tuple[str, ...]:
    patterns = texts(where, data)
    for pattern in patterns:
        if not any(fnmatchcase(operation, pattern) for operation in OPERATIONS):
            raise ScenarioError(f"{where}: {pattern!r} is no operation; there are {', '.join(OPERATIONS)}")
    return patterns


def _methods(where: str, data: Any) -> tuple[str, ...]:
    methods = texts(where, data)
    if unknown := [method for method in methods if method not in _METHODS]:
        raise ScenarioError(f"{where}: {unknown[0]!r} is no method; there are {', '.join(_METHODS)}")
    return methods


def _amount(where: str, data: Any) -> Amount:
    if isinstance(data, int) and not isinstance(data, bool) and data >= 0:
        return Amount(data)
    match = _PERCENT.fullmatch(data) if isinstance(data, str) else None
    if match is None or float(match[1]) > 100:
        raise wrong(where, "a number of bytes, or a share like 50%", data)
    return Amount(percent=float(match[1]))


def _code(where: str, data: Any) -> str:
    if not (isinstance(data, str) and _CODE.fullmatch(data)):
        raise wrong(where, "an error code like TOOMANYREQUESTS", data)
    return data


def _headers(where: str, data: Any) -> Mapping[str, str | None]:
    if not isinstance(data, dict) or not data:
        raise wrong(where, "a mapping of header names to values", data)
    headers = {str(name): None if value is None else str(value) for name, value in data.items()}
    for name, value in headers.items():
        if not re.fullmatch(r"[A-Za-z0-9-]+", name) or re.search(r"[\r\n\0]", value or ""):
            raise ScenarioError(f"{where}: {name!r} with this value is no header")
    return headers


_FAULT: Mapping[str, Read] = {
    "match": _match,
    "times": _times,
    "delay": seconds,
    "refuse": yes,
    "hang-up": one_of("before", "after"),
    "status": whole(400, 599),
    "code": _code,
    "message": text,
    "body": text,
    "headers": _headers,
    "lose": _amount,
    "full-disk": yes,
    "drop": _amount,
    "truncate": _amount,
    "corrupt": _amount,
    "rate": whole(1),
    "reset": yes,
}
