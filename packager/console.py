"""What the commands print: results on stdout, progress and warnings on stderr.

Progress is shown on a terminal only, so that logs and pipes stay quiet.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from packager.errors import from_os_error

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from packager.comparing import Content, Difference, Differences
    from packager.images import Variant
    from packager.inspecting import Inspected
    from packager.packing import Packed
    from packager.pushing import Pushed
    from packager.violations import Violation

__all__ = ["Console", "size"]

_DOING = {"pack": "packing", "push": "pushing", "copy": "copying", "diff": "comparing", "verify": "verifying"}
_WIDTH = 11


class Console:
    """Where one command prints; a context manager, which takes the progress off the terminal."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._bar: Bar | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    @property
    def progress(self) -> Callable[[str, int, int], None] | None:
        """What shows progress; None where nobody looks."""
        return self._show if sys.stderr.isatty() else None

    def packed(self, packed: Packed) -> None:
        """The result of `pack`."""
        self.warn(packed.warnings)
        self.show(
            asdict(packed),
            [
                ("digest", packed.digest),
                ("diff_id", packed.diff_id),
                ("layer", f"{size(packed.layer_size)} from {size(packed.unpacked_size)}"),
                ("entries", f"{packed.entries:,}"),
                *_platforms(packed.variants),
                ("layout", packed.output),
            ],
        )

    def pushed(self, pushed: Pushed) -> None:
        """The result of `push` and `push-program`."""
        self.warn(pushed.warnings)
        self.show(
            asdict(pushed),
            [
                ("digest", pushed.digest),
                ("diff_id", pushed.diff_id),
                ("layer", size(pushed.layer_size)),
                ("uploaded", size(pushed.uploaded)),
                *([("mounted", size(pushed.mounted))] if pushed.mounted else []),
                *_platforms(pushed.variants),
                ("reference", pushed.reference),
            ],
        )

    def inspected(self, inspected: Inspected) -> None:
        """The result of `inspect`."""
        lines = [
            ("digest", inspected.digest),
            ("media type", inspected.media_type),
            ("created", inspected.created),
            ("size", size(inspected.size)),
        ]
        for variant in inspected.variants:
            lines += [("", ""), ("platform", variant.platform or "not said")]
            lines += [("manifest", variant.digest), ("config", variant.config_digest)]
            for digest, count in zip(variant.layer_digests, variant.layer_sizes, strict=True):
                lines.append(("layer", f"{digest} {size(count)}"))
            lines += [("diff_id", diff_id) for diff_id in variant.diff_ids]
        for one in inspected.referrers or ():
            lines += [("", ""), ("attached", one.artifact_type or one.media_type), ("manifest", one.digest)]
        fields = asdict(inspected)
        if inspected.referrers is None:
            del fields["referrers"]
        self.show(fields, lines)

    def compared(self, compared: Differences) -> None:
        """The result of `diff`: a line a path, aligned, and how many there are of each kind."""
        rows = [(one.what, one.path, _change(one)) for one in compared.differences]
        width = max((len(path) for _, path, _ in rows), default=0)
        counts = {what: sum(1 for row in rows if row[0] == what) for what in ("added", "removed", "changed", "mode")}
        summary = ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "no differences"
        shown = [f"{what:<8} {path:<{width}}  {change}".rstrip() for what, path, change in rows]
        self._write(json.dumps(asdict(compared)) if self._as_json else "\n".join([*shown, summary]))

    def verified(self, target: str, violations: Sequence[Violation]) -> None:
        """The result of `verify`."""
        count = len(violations)
        fields = {"target": target, "violations": [asdict(violation) for violation in violations]}
        summary = f"{target}: {count or 'no'} violation{'' if count == 1 else 's'}"
        self._write(json.dumps(fields) if self._as_json else "\n".join([*map(str, violations), summary]))

    def show(self, fields: dict[str, Any], lines: Iterable[tuple[str, str]]) -> None:
        """A result: `fields` as JSON if that was asked for, else names and values, without those that are empty."""
        shown = [f"{name:<{_WIDTH}} {value}".rstrip() for name, value in lines if value or not name]
        self._write(json.dumps(fields) if self._as_json else "\n".join(shown))

    def _write(self, text: str) -> None:
        self._close()
        try:
            print(text, flush=True)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise from_os_error(error, "write the output") from error

    def warn(self, warnings: Iterable[str]) -> None:
        """Say what did not keep the work from being done."""
        self._close()
        for warning in warnings:
            print(f"warning: {warning}", file=sys.stderr)

    def _show(self, stage: str, done: int, total: int) -> None:
        if self._bar is None:
            self._bar = _bar()
            self._bar.start()
        if stage not in self._tasks:
            self._tasks[stage] = self._bar.add_task(_DOING.get(stage, stage), total=total)
        self._bar.update(self._tasks[stage], completed=done, total=total)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _bar() -> Bar:
    from rich.console import Console as Terminal
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Terminal(stderr=True),
        transient=True,
    )


def _change(one: Difference) -> str:
    """What a difference is, in a few words."""
    if one.what == "mode" and one.before and one.after:
        return f"{one.before.mode:04o} -> {one.after.mode:04o}"
    before, after = (_content(one.before), _content(one.after))
    if before and after:
        return f"{before} -> {after}" if before != after else before
    return before or after


def _content(content: Content | None) -> str:
    if content is None:
        return ""
    if content.kind == "file":
        return size(content.size)
    return f"-> {content.target}" if content.kind == "symlink" else content.kind


def _platforms(variants: Sequence[Variant]) -> list[tuple[str, str]]:
    return [("platforms", ", ".join(variant.platform for variant in variants))]


def size(count: int) -> str:
    """Bytes as people read them, in decimal units."""
    number = float(count)
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"
