"""Runs of the suite to tell about, made up."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from conformance.claims import Claim, Verdict
from conformance.report import Judgement, Provenance, Results
from conformance.targets import Fingerprint, NodeFingerprint

_BROWSER = "chromium"
_DRIVER = "chromedriver"
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
_PATIENCE = 200.0

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


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A real browser with a fresh profile, driven over WebDriver, which writes down what it asks the network for."""
    if not (shutil.which(_BROWSER) and shutil.which(_DRIVER)):
        # The CI run installs one, and would not notice that nothing was tested.
        tell = pytest.fail if os.environ.get("IMGVOL_BROWSER_REQUIRED") else pytest.skip
        tell("needs a browser: apt-get install chromium chromium-driver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which(_BROWSER))
    for flag in (*_FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('browser') / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(str(shutil.which(_DRIVER))))
    try:
        driver.set_page_load_timeout(_PATIENCE)
        driver.set_script_timeout(_PATIENCE)
        yield driver
    finally:
        driver.quit()
