"""Packing against `tar | gzip -9` on the same data, side by side: seconds, and the size of what comes out.

Each runs as a process of its own and in turn, so that both see the same machine; the time is the best of the
rounds, start-up included. tar sorts names, as imgvol does, since the order alone can shrink a layer by a sixth.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROUNDS = 3
SMALL_FILES = 10_000
LARGE_BYTES = 48 << 20


def many_small_files(root: Path) -> None:
    chance = random.Random(1)
    words = [chance.randbytes(4).hex() for _ in range(500)]
    for number in range(SMALL_FILES):
        folder = root / f"set-{number // 100:03}"
        folder.mkdir(exist_ok=True)
        rule = {"id": number, "words": chance.sample(words, 60), "weight": chance.random()}
        (folder / f"rule-{number:05}.json").write_text(json.dumps(rule, indent=1))


def a_source_tree(root: Path) -> None:
    """Python's standard library: text and byte code, as installed here."""
    keep_out = shutil.ignore_patterns("site-packages", "test", "*.so", "*.a")
    shutil.copytree(sysconfig.get_path("stdlib"), root / "lib", ignore=keep_out, symlinks=False)


def already_compressed(root: Path) -> None:
    chance = random.Random(2)
    with (root / "archive").open("wb") as file:
        for _ in range(LARGE_BYTES >> 20):
            file.write(chance.randbytes(1 << 20))


TREES: tuple[Callable[[Path], None], ...] = (many_small_files, a_source_tree, already_compressed)


def by_tar_and_gzip(root: Path, output: Path) -> int:
    layer = output / "layer.tar.gz"
    subprocess.run(["sh", "-c", 'tar --sort=name -cf - -C "$0" . | gzip -9 >"$1"', root, layer], check=True)
    return layer.stat().st_size


def by_imgvol(*options: str) -> Callable[[Path, Path], int]:
    def pack(root: Path, output: Path) -> int:
        command = [sys.executable, "-m", "imgvol", "pack", root, "--output", output / "layout", "--json", *options]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        return int(json.loads(done.stdout)["layer_size"])

    return pack


RIVALS: dict[str, Callable[[Path, Path], int]] = {
    "tar | gzip -9": by_tar_and_gzip,
    "imgvol pack": by_imgvol(),
    "imgvol pack --jobs 1": by_imgvol("--jobs", "1"),
}


def measure(make: Callable[[Path], None], rounds: int = ROUNDS) -> dict[str, tuple[float, int]]:
    """By rival: the best seconds and the layer's bytes."""
    found: dict[str, tuple[float, int]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-packing-") as work:
        root = Path(work) / "content"
        root.mkdir()
        make(root)
        for _ in range(rounds):
            for name, rival in RIVALS.items():
                output = Path(work) / "output"
                output.mkdir()
                start = time.perf_counter()
                size = rival(root, output)
                seconds = time.perf_counter() - start
                shutil.rmtree(output)
                found[name] = (min(seconds, found.get(name, (seconds, 0))[0]), size)
    return found


def run() -> None:
    print(f"{len(os.sched_getaffinity(0))} processors, best of {ROUNDS}")
    print(f"{'':24}{'':22}{'seconds':>9}{'faster':>8}{'MB':>8}{'size':>7}")
    for make in TREES:
        found = measure(make)
        base_seconds, base_size = found["tar | gzip -9"]
        for name, (seconds, size) in found.items():
            ratios = f"{seconds:9.2f}{base_seconds / seconds:7.2f}x{size / 1e6:8.1f}{size / base_size:7.3f}"
            print(f"{make.__name__.replace('_', ' '):24}{name:22}{ratios}")
