"""Every image case and pod case is a claim: the case's YAML says what is built, run and expected."""

from __future__ import annotations

import pytest

from conformance.claims import Claim, claim_param
from conformance.judge import violations
from conformance.lab import Lab
from fixtures import Case, image_cases, pod_cases


def _claims() -> list[object]:
    return [
        claim_param(case, Claim(case.claim, case.says, case.source, case.needs))
        for case in (*image_cases(), *pod_cases())
    ]


@pytest.mark.parametrize("case", _claims())
def test_case(case: Case, lab: Lab, evidence: list[str]) -> None:
    seen = lab.run_case(case)
    evidence.append(seen.brief())
    owners = "owners" in case.needs or "owners" not in lab.target.lacks
    assert violations(case, seen, owners=owners) == []
