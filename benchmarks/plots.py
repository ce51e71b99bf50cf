"""Plots of distributions as SVG: for each value, the share that does not pass it."""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 420, 260, 46, 14, 34, 40
STEPS = (0.5, 1, 2, 5, 10, 20, 50)
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
LARGEST_STEPS = 9


@dataclass(frozen=True)
class Curve:
    name: str
    colour: str
    values: Sequence[float]


@dataclass(frozen=True)
class Panel:
    """One pair of axes. `aims`: the values that half, 99 % and all shall not pass."""

    title: str
    curves: Sequence[Curve]
    aims: Sequence[float | None]


def draw(panels: Sequence[Panel]) -> str:
    """The panels side by side."""
    width = WIDTH * len(panels)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{HEIGHT}" viewBox="0 0 {width} {HEIGHT}" '
        'font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{HEIGHT}" fill="#ffffff"/>',
    ]
    for number, panel in enumerate(panels):
        parts += [f'<g transform="translate({number * WIDTH},0)">', *_panel(panel), "</g>"]
    return "\n".join([*parts, "</svg>", ""])


def _panel(panel: Panel) -> list[str]:
    most = max([max(curve.values, default=0.0) for curve in panel.curves] + [aim for aim in panel.aims if aim])
    step = next((step for step in STEPS if most / step <= LARGEST_STEPS), STEPS[-1])
    scale = (WIDTH - LEFT - RIGHT) / (most * 1.04)
    parts = [f'<text x="{LEFT}" y="14" font-size="12" fill="#222">{escape(panel.title)}</text>']
    for share in SHARES:
        parts += [
            _line(LEFT, _y(share), WIDTH - RIGHT, _y(share), "#ddd"),
            _text(LEFT - 5, _y(share) + 4, f"{share:.0%}", "end"),
        ]
    for number in range(int(most * 1.04 / step) + 1):
        at = LEFT + number * step * scale
        parts += [_line(at, _y(0), at, _y(0) + 4, "#888"), _text(at, _y(0) + 16, f"{number * step:g}", "middle")]
    for share, aim in zip((0.5, 0.99, 1.0), panel.aims, strict=True):
        if aim:
            at = LEFT + aim * scale
            parts += [f'<path d="M{at - 4:.1f},{_y(share) - 9:.1f} h8 l-4,8 z" fill="#3a8a3a"/>']
    for number, curve in enumerate(panel.curves):
        path = f"M{LEFT},{_y(0):.1f}"
        for count, value in enumerate(sorted(curve.values), start=1):
            path += f" H{LEFT + value * scale:.1f} V{_y(count / len(curve.values)):.1f}"
        parts.append(f'<path d="{path}" fill="none" stroke="{curve.colour}" stroke-width="1.6"/>')
        x = LEFT + 8 + number * 130
        parts += [
            _line(x, HEIGHT - 9, x + 16, HEIGHT - 9, curve.colour),
            _text(x + 20, HEIGHT - 5, f"{curve.name} ({len(curve.values)})"),
        ]
    at = LEFT + 8 + len(panel.curves) * 130
    parts += [f'<path d="M{at},{HEIGHT - 13} h8 l-4,8 z" fill="#3a8a3a"/>', _text(at + 13, HEIGHT - 5, "aims")]
    return parts


def _y(share: float) -> float:
    return TOP + (1 - share) * (HEIGHT - TOP - BOTTOM)


def _line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return f'<path d="M{x1:.1f},{y1:.1f} L{x2:.1f},{y2:.1f}" stroke="{colour}"/>'


def _text(x: float, y: float, words: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="#444">{escape(words)}</text>'
