"""Which program reads terraform/: `terraform` on PATH, else the OpenTofu that `make test-terraform` builds.

`python tests/terraform/tool.py` prints its path, or says in one sentence that there is none and exits with 1.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / "build/bin/tofu"
# The first versions whose `test` can mock a provider.
OLDEST = {"terraform": (1, 7), "tofu": (1, 8)}


def version(program: str) -> tuple[int, int] | None:
    """Major and minor version that a program gives of itself; None where it does not run."""
    # Without a configuration of the user's, which may name plugins that are not there.
    environment = {**os.environ, "CHECKPOINT_DISABLE": "1", "TF_CLI_CONFIG_FILE": os.devnull}
    try:
        said = subprocess.run([program, "version", "-json"], capture_output=True, check=True, env=environment)
        major, minor, *_ = json.loads(said.stdout)["terraform_version"].split(".")
        return int(major), int(minor)
    except (OSError, subprocess.CalledProcessError, ValueError, KeyError):
        return None


def find() -> str | None:
    """The program's path, or None: neither Terraform 1.7 nor OpenTofu 1.8 is here."""
    for name, path in (("terraform", shutil.which("terraform")), ("tofu", shutil.which("tofu")), ("tofu", str(BUILT))):
        if path and (version(path) or (0, 0)) >= OLDEST[name]:
            return path
    return None


if __name__ == "__main__":
    if (found := find()) is None:
        sys.exit("no terraform 1.7 or newer on PATH, and no build/bin/tofu; `make test-terraform` builds one")
    sys.stdout.write(found + "\n")
