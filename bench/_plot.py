"""Bars as SVG, without any library."""

from __future__ import annotations

from collections.abc import Mapping
from xml.sax.saxutils import escape

__all__ = ["bars"]

_ROW, _LEFT, _WIDTH, _RIGHT = 20, 210, 420, 110


def bars(title: str, groups: Mapping[str, Mapping[str, float]], unit: str, emphasis: str) -> str:
    """One bar for each value, in groups scaled to their greatest; those whose name begins with `emphasis` stand out."""
    lines: list[str] = []
    top = 30
    for group, values in groups.items():
        top += 14
        lines.append(f'<text x="8" y="{top}" font-weight="bold">{escape(group)}</text>')
        greatest = max(values.values())
        for name, value in values.items():
            top += _ROW
            width = max(1.0, _WIDTH * value / greatest)
            colour = "#1f6feb" if name.startswith(emphasis) else "#8c959f"
            lines.append(f'<text x="{_LEFT - 8}" y="{top}" text-anchor="end">{escape(name)}</text>')
            lines.append(f'<rect x="{_LEFT}" y="{top - 12}" width="{width:.0f}" height="15" fill="{colour}"/>')
            lines.append(f'<text x="{_LEFT + width + 6:.0f}" y="{top}">{value:,.1f} {unit}</text>')
        top += _ROW
    size = f'width="{_LEFT + _WIDTH + _RIGHT}" height="{top}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="13" fill="#24292f">',
            '<rect width="100%" height="100%" fill="#ffffff"/>',
            f'<text x="8" y="20" font-size="15">{escape(title)}</text>',
            *lines,
            "</svg>\n",
        ]
    )
