"""What the tests of faults share."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from faulty_served import Served


@pytest.fixture
def served(tmp_path):
    """A running registry."""
    served = Served(tmp_path / "registry")
    yield served
    served.close()
