"""Nothing can be changed in a mount, whoever tries and however."""

from __future__ import annotations

import pytest

from conformance.claims import MOUNTS, Claim, claim_param
from conformance.lab import Lab
from conformance.pods import usual_pod
from fixtures import image_cases

_OK = next(case for case in image_cases() if case.name == "ok").images["ok"]
_DOCS = "Kubernetes docs: image volumes are mounted read-only"
_EROFS, _EACCES = "read-only file system", "permission denied"
# Permissions come first: to open a root file for writing is denied to others before the mount is asked.
_ATTEMPTS = {
    "create": ("Creating a file", _EROFS),
    "open-write": ("Opening a file for writing", _EACCES),
    "mkdir": ("Making a directory", _EROFS),
    "unlink": ("Removing a file", _EROFS),
    "rename": ("Renaming a file", _EROFS),
    "chmod": ("Changing a file's mode", _EROFS),
}
_USERS = {
    "user": ("uid 65532", {}),
    "root": ("root", {"securityContext": {"runAsUser": 0}}),
}


def _claims() -> list[object]:
    found = []
    for attempt, (doing, error) in _ATTEMPTS.items():
        for user, (who, spec) in _USERS.items():
            expected = _EROFS if user == "root" else error
            judged = Claim(
                f"readonly/{attempt}-denied-to-{user}", f"{doing} in the mount is denied to {who}.", _DOCS, MOUNTS
            )
            found.append(claim_param((attempt, spec, expected), judged))
    return found


@pytest.mark.parametrize("case", _claims())
def test_denied(case: tuple[str, dict[str, object], str], lab: Lab, evidence: list[str]) -> None:
    attempt, spec, expected = case
    lab.push("ok", _OK)
    seen = lab.look(usual_pod("tries", image=lab.probe, reference=f"{lab.repository('ok').reference}:v1", spec=spec))
    evidence.append(seen.probe["writes"][attempt])
    assert seen.probe["writes"][attempt].endswith(expected)
