"""results.json: what a run found, for machines. docs/report.md describes every field."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conformance.claims import Claim, Verdict
from conformance.files import write_json
from conformance.targets import Fingerprint, NodeFingerprint

__all__ = ["SCHEMA", "Judgement", "Provenance", "Results", "UnreadableError", "read", "write"]

# The version of the file's form. It changes when a reader of the old form would misread the new one.
SCHEMA = 1
# What is judged once, not pool by pool.
_WHOLE = "whole target"
_BAD = frozenset({Verdict.FAIL, Verdict.ERROR})
_NODE_REQUIRED = [one.name for one in dataclasses.fields(NodeFingerprint) if one.default is dataclasses.MISSING]
_NODE_OPTIONAL = [one.name for one in dataclasses.fields(NodeFingerprint) if one.default is not dataclasses.MISSING]


_KINDS: dict[Any, str] = {str: "text", dict: "an object", list: "a list"}
_A_YEAR = 366 * 86400


class UnreadableError(Exception):
    """A file cannot be read as results.json; the message is one sentence that names it."""


@dataclass(frozen=True)
class Judgement:
    """One claim judged on one node pool: seconds it took, and what was seen, or why it could not be judged.

    `pool` is empty where the target has no pools.
    """

    claim: Claim
    verdict: Verdict
    seconds: float
    evidence: str
    pool: str = ""


@dataclass(frozen=True)
class Provenance:
    """Where results come from: when the run began (RFC 3339, UTC), the seconds it took, the suite's version, and the
    options that were not left at their defaults, without secrets.
    """

    started: str
    seconds: float
    suite: str
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Results:
    """A run: where it comes from, the versions that answered, and the verdicts by claim and pool."""

    provenance: Provenance
    target: Fingerprint
    judged: tuple[Judgement, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "judged", tuple(sorted(self.judged, key=lambda one: (one.claim.id, one.pool))))

    @property
    def pools(self) -> list[str]:
        """The pools that claims were judged on, by name."""
        return sorted({one.pool for one in self.judged})

    @property
    def failed(self) -> bool:
        """Whether a claim failed or could not be judged, or none was judged at all."""
        return not self.judged or any(one.verdict in _BAD for one in self.judged)

    def heading_of(self, pool: str) -> str:
        """What stands above a pool's verdicts: its name, or a word for what belongs to none."""
        return pool or ("verdict" if self.pools == [""] else _WHOLE)

    def nodes_of(self, pool: str) -> list[NodeFingerprint]:
        """The nodes of a pool; where claims were not judged per pool, all of them."""
        return [node for node in self.target.nodes if node.pool == pool or not pool]

    def to_json(self) -> dict[str, Any]:
        """The value that results.json holds."""
        return {
            "schema": SCHEMA,
            "run": dataclasses.asdict(self.provenance),
            "target": dataclasses.asdict(self.target),
            "claims": [
                {
                    "id": one.claim.id,
                    "pool": one.pool,
                    "verdict": str(one.verdict),
                    "seconds": round(one.seconds, 3),
                    "source": one.claim.source,
                    "says": one.claim.says,
                    "evidence": one.evidence,
                }
                for one in self.judged
            ],
        }


def write(path: Path, results: Results) -> None:
    """Write results.json, whole or not at all."""
    write_json(path, results.to_json())


def read(path: Path) -> Results:
    """The results in a file; fields that this version does not know are passed over.

    Raises UnreadableError.
    """
    try:
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise UnreadableError(f"{path}: {(error.strerror or 'cannot be read').lower()}") from None
    except (ValueError, RecursionError):
        raise UnreadableError(f"{path} is not JSON: give the results.json that a run of the suite wrote") from None
    if not isinstance(data, dict) or "claims" not in data:
        raise UnreadableError(f"{path} does not hold results: give the results.json that a run of the suite wrote")
    if (schema := data.get("schema")) != SCHEMA or isinstance(schema, bool):
        told = f"of schema {json.dumps(schema)[:40]}" if "schema" in data else "without a schema version"
        raise UnreadableError(
            f"{path} holds results {told}, and this imgvol reads schema {SCHEMA}: judge again, or use the imgvol "
            "that wrote them"
        )
    try:
        return _results(data)
    except _MisshapenError as error:
        raise UnreadableError(f"{path} holds malformed results: {error}") from None


class _MisshapenError(Exception):
    pass


def _results(data: Mapping[str, Any]) -> Results:
    run = _get(data, "run", dict, "")
    options = _get(run, "options", dict, "run.")
    provenance = Provenance(
        started=_get(run, "started", str, "run."),
        seconds=_seconds(run, "run."),
        suite=_get(run, "suite", str, "run."),
        options={name: _get(options, name, str, "run.options.") for name in options},
    )
    judged = tuple(_judgement(one, f"claims[{n}]") for n, one in enumerate(_get(data, "claims", list, "")))
    seen: set[tuple[str, str]] = set()
    for n, one in enumerate(judged):
        if (key := (one.claim.id, one.pool)) in seen:
            raise _MisshapenError(f"claims[{n}] judges {one.claim.id} on the same pool a second time")
        seen.add(key)
    return Results(provenance, _fingerprint(_get(data, "target", dict, "")), judged)


def _fingerprint(data: Mapping[str, Any]) -> Fingerprint:
    nodes = []
    for n, node in enumerate(_get(data, "nodes", list, "target.")):
        where = f"target.nodes[{n}]"
        if not isinstance(node, dict):
            raise _MisshapenError(f"{where} is not an object")
        values = {name: _get(node, name, str, f"{where}.") for name in _NODE_REQUIRED}
        values |= {name: _get(node, name, str, f"{where}.") for name in _NODE_OPTIONAL if name in node}
        nodes.append(NodeFingerprint(**values))
    plain = {name: _get(data, name, str, "target.") for name in ("target", "kubernetes", "emulator")}
    return Fingerprint(**plain, nodes=tuple(nodes))


def _judgement(data: Any, where: str) -> Judgement:
    if not isinstance(data, dict):
        raise _MisshapenError(f"{where} is not an object")
    text = {
        name: _get(data, name, str, f"{where}.") for name in ("id", "pool", "says", "source", "verdict", "evidence")
    }
    if text["verdict"] not in list(Verdict):
        raise _MisshapenError(f"{where}.verdict is {text['verdict'][:40]!r}, which is none of {', '.join(Verdict)}")
    try:
        claim = Claim(text["id"], text["says"], text["source"])
    except ValueError as error:
        raise _MisshapenError(f"{where}: {error}") from None
    return Judgement(claim, Verdict(text["verdict"]), _seconds(data, f"{where}."), text["evidence"], text["pool"])


def _seconds(data: Mapping[str, Any], where: str) -> float:
    if "seconds" not in data:
        raise _MisshapenError(f"{where}seconds is missing")
    value = data["seconds"]
    if type(value) not in (int, float) or not 0 <= value < _A_YEAR:
        raise _MisshapenError(f"{where}seconds is not a length of time")
    return float(value)


def _get(data: Mapping[str, Any], name: str, kind: type, where: str) -> Any:
    if name not in data:
        raise _MisshapenError(f"{where}{name} is missing")
    if not isinstance(data[name], kind):
        raise _MisshapenError(f"{where}{name} is not {_KINDS[kind]}")
    return data[name]
