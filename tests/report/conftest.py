"""Runs of the suite to tell about, made up."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from conformance.claims import Claim, Verdict
from conformance.report import Judgement, Provenance, Results
from conformance.targets import Fingerprint, NodeFingerprint

Made = Callable[..., Results]


@pytest.fixture
def made() -> Made:
    """Makes results from verdicts by pool and claim, e.g. `made({"east": {"mount/a": "pass"}})`.

    `evidence` is text by verdict; `nodes` are fields of the node of a pool that differ from the usual.
    """

    def make(
        verdicts: Mapping[str, Mapping[str, str]],
        *,
        evidence: str = "saw something",
        nodes: Mapping[str, Mapping[str, str]] | None = None,
        started: str = "2026-01-02T03:04:05Z",
    ) -> Results:
        judged = [
            Judgement(
                Claim(id_, f"What {id_} says.", "Kubernetes docs"),
                Verdict(verdict),
                0.25,
                f"{verdict}: {evidence}",
                pool,
            )
            for pool, claims in verdicts.items()
            for id_, verdict in claims.items()
        ]
        usual = {
            "kubelet": "v1.36.3",
            "runtime": "containerd://2.3.7",
            "os_image": "Azure Linux 3.0",
            "kernel": "6.6.1",
            "architecture": "amd64",
        }
        fingerprints = [
            NodeFingerprint(**{"name": f"node-{pool}", "pool": pool, **usual, **(nodes or {}).get(pool, {})})
            for pool in verdicts
        ]
        return Results(
            Provenance(started, 12.5, "0.1.0", {"claim": "mount/*"}),
            Fingerprint("aks", "v1.36.3", "", tuple(fingerprints)),
            tuple(judged),
        )

    return make
