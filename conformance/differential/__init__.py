"""Layer trees that nobody thought of, unpacked by two targets: they must show the same.

A tree is the layers of an image, entry by entry, made up by Hypothesis with collisions, links, whiteouts and hostile
names on purpose. Each becomes an image, is mounted, and is surveyed by the probe; what a node refuses is compared by
its words. The targets are spoken to over the wire, as everywhere in the suite.

    python -m conformance.differential --help
"""

from conformance.differential.compare import Difference, compare
from conformance.differential.recorded import RecordedTrees, recorded_trees, write_trees
from conformance.differential.shrink import shrink
from conformance.differential.survey import Seen, Surveyor
from conformance.differential.trees import Tree, generate, size_of

__all__ = [
    "Difference",
    "RecordedTrees",
    "Seen",
    "Surveyor",
    "Tree",
    "compare",
    "generate",
    "recorded_trees",
    "shrink",
    "size_of",
    "write_trees",
]
