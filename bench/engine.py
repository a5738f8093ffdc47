"""The engine against one that stats every entry and builds the tree first, on a tree of 100,000 files.

Both run as processes and are asked over HTTP in turn, so that both see the same machine. The time is that
of one GET /tree with its body read to the end, the memory the peak resident set of the server process.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

REPOSITORY = Path(__file__).parents[1]
FILES = 100_000
PER_DIRECTORY = 100
ROUNDS = 7


def build(source: Path, output: Path) -> None:
    subprocess.run(
        ["go", "build", "-trimpath", "-ldflags", "-s -w", "-o", str(output), "."],
        cwd=source,
        env={**os.environ, "CGO_ENABLED": "0"},
        check=True,
    )


def make_tree(root: Path, files: int) -> None:
    for number in range(files):
        directory = root / f"group-{number // (PER_DIRECTORY * 10):03}" / f"set-{number // PER_DIRECTORY:04}"
        if number % PER_DIRECTORY == 0:
            directory.mkdir(parents=True)
        (directory / f"item-{number:06}.json").touch()


class Server:
    """A running engine."""

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self.process = process
        self.address = address
        self.seconds: list[float] = []

    def get_tree(self) -> str:
        """Time one request; the digest of its body tells that both engines answer the same."""
        digest = hashlib.sha256()
        start = time.perf_counter()
        with urlopen(f"http://{self.address}/tree", timeout=120) as response:
            while chunk := response.read(1 << 20):
                digest.update(chunk)
        self.seconds.append(time.perf_counter() - start)
        return digest.hexdigest()

    def peak_mib(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024


@contextlib.contextmanager
def running(program: Path, root: Path) -> Iterator[Server]:
    environment = {"CONTENT_PATH": str(root), "LISTEN": "127.0.0.1:0", "DRAIN_SECONDS": "0"}
    with subprocess.Popen([program], env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            found = re.search(r" on (\S+)$", line)
            if found is None:
                raise RuntimeError(f"{program.name} did not start: {line!r}")
            yield Server(process, found[1])
        finally:
            process.terminate()


def measure(files: int = FILES, rounds: int = ROUNDS) -> dict[str, dict[str, float]]:
    """Median seconds of a request and peak MiB, for `engine` and `naive`."""
    with tempfile.TemporaryDirectory(prefix="bench-engine-") as work:
        root = Path(work) / "content"
        root.mkdir()
        make_tree(root, files)
        programs = {"naive": REPOSITORY / "bench" / "engine_naive", "engine": REPOSITORY / "engine"}
        for name, source in programs.items():
            build(source, Path(work) / name)
        with contextlib.ExitStack() as stack:
            servers = {n: stack.enter_context(running(Path(work) / n, root)) for n in programs}
            for _ in range(rounds):
                answers = {server.get_tree() for server in servers.values()}
                if len(answers) != 1:
                    raise RuntimeError("the two engines answer differently")
            return {
                name: {"seconds": statistics.median(server.seconds), "mib": server.peak_mib()}
                for name, server in servers.items()
            }


def run() -> None:
    """Print time and memory of both, side by side, with their ratios, for the tree and for a tenth of it."""
    for files in (FILES // 10, FILES):
        measured = measure(files)
        naive, engine = measured["naive"], measured["engine"]
        print(f"GET /tree of {files:,} files, median of {ROUNDS}, alternating")
        print(f"{'':24}{'seconds':>10}{'peak MiB':>10}")
        print(f"{'stat all, build, encode':24}{naive['seconds']:>10.3f}{naive['mib']:>10.1f}")
        print(f"{'engine':24}{engine['seconds']:>10.3f}{engine['mib']:>10.1f}")
        ratios = naive["seconds"] / engine["seconds"], naive["mib"] / engine["mib"]
        print(f"{'ratio':24}{ratios[0]:>9.1f}x{ratios[1]:>9.1f}x")


if __name__ == "__main__":
    run()
