"""What the tests of faults share."""

import hashlib
import itertools
import sys
from pathlib import Path
from unittest import mock

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from acr_on_a_bad_day import ACR, Ticking
from faulty_served import Served

from emulator.registry.acr import parse_config
from packager import uploads
from packager.registries import RegistryClient


@pytest.fixture
def served(tmp_path):
    """A running registry."""
    served = Served(tmp_path / "registry")
    yield served
    served.close()


class Tree:
    """A tree to push, that can be made another."""

    _numbers = itertools.count()

    def __init__(self, path):
        self.path = path
        path.mkdir()
        (path / "data").write_bytes(hashlib.sha256(b"data").digest() * 2000)

    def fresh(self):
        """Let it be one that no registry has; a name for it."""
        name = str(next(self._numbers))
        # What does not compress: the layer is as long as several chunks.
        text = "".join(hashlib.sha256(f"{name}.{line}".encode()).hexdigest() for line in range(600))
        (self.path / "text").write_text(text)
        return name


@pytest.fixture(scope="module")
def new_tree():
    """Makes a tree to push at a path."""

    def new(path):
        tree = Tree(path)
        tree.fresh()
        return tree

    return new


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A tree to push."""
    return Tree(tmp_path_factory.mktemp("pushed") / "tree")


@pytest.fixture(scope="module")
def open_place(tmp_path_factory, tree):
    """A registry without any sign-in, and a tree to push."""
    served = Served(tmp_path_factory.mktemp("pushes") / "registry")
    yield served, tree
    served.close()


@pytest.fixture(scope="module")
def acr_place(tmp_path_factory, tree):
    """A registry that plays ACR, and a tree to push."""
    served = Served(tmp_path_factory.mktemp("acr") / "registry", acr=parse_config(ACR, "acr.yaml"), clock=Ticking())
    yield served, tree
    served.close()


@pytest.fixture(autouse=True, scope="module")
def at_once():
    """Nobody waits between attempts, and layers of a few kilobytes go in chunks."""
    with (
        mock.patch.dict(RegistryClient.__init__.__kwdefaults__, {"pause": lambda _: None}),
        mock.patch.multiple(uploads, _WHOLE=2000, _CHUNK=8000, _LEAST_CHUNK=1000),
    ):
        yield
