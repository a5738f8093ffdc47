"""The offline node's scripts are run by name and are no package: the tests import them from their folder."""

import sys
from pathlib import Path

import pytest

NODE_IMAGE = Path(__file__).parents[2] / "fixtures" / "node-image"
sys.path.insert(0, str(NODE_IMAGE))


@pytest.fixture(scope="session")
def node_image() -> Path:
    return NODE_IMAGE
