"""Compare a target with the emulator on trees that nobody thought of.

examples:
  python -m conformance.differential --trees 60          emulator against emulator: is the run itself sound?
  python -m conformance.differential --target kind --trees 500 --record
  python -m conformance.differential --kubeconfig FILE --registry HOST
  python -m conformance.differential --replay            every recorded tree on the emulator, offline

Exit status 1 if they differ; the smallest trees that show it are printed as image cases, for fixtures/images.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from conformance.differential.case import case_yaml
from conformance.differential.compare import Difference, compare
from conformance.differential.recorded import outcomes, recorded_trees, write_trees
from conformance.differential.replay import replay
from conformance.differential.shrink import shrink
from conformance.differential.survey import Seen, Surveyor
from conformance.differential.trees import Tree, generate
from conformance.record import fingerprint_name, provenance
from conformance.targets import Options, Target, TargetUnavailableError, start

__all__: list[str] = []

_SHRUNK = 6


def _parser() -> argparse.ArgumentParser:
    introduction, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        prog="python -m conformance.differential",
        description=introduction,
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--trees", type=_count, default=60, metavar="N", help="how many (default: %(default)s)")
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="what they are made from (default: %(default)s)"
    )
    parser.add_argument("--per-pod", type=_count, default=30, metavar="N", help="volumes a pod (default: %(default)s)")
    parser.add_argument(
        "--record", action="store_true", help="keep what this real target does in fixtures/observations"
    )
    parser.add_argument("--replay", action="store_true", help="compare recorded trees instead; needs no target")
    defaults = Options()
    parser.add_argument("--target", choices=["emulator", "kind"], default=defaults.target, help="as for pytest")
    for option, text in (
        ("kubeconfig", "FILE"),
        ("registry", "HOST[/PREFIX]"),
        ("pull-registry", "HOST[/PREFIX]"),
        ("registry-user", "NAME"),
        ("node-image", "IMAGE"),
        ("registry-image", "IMAGE"),
        ("runtime", "NAME"),
        ("isolation", "NAME"),
    ):
        parser.add_argument(
            f"--{option}", metavar=text, default=getattr(defaults, option.replace("-", "_")), help="as for pytest"
        )
    return parser


def _count(text: str) -> int:
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"one or more are needed, not {text!r}")


def _main(arguments: Sequence[str]) -> int:
    parser = _parser()
    asked = parser.parse_args(arguments)
    try:
        if asked.replay:
            return _replay()
        options = Options(
            **{
                field.name: getattr(asked, field.name)
                for field in dataclasses.fields(Options)
                if hasattr(asked, field.name)
            }
        )
        return _run(asked, options)
    except TargetUnavailableError as error:
        print(f"no target: {error}", file=sys.stderr)
        return 1


def _run(asked: argparse.Namespace, options: Options) -> int:
    trees = generate(asked.trees, asked.seed)
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        real = Target(stack.enter_context(start(options)))
        if asked.record and real.fingerprint.emulator:
            print(
                "--record: recordings are made from real clusters only: this target says it is an emulator",
                file=sys.stderr,
            )
            return 1
        runtime = _runtime(real)
        emulator = Target(stack.enter_context(start(Options(runtime=runtime, isolation=options.isolation))))
        sides = [stack.enter_context(Surveyor(target, per_pod=asked.per_pod)) for target in (real, emulator)]
        both = _Both(sides[0], sides[1])
        found = list(both.differences(trees, _progress))
        _summarise(trees, both.expected, found, time.monotonic() - began)
        if asked.record:
            folder = write_trees(
                fingerprint_name(real.fingerprint), trees, both.expected, _provenance(asked.seed, real, began)
            )
            print(f"recorded {folder}")
        return both.explain(found) if found else 0


class _Both:
    """Two targets, the one that is right first."""

    def __init__(self, right: Surveyor, other: Surveyor) -> None:
        self._right, self._other = right, other
        self._lacks = right.target.lacks.keys() | other.target.lacks.keys()
        self.expected: list[Seen] = []

    def differences(
        self,
        trees: Sequence[Tree],
        progress: Callable[[str, int], contextlib.AbstractContextManager[Callable[[int], None]]],
    ) -> Iterator[Difference]:
        with progress("the emulator", len(trees)) as tell:
            seen = self._other.survey(trees, tell=tell)
        # What the one refuses, the other most likely does.
        refused = [number for number, one in enumerate(seen) if one.outcome != "mounted"]
        with progress(self._right.target.name, len(trees)) as tell:
            self.expected = self._right.survey(trees, refused=refused, tell=tell)
        yield from compare(trees, self.expected, seen, self._lacks)

    def explain(self, found: Sequence[Difference]) -> int:
        """Shrink some of the differences, print them as image cases, and give the exit status."""
        smallest = sorted(found, key=lambda one: len(str(one.tree)))[:_SHRUNK]
        rounds = 0

        def differ(trees: list[Tree]) -> list[bool]:
            nonlocal rounds
            rounds += 1
            differing = {
                id(one.tree) for one in self.differences(trees, lambda *_: contextlib.nullcontext(lambda _: None))
            }
            print(f"shrinking, round {rounds}: {len(differing)} of {len(trees)} simpler trees differ", file=sys.stderr)
            return [id(tree) in differing for tree in trees]

        trees = list({str(tree): tree for tree in shrink([one.tree for one in smallest], differ)}.values())
        for one in self.differences(trees, lambda *_: contextlib.nullcontext(lambda _: None)):
            print("\n" + "\n".join(f"# {line}" for line in one.lines))
            print(case_yaml(one.tree, one.expected, self._right.target))
        return 1


def _runtime(target: Target) -> str:
    """The emulator's profile for a target's runtime."""
    version = target.fingerprint.nodes[0].runtime.partition("://")[2].removeprefix("v")
    return "containerd-" + ".".join(version.split(".")[:2])


def _replay() -> int:
    worst = 0
    for recorded in recorded_trees():
        found = replay(recorded)
        print(f"{recorded.fingerprint}: {len(recorded.trees) - len(found)} trees matched, {len(found)} differ")
        for difference in found:
            print(f"  {difference.tree}")
            for line in difference.lines:
                print(f"    {line}")
        worst = max(worst, int(bool(found)))
    return worst


def _provenance(seed: int, target: Target, began: float) -> dict[str, object]:
    import hypothesis

    made_of = {"seed": seed, "hypothesis": hypothesis.__version__}
    return made_of | provenance(target, time.monotonic() - began)


def _summarise(trees: Sequence[Tree], expected: Sequence[Seen], found: Sequence[Difference], seconds: float) -> None:
    layers = sum(len(tree) for tree in trees)
    entries = sum(len(layer) for tree in trees for layer in tree)
    listed = sum(len(one.files) for one in expected)
    print(f"{len(trees)} trees, {layers} layers, {entries} entries; {listed} files listed; {seconds:.0f} s")
    for kind, count in outcomes(expected).items():
        print(f"  {count:5}  {kind}")
    print(f"{len(trees) - len(found)} alike, {len(found)} differ")


@contextlib.contextmanager
def _progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    if not console.is_terminal:
        console.print(f"{total} trees on {what}", markup=False, highlight=False)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
