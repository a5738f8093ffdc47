"""The three trees that packers are compared on, the same bytes every time (but for the programs: those built here)."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

__all__ = ["TREES"]

_SMALL_FILES = 20_000
_LARGE_BYTES = 80_000_000
_ROOT = Path(__file__).parents[1]


def _many_small_files(root: Path, scale: float) -> None:
    """Configuration of a few kilobytes each, a hundred to a directory."""
    chance = random.Random(1)
    words = _words(chance)
    for number in range(int(_SMALL_FILES * scale)):
        folder = root / f"team-{number // 1000:02}" / f"set-{number // 100:03}"
        folder.mkdir(parents=True, exist_ok=True)
        rule = {
            "id": chance.getrandbits(64),
            "title": _sentence(chance, words, 6),
            "weights": [round(chance.random(), 4) for _ in range(20)],
            "notes": [_sentence(chance, words, chance.randint(5, 25)) for _ in range(chance.randint(15, 60))],
        }
        (folder / f"rule-{number:05}.json").write_text(json.dumps(rule, indent=1))


def _a_few_large_files(root: Path, scale: float) -> None:
    """Records, a log, and programs."""
    chance = random.Random(2)
    words = _words(chance)
    size = int(_LARGE_BYTES * scale)
    _fill(root / "records.jsonl", _records(chance, words), size)
    _fill(root / "service.log", _log(chance, words), size)
    with (root / "programs").open("wb") as file:
        for program in sorted([*(_ROOT / "build/peers").iterdir(), *(_ROOT / "build/bin").iterdir()]):
            if (left := size - file.tell()) > 0 and program.is_file():
                file.write(program.read_bytes()[:left])


def _already_compressed(root: Path, scale: float) -> None:
    """What images, models and archives look like to a compressor."""
    chance = random.Random(3)
    for number in range(8):
        (root / f"archive-{number}").write_bytes(chance.randbytes(int(_LARGE_BYTES * scale / 8)))


TREES: dict[str, Callable[[Path, float], None]] = {
    "many small files": _many_small_files,
    "a few large files": _a_few_large_files,
    "already compressed": _already_compressed,
}


def _words(chance: random.Random) -> list[str]:
    letters = "etaoinshrdlucmfwypvbgk"
    return ["".join(chance.choices(letters, k=chance.randint(2, 10))) for _ in range(3000)]


def _sentence(chance: random.Random, words: list[str], length: int) -> str:
    """Some words are far more frequent than others, as in any language."""
    return " ".join(words[int(len(words) * chance.random() ** 3)] for _ in range(length))


def _records(chance: random.Random, words: list[str]) -> Iterator[str]:
    while True:
        yield json.dumps(
            {
                "id": chance.getrandbits(48),
                "name": _sentence(chance, words, 2),
                "tags": chance.choices(words, k=4),
                "score": chance.random(),
                "text": _sentence(chance, words, 12),
            }
        )


def _log(chance: random.Random, words: list[str]) -> Iterator[str]:
    moment = 1_700_000_000.0
    while True:
        moment += chance.expovariate(20)
        level = chance.choices(("INFO", "DEBUG", "WARN", "ERROR"), (80, 15, 4, 1))[0]
        address = f"10.{chance.randrange(4)}.{chance.randrange(256)}.{chance.randrange(256)}"
        spent = f"took={chance.expovariate(0.05):.1f}ms"
        yield f"{moment:.3f} {level:5} [{chance.choice(words)}] {address} {_sentence(chance, words, 7)} {spent}"


def _fill(path: Path, lines: Iterator[str], size: int) -> None:
    with path.open("w") as file:
        written = 0
        while written < size:
            written += file.write(next(lines) + "\n")
