"""What a command takes: seconds, and the processor time and memory of all the processes it becomes."""

from __future__ import annotations

import contextlib
import resource
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Taken", "measure"]

_PAUSE = 0.01


@dataclass(frozen=True)
class Taken:
    """Wall and processor time in seconds, peak resident memory in bytes."""

    seconds: float
    processor: float
    memory: int


def measure(script: str, *arguments: object) -> Taken:
    """Run a shell script ($1… are the arguments).

    Memory is the greatest sum, at any moment, of the peaks (VmHWM) of the processes alive then: as the kernel keeps
    each one's peak, none is missed between two looks. Raises SystemExit with what the script said if it fails.
    """
    command = ["sh", "-euc", script, "sh", *map(str, arguments)]
    start, spent = time.perf_counter(), _spent()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    ended = threading.Event()
    peaks = [0]

    def look() -> None:
        while not ended.wait(_PAUSE):
            peaks.append(sum(_peak(pid) for pid in _family(process.pid)))

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    _, errors = process.communicate()
    seconds = time.perf_counter() - start
    ended.set()
    watcher.join()
    if process.returncode:
        sys.exit(f"bench: this failed with status {process.returncode}:\n{script}\n{errors}")
    return Taken(seconds, _spent() - spent, max(peaks))


def _spent() -> float:
    """The processor time of everything that was started here and has ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _family(pid: int) -> list[int]:
    found = [pid]
    with contextlib.suppress(OSError):  # it may end meanwhile
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in (thread / "children").read_text().split():
                found += _family(int(child))
    return found


def _peak(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    return 0
