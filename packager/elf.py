"""Just enough of ELF to tell for which machine a program is, and whether it needs a loader (System V ABI,
gABI ch. 4-5)."""

from __future__ import annotations

import struct
from pathlib import Path

from packager.errors import UsageError, from_os_error
from packager.platforms import Platform

__all__ = ["check_program"]

_MACHINES = {
    3: "386",
    21: "ppc64le",
    22: "s390x",
    40: "arm",
    8: "mips64le",
    62: "amd64",
    183: "arm64",
    243: "riscv64",
    258: "loong64",
}
_PT_INTERP = 3
_HEADER = 64
_BIG_ENDIAN = 2
_64_BIT = 2


def check_program(path: Path, platform: Platform) -> None:
    """Refuse a program that cannot run in an image of `platform` that holds nothing else."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEADER)
            if len(head) < _HEADER or head[:4] != b"\x7fELF":
                raise UsageError(f"{path} is not a Linux program; build one with GOOS=linux CGO_ENABLED=0")
            wide = head[4] == _64_BIT
            order = ">" if head[5] == _BIG_ENDIAN else "<"
            (machine,) = struct.unpack_from(order + "H", head, 18)
            found = _MACHINES.get(machine, f"machine {machine}")
            if found != platform.architecture:
                raise UsageError(
                    f"{path} is a program for {found}, not for {platform}; build it with GOARCH={platform.architecture}"
                )
            (table,) = struct.unpack_from(order + ("Q" if wide else "I"), head, 32 if wide else 28)
            size, count = struct.unpack_from(order + "HH", head, 54 if wide else 42)
            file.seek(table)
            segments = file.read(size * count)
    except OSError as error:
        raise from_os_error(error, f"read the program {path}") from error
    kinds = [struct.unpack_from(order + "I", segments, at)[0] for at in range(0, len(segments) - 3, size or 4)]
    if _PT_INTERP in kinds:
        raise UsageError(f"{path} needs a loader that the image will not have; build it with CGO_ENABLED=0")
