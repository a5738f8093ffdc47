"""The suite notices an emulator that is broken on purpose: the claims that must fail do, and a healthy one passes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SABOTAGE = Path(__file__).parent / "sabotage"
HEALTHY = "api/empty-reference-rejected"

BREAKAGES = {
    "writable_mount": [
        "readonly/create-denied-to-user",
        "readonly/mkdir-denied-to-root",
        "readonly/unlink-denied-to-root",
        "readonly/rename-denied-to-root",
        "readonly/chmod-denied-to-root",
        "readonly/open-write-denied-to-root",
    ],
    "everything_readable": ["permissions/user-and-closed-file", "permissions/user-and-private-inside-file"],
    "nothing_executable": ["mount/executable-bit-kept"],
    "whiteouts_kept_as_files": ["image/whiteout-hides-lower-file", "image/whiteout-of-nothing-disappears"],
    "diff_ids_unchecked": ["image/wrong-diff-id-fails-to-pull"],
    "blobs_unchecked": ["image/corrupt-layer-fails-to-pull"],
    "any_platform_will_do": ["image/index-without-node-platform-fails-to-pull"],
    "secrets_unused": ["auth/pod-secret-is-used-for-image-volumes", "auth/secret-added-later-lets-the-pod-start"],
    "private_images_for_all": ["auth/cached-private-image-is-not-given-to-others"],
    "always_pulls_once": [
        "pull-policy/always-new-pod-sees-moved-tag",
        "pull-policy/always-restarted-container-sees-moved-tag",
    ],
    "default_policy_is_if_not_present": ["pull-policy/default-for-no-tag", "pull-policy/default-for-latest-and-digest"],
    "pods_may_change": ["api/reference-of-a-pod-is-immutable"],
    "security_unenforced": ["security/restricted-refuses-what-it-must"],
    "rollout_stops_the_old_first": [
        "rollout/new-digest-loses-no-request",
        "rollout/bad-digest-leaves-the-old-version-serving",
    ],
}


# Seconds that a claim waits which a breakage keeps from coming true: others come true in less on a busy machine, too.
_PATIENCE = "12"


def suite(tmp_path: Path, *options: str, workers: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the suite by itself, as a process."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "conformance", f"-n{workers}", f"--report={tmp_path}", *options],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def judge(tmp_path: Path, claims: list[str], *options: str, **environment: str) -> tuple[int, dict[str, str]]:
    """Run the suite by itself on some claims; its exit status and the verdicts by claim."""
    asked = [f"--claim={claim}" for claim in claims]
    run = suite(
        tmp_path, "-q", "-p", "no:cacheprovider", *asked, *options, **{"IMGVOL_PATIENCE": _PATIENCE, **environment}
    )
    results = tmp_path / "results.json"
    assert results.exists(), run.stdout + run.stderr
    return run.returncode, {one["id"]: one["verdict"] for one in json.loads(results.read_text())["claims"]}


# Breakages that have nothing to do with each other share an emulator, since starting one and the suite takes seconds.
TOGETHER = (
    "writable_mount whiteouts_kept_as_files default_policy_is_if_not_present secrets_unused",
    "everything_readable diff_ids_unchecked always_pulls_once pods_may_change",
    "nothing_executable blobs_unchecked any_platform_will_do private_images_for_all security_unenforced",
    "rollout_stops_the_old_first",
)


def test_every_breakage_is_tried() -> None:
    assert sorted(" ".join(TOGETHER).split()) == sorted(BREAKAGES)


@pytest.mark.parametrize("breakages", TOGETHER)
def test_breakages_are_noticed(breakages: str, tmp_path: Path) -> None:
    failing = [claim for breakage in breakages.split() for claim in BREAKAGES[breakage]]
    status, verdicts = judge(tmp_path, [*failing, HEALTHY], IMGVOL_BREAKAGES=breakages, PYTHONPATH=str(SABOTAGE))
    assert verdicts == {**dict.fromkeys(failing, "fail"), HEALTHY: "pass"}
    assert status == 1


def test_without_a_breakage_all_of_them_pass(tmp_path: Path) -> None:
    claims = sorted({HEALTHY, *(claim for failing in BREAKAGES.values() for claim in failing)})
    status, verdicts = judge(tmp_path, claims, PYTHONPATH=str(SABOTAGE))
    assert verdicts == dict.fromkeys(claims, "pass")
    assert status == 0


def test_an_engine_that_is_deaf_to_sigterm_is_noticed(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for program in (ROOT / "build" / "bin").iterdir():
        (programs / program.name).symlink_to(program)
    for architecture in ("amd64", "arm64"):
        (programs / f"engine-linux-{architecture}").unlink()
        subprocess.run(
            ["go", "build", "-o", str(programs / f"engine-linux-{architecture}"), "."],
            cwd=ROOT / "bench" / "engine_naive",
            env={**os.environ, "GOARCH": architecture, "GOOS": "linux", "CGO_ENABLED": "0"},
            check=True,
        )
    claim = "engine/ends-by-itself-on-sigterm"
    status, verdicts = judge(tmp_path, [claim], IMGVOL_BIN=str(programs))
    assert (status, verdicts) == (1, {claim: "fail"})


def test_an_old_runtime_fails_exactly_the_subpath_claims(tmp_path: Path) -> None:
    status, verdicts = judge(tmp_path, ["subpath/*", "mount/*"], "--runtime=containerd-2.1")
    assert verdicts == {claim: "fail" if claim.startswith("subpath/") else "pass" for claim in verdicts}
    assert {claim.split("/")[0] for claim in verdicts} == {"subpath", "mount"}
    assert status == 1


def test_without_namespaces_what_needs_the_kernel_is_unsupported_and_the_rest_judged(tmp_path: Path) -> None:
    claims = ["readonly/*", "permissions/*", "api/*", "image/truncated-layer-fails-to-pull"]
    status, verdicts = judge(tmp_path, claims, "--isolation=none")
    needing = {claim for claim in verdicts if claim.split("/")[0] in {"readonly", "permissions"}}
    assert verdicts == {claim: "unsupported" if claim in needing else "pass" for claim in verdicts}
    assert len(needing) > 20
    assert status == 0


@pytest.mark.parametrize("option", ["--target=kind", "--aks", "--kubeconfig=none"])
def test_a_target_that_cannot_be_had_is_a_failure(option: str, tmp_path: Path) -> None:
    run = suite(tmp_path, option, DOCKER_HOST="unix:///nonexistent/docker.sock")
    assert run.returncode == 1
    assert "no target: " in run.stdout + run.stderr
    assert "Traceback" not in run.stdout + run.stderr


def test_the_emulator_is_not_recorded(tmp_path: Path) -> None:
    run = suite(tmp_path, "--record")
    assert run.returncode == 1
    assert "recordings are made from real clusters only" in run.stdout + run.stderr


def test_an_unknown_claim_is_a_usage_error(tmp_path: Path) -> None:
    run = suite(tmp_path, "--claim=no/such", "--collect-only")
    assert run.returncode == pytest.ExitCode.USAGE_ERROR
    assert "no claim is called no/such" in run.stderr


def test_pools_are_judged_apart(tmp_path: Path) -> None:
    """Two pools of one cluster: the subPath claim fails on containerd 2.1 and holds on 2.3, and is told so."""
    claim = "subpath/missing-directory-fails"
    status, _ = judge(tmp_path, [claim, HEALTHY], "--pool=old=containerd-2.1", "--pool=new=containerd-2.3")
    told = json.loads((tmp_path / "results.json").read_text())
    verdicts = {(one["id"], one["pool"]): one["verdict"] for one in told["claims"]}
    assert verdicts == {
        (claim, "old"): "fail",
        (claim, "new"): "pass",
        (HEALTHY, "old"): "pass",
        (HEALTHY, "new"): "pass",
    }
    assert {node["pool"]: node["runtime"] for node in told["target"]["nodes"]} == {
        "old": "containerd://2.1.9",
        "new": "containerd://2.3.7",
    }
    assert status == 1


def test_a_claim_that_there_is_not_is_said_by_workers_too(tmp_path: Path) -> None:
    done = suite(tmp_path, "-q", "--claim=mount/nothing", workers=1)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "ERROR: --claim: no claim is called mount/nothing; docs/claims.md lists them all" in done.stdout
    assert "INTERNALERROR" not in done.stdout


def test_every_node_of_fifty(tmp_path: Path) -> None:
    """All fifty nodes of one process are judged at once, each with the times of its pulls."""
    claim = "node/content-on-every-node"
    status, verdicts = judge(tmp_path, [claim], "--every-node", "--nodes=50", IMGVOL_PATIENCE="60")
    assert (status, verdicts) == (0, {claim: "pass"})
    (told,) = json.loads((tmp_path / "results.json").read_text())["claims"]
    lines = told["evidence"].splitlines()
    assert len({line.split(":")[0] for line in lines}) == 50
    assert all(": pulled cold in " in line and " s, warm in " in line for line in lines)
    assert "untold" not in told["evidence"]


BY_NODE = ["pull-policy/if-not-present-differs-by-node", "pull-policy/digest-is-the-same-on-every-node"]


@pytest.mark.parametrize(("nodes", "verdict"), [("1", "unsupported"), ("2", "pass")])
def test_what_differs_by_node_needs_two_nodes(tmp_path: Path, nodes: str, verdict: str) -> None:
    status, verdicts = judge(tmp_path, [*BY_NODE, HEALTHY], f"--nodes={nodes}")
    assert status == 0
    assert verdicts == {**dict.fromkeys(BY_NODE, verdict), HEALTHY: "pass"}
