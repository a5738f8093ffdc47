"""`emulator.start`: the emulator beside a Python process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import emulator


def test_it_runs_for_as_long_as_the_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with emulator.start(private_registry=("me", "secret"), speed=5) as running:
        assert running.kubeconfig.exists()
        assert running.registry.startswith("127.0.0.1:")
        assert running.private_registry is not None
    assert list(tmp_path.iterdir()) == []


def test_why_it_did_not_start_is_told() -> None:
    with pytest.raises(emulator.StartError, match="there is no runtime profile 'none'"), emulator.start(runtime="none"):
        pass


def test_an_error_in_the_block_ends_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with pytest.raises(KeyError), emulator.start():
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_the_password_is_not_among_the_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    popen = subprocess.Popen

    def spy(arguments: list[str], **options: object) -> subprocess.Popen[str]:
        seen.append(arguments)
        return popen(arguments, **options)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(subprocess, "Popen", spy)
    with emulator.start(private_registry="me:secret"):
        pass
    assert "secret" not in " ".join(seen[0])


def test_starting_it_costs_little_to_import() -> None:
    script = (
        "import sys, emulator; print(len([m for m in sys.modules if m.startswith(('aiohttp', 'yaml', 'asyncio'))]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert done.stdout == "0\n"
