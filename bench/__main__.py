"""Run the benchmarks: `python -m bench [NAME…]`; without a name, all of them."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

_NAMES = sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))


def _main(asked: list[str]) -> int:
    if unknown := sorted(set(asked) - set(_NAMES)):
        print(f"bench: there is no {', '.join(unknown)}; there are {', '.join(_NAMES)}", file=sys.stderr)
        return 2
    for name in asked or _NAMES:
        print(f"== {name}")
        importlib.import_module(f"bench.{name}").run()
    return 0


sys.exit(_main(sys.argv[1:]))
