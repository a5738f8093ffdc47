"""What the tests of targets share."""

import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from docker_daemon import Daemon


@pytest.fixture
def daemon(monkeypatch):
    """A daemon that DOCKER_HOST leads to. Its socket's path is short, as those of sockets must be."""
    with tempfile.TemporaryDirectory() as directory:
        daemon = Daemon(Path(directory) / "docker.sock")
        monkeypatch.setenv("DOCKER_HOST", daemon.url)
        yield daemon
        daemon.close()
