"""Recording what a real cluster does with every case, as the standard that the emulator is held to.

One file a case, `fixtures/observations/<fingerprint>/<case>.json`, and one a claim, `…/claims/<topic>/<claim>.json`:
what was seen normalised, as it was seen, and where it comes from. Nothing is recorded from the emulator.
"""

from __future__ import annotations

import dataclasses
import platform
import re
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from conformance.claims import Verdict
from conformance.cluster import Cluster
from conformance.files import write_json
from conformance.lab import Lab
from conformance.observation import Observation, normalised, symbolic
from conformance.report import Judgement
from conformance.targets import Fingerprint, Target
from fixtures import Case, image_cases, pod_cases

__all__ = [
    "NotRealError",
    "fingerprint_name",
    "names_of",
    "normal_evidence",
    "place_of",
    "provenance",
    "record",
    "record_claims",
    "stages",
    "write_claims",
]

# Where the repositories of the recordings are, and the case that goes first: it finds nothing on the node.
LAB = "lab"
FIRST = "ok"
# A node says all it has to say of a case within this many seconds of silence, its back-off's first steps included.
_QUIET = 20.0


# The verdicts that say something of the target.
_TELLING = (Verdict.PASS, Verdict.FAIL, Verdict.UNSUPPORTED)


class NotRealError(Exception):
    """The target is an emulator, of which nothing is to be learnt."""


def fingerprint_name(fingerprint: Fingerprint) -> str:
    """The folder of a fingerprint, e.g. `kubernetes-1.36.3_containerd-2.3.7`."""
    runtime, _, version = fingerprint.nodes[0].runtime.partition("://")
    return f"kubernetes-{fingerprint.kubernetes.removeprefix('v')}_{runtime}-{version.removeprefix('v')}"


def place_of(target: Target, folder: Path) -> Path:
    """Where the recordings of a target are. Raises NotRealError for an emulator."""
    if target.fingerprint.emulator:
        raise NotRealError("recordings are made from real clusters only: this target says it is an emulator")
    return folder / fingerprint_name(target.fingerprint)


def names_of(target: Target) -> dict[str, str]:
    """The texts of a run that recordings have symbols for."""
    names = {target.registry.name: "<registry>", target.description.closed: "<no-registry>"}
    if target.faulty:
        # One registry to what is recorded, wherever it runs; dial errors name it by its address.
        names |= {target.faulty.name: "<registry>", target.faulty.host: "<registry>"}
    if target.private:
        names[target.private.name] = "<private-registry>"
    return names


def stages() -> list[list[Case]]:
    """All cases in the order they are recorded in: the first alone, then images, then pods."""
    first = [case for case in image_cases() if case.name == FIRST]
    return [first, [case for case in image_cases() if case.name != FIRST], list(pod_cases())]


def lab_for(target: Target, case: Case) -> Lab:
    """A namespace and the recordings' repositories for a case. Its images carry its name, or the first case's."""
    cluster = Cluster(target, f"case-{case.name.lower().replace('+', '-')}")
    return Lab(cluster, LAB, LAB, nonce=case.name if case in image_cases() else FIRST)


def record(target: Target, folder: Path, *, skip: Collection[str] = (), workers: int = 12) -> Iterator[Path]:
    """Run every case on a fresh target and write its file into the folder of the target's fingerprint.

    Those to `skip` are left out, but for the first, which every recording begins with. Raises NotRealError for an
    emulator. Files are written whole or not at all.
    """
    place = place_of(target, folder)
    Lab.prepare(target, LAB)
    pool = ThreadPoolExecutor(workers)
    try:
        for stage in stages():
            asked = [case for case in stage if case.name == FIRST or case.name not in skip]
            yield from pool.map(lambda case: _record(target, case, place), asked)
    finally:
        # Who ends a recording does not wait for the cases under way: their target goes, and they fail.
        pool.shutdown(wait=False, cancel_futures=True)


def _record(target: Target, case: Case, place: Path) -> Path:
    began = time.monotonic()
    lab = lab_for(target, case)
    try:
        seen = lab.run_case(case, quiet=_QUIET)
    finally:
        lab.cluster.remove()
    return write_case(place, case.name, seen, names_of(target), provenance(target, time.monotonic() - began))


def provenance(target: Target, seconds: float) -> dict[str, Any]:
    """Where a recording that took so many seconds comes from."""
    return {
        "fingerprint": dataclasses.asdict(target.fingerprint),
        "host": {"kernel": platform.release(), "machine": platform.machine()},
        "recorded": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "seconds": round(seconds, 1),
    }


def write_case(
    place: Path, name: str, seen: Observation, names: Mapping[str, str], provenance: Mapping[str, Any]
) -> Path:
    """Write one case's file, whole or not at all, whoever else writes there."""
    path = place / f"{name}.json"
    told = {
        "case": name,
        "provenance": provenance,
        "normalised": _told(normalised(seen, names)),
        "raw": _told(seen),
    }
    write_json(path, told, indent=1, sort_keys=True)
    return path


def _told(seen: Observation) -> dict[str, Any]:
    return {key: value for key, value in dataclasses.asdict(seen).items() if value}


def record_claims(target: Target, folder: Path, judged: Iterable[Judgement]) -> Iterator[Path]:
    """Write what became of each claim into the folder of the target's fingerprint; see `write_claims`.

    None is written of a claim that a case states: what the case did is recorded, and is judged again whenever it is
    read; and none of one that this cluster could not be judged by. Raises NotRealError for an emulator.
    """
    cases = {case.claim for case in (*image_cases(), *pod_cases())}
    learnt = (one for one in judged if one.claim.id not in cases and one.verdict is not Verdict.UNSUPPORTED)
    yield from write_claims(target, place_of(target, folder), learnt)


def write_claims(target: Target, place: Path, judged: Iterable[Judgement]) -> Iterator[Path]:
    """Write verdicts and evidence into `place/claims`, a file a claim, whole or not at all.

    Only verdicts that say something of the target are written, and only of the target as a whole, not of its pools.
    """
    for one in judged:
        if one.verdict in _TELLING and not one.pool:
            path = place / "claims" / f"{one.claim.id}.json"
            told = {
                "claim": one.claim.id,
                "provenance": provenance(target, one.seconds),
                "normalised": {"verdict": str(one.verdict), "evidence": normal_evidence(target, one.evidence)},
                "raw": {"evidence": one.evidence},
            }
            write_json(path, told, indent=1, sort_keys=True)
            yield path


def normal_evidence(target: Target, evidence: str) -> str:
    """A claim's evidence with what differs from run to run made symbolic."""
    run = re.escape(target.description.run)
    return re.sub(rf"\b{run}-[a-z0-9-]+|\b{run}\b", "<run>", symbolic(evidence, names_of(target)))
