"""When root runs these tests, they also run as a user who is nobody: in user namespaces alone."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from emulator.node.sandbox import remove_tree
from emulator.node.sandbox.programs import bubblewrap

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
NOBODY = "54321"


def exposed(paths: list[Path]) -> list[str]:
    """Arguments of bubblewrap that make paths reachable for all, where they lie in a directory closed to others."""
    covers, binds = set(), []
    for path in paths:
        *below, _ = path.parents  # the nearest first, without /
        closed = [parent for parent in below if not parent.stat().st_mode & stat.S_IXOTH]
        if closed:
            covers.add(str(closed[-1]))
            for parent in reversed(below[: below.index(closed[-1])]):
                binds += ["--perms", "0755", "--dir", str(parent)]
            binds += ["--bind", str(path), str(path)]
    return [*(word for cover in sorted(covers) for word in ("--perms", "0755", "--tmpfs", cover)), *binds]


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(os.geteuid() != 0, reason="runs as an ordinary user already")
def test_all_this_holds_for_an_ordinary_user(tool: Path) -> None:
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv (util-linux) is needed to become another user")
    home = Path(tempfile.mkdtemp(prefix="imgvol-user-"))
    try:
        shutil.copy(tool, home / "tool")
        os.chown(home, int(NOBODY), int(NOBODY))
        environment = {
            "HOME": str(home),
            "PATH": os.environ["PATH"],
            "PYTHONDONTWRITEBYTECODE": "1",
            "HYPOTHESIS_STORAGE_DIRECTORY": str(home / "hypothesis"),
            "SANDBOX_TEST_TOOL": str(home / "tool"),
        }
        command = [
            *(bubblewrap(), "--dev-bind", "/", "/"),
            *exposed([REPOSITORY, Path(sys.prefix), Path(sys.base_prefix)]),
            *("--chdir", str(REPOSITORY), "--"),
            *("setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"),
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0"),
            *(f"--basetemp={home / 'tmp'}", str(HERE)),
        ]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert " passed" in done.stdout
    finally:
        remove_tree(home)
