"""The specification's own conformance programme judges the registry, all of its optional parts included."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

PROGRAMME = "github.com/opencontainers/distribution-spec/conformance"
MODULE = Path(__file__).parent / "conformance"  # pins its version and its hash


@pytest.fixture(scope="module")
def programme(tmp_path_factory):
    go = shutil.which("go")
    assert go, "this test builds the OCI conformance programme and needs Go on PATH"
    binary = tmp_path_factory.mktemp("conformance") / "conformance"
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false"}
    command = [go, "build", "-o", str(binary), PROGRAMME]
    built = subprocess.run(command, cwd=MODULE, env=environment, capture_output=True, text=True, check=False)
    assert built.returncode == 0, f"the OCI conformance programme cannot be had or built:\n{built.stderr}"
    return binary


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("private", [False, True])
def test_conformance(served, programme, tmp_path, private):
    environment = {
        "OCI_VERSION": "1.1",
        "OCI_REGISTRY": served.private_host if private else served.host,
        "OCI_USERNAME": "u" if private else "",
        "OCI_PASSWORD": "p" if private else "",
        "OCI_TLS": "disabled",
        "OCI_RESULTS_DIR": str(tmp_path),
        "OCI_API_BLOBS_DIGEST_HEADER": "true",
        "OCI_API_BLOBS_UPLOAD_CANCEL": "true",
        "OCI_API_MANIFESTS_DIGEST_HEADER": "true",
    }
    run = subprocess.run(
        [programme], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert run.returncode == 0, run.stdout + run.stderr
    counts = {name: int(number) for name, number in re.findall(r"^  (\w+)\.+: +(\d+)$", run.stdout, re.MULTILINE)}
    assert counts["Pass"] == counts["Total"] >= 862, run.stdout
