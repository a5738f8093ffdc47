"""Every image case and pod case is a claim: the case's YAML says what is built, run and expected."""

from __future__ import annotations

import pytest

from conformance.claims import MOUNTS, Claim, claim_param
from conformance.judge import violations
from conformance.lab import Lab
from fixtures import Case, image_cases, pod_cases


def _claims() -> list[object]:
    return [claim_param(case, _claim(case)) for case in (*image_cases(), *pod_cases())]


def _claim(case: Case) -> Claim:
    runs = case.expect.outcome in {"mounted", "failed"}
    return Claim(case.claim, case.says, case.source, (*MOUNTS, *case.needs) if runs else case.needs)


@pytest.mark.parametrize("case", _claims())
def test_case(case: Case, lab: Lab, evidence: list[str]) -> None:
    seen = lab.run_case(case)
    evidence.append(seen.brief())
    owners = "owners" in case.needs or "owners" not in lab.target.lacks
    found = violations(case, seen, owners=owners)
    if found:
        pytest.fail("; ".join(found), pytrace=False)
