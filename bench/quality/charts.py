"""Draw encoders as SVG: score over bytes, and bytes over CPU time.

Colors are those of Okabe and Ito, which the color-blind tell apart, and every encoder has a mark of
its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import NamedTuple

_HEIGHT, _TOP, _BOTTOM, _PLOT, _GAP, _LEGEND = 420, 56, 62, 330, 84, 190
_STYLES = (
    ("#0072b2", "", "circle"),
    ("#0072b2", "6 4", "ring"),
    ("#d55e00", "", "square"),
    ("#009e73", "", "triangle"),
    ("#cc79a7", "", "diamond"),
    ("#000000", "2 3", "cross"),
    ("#e69f00", "6 4", "plus"),
)

_CIRCLES = {"circle": 'fill="{}"', "ring": 'fill="white" stroke="{}" stroke-width="2"'}
_FILLED, _STROKED = 'fill="{}"', 'fill="none" stroke="{}" stroke-width="0.5"'
_OUTLINES = {
    "square": ("M-1 -1h2v2h-2z", _FILLED),
    "triangle": ("M0 -1.1l1.1 2.1h-2.2z", _FILLED),
    "diamond": ("M0 -1.3l1 1.3l-1 1.3l-1 -1.3z", _FILLED),
    "cross": ("M-1 -1l2 2m0 -2l-2 2", _STROKED),
    "plus": ("M-1.2 0h2.4M0 -1.2v2.4", _STROKED),
}

Point = tuple[float, float]


class Curve(NamedTuple):
    """Bytes a pixel and score at each quality; ``default`` is the point of the default quality."""

    points: Sequence[Point]
    default: Point


class _Axis(NamedTuple):
    """Values between ``low`` and ``high`` on the pixels from ``start`` to ``end``."""

    low: float
    high: float
    start: float
    end: float
    is_logarithmic: bool = False

    def place(self, value: float) -> float:
        scale: Callable[[float], float] = math.log if self.is_logarithmic else float
        low, high = scale(self.low), scale(self.high)
        return self.start + (scale(value) - low) / max(high - low, 1e-9) * (self.end - self.start)

    def ticks(self) -> Sequence[float]:
        if self.is_logarithmic:
            steps = [step * 10.0**power for power in range(-4, 5) for step in (1, 1.5, 2, 3, 5, 7)]
        else:
            width = 5 if self.high - self.low > 15 else 2 if self.high - self.low > 5 else 0.1
            count = math.ceil((self.high - self.low) / width) + 2
            first = math.floor(self.low / width)
            steps = [(first + number) * width for number in range(count)]
        return [step for step in steps if self.low <= step <= self.high]


def draw_chart(
    title: str, curves: Mapping[str, Curve], costs: Mapping[str, Point], names: Mapping[str, int]
) -> str:
    """Draw the curves, and beside them the ``costs``: CPU time and bytes, relative to ours.

    ``names`` is the legend in order, each with the number of its color and mark. Without curves
    only the costs are drawn.
    """
    left = 60.0
    parts: list[str] = []
    if curves:
        parts += _draw_curves(curves, names, left)
        left += _PLOT + _GAP
    parts += _draw_costs(costs, names, left)
    width = left + _PLOT + 24 + _LEGEND
    parts += _draw_legend(names, left + _PLOT + 24, "marks: default quality" if curves else "")
    head = (
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {_HEIGHT}" '
            'font-family="sans-serif" font-size="12" fill="#1f2937">'
        ),
        f'<rect width="{width:.0f}" height="{_HEIGHT}" fill="white"/>',
        f'<text x="60" y="24" font-size="16">{escape(title)}</text>',
    )
    return "\n".join([*head, *parts, "</svg>", ""])


def _draw_curves(curves: Mapping[str, Curve], names: Mapping[str, int], left: float) -> list[str]:
    points = [point for curve in curves.values() for point in (*curve.points, curve.default)]
    sizes, scores = zip(*points, strict=True)
    across = _Axis(min(sizes) * 0.95, max(sizes) * 1.05, left, left + _PLOT, is_logarithmic=True)
    up = _Axis(min(scores) - 1, max(scores) + 1, _HEIGHT - _BOTTOM, _TOP)
    parts = _frame(across, up, "bytes a pixel (logarithmic)", "SSIMULACRA2, higher is better")
    for name, style in names.items():
        if name not in curves:
            continue
        color, dashes, _ = _STYLES[style]
        line = " ".join(
            f"{across.place(size):.1f},{up.place(score):.1f}" for size, score in curves[name].points
        )
        parts.append(
            f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2" '
            f'stroke-dasharray="{dashes}"/>'
        )
        size, score = curves[name].default
        parts.append(_mark(style, across.place(size), up.place(score), 5.5))
    return parts


def _draw_costs(costs: Mapping[str, Point], names: Mapping[str, int], left: float) -> list[str]:
    times, sizes = zip(*costs.values(), strict=True)
    across = _Axis(
        min(*times, 1) * 0.8, max(*times, 1) * 1.25, left, left + _PLOT, is_logarithmic=True
    )
    up = _Axis(min(*sizes, 1) - 0.06, max(*sizes, 1) + 0.06, _HEIGHT - _BOTTOM, _TOP)
    parts = _frame(
        across,
        up,
        "CPU time, ours is 1 (logarithmic)",
        "bytes at equal look, ours are 1; lower is better",
    )
    x, y = across.place(1), up.place(1)
    parts.append(
        f'<path d="M{x:.1f} {_TOP}V{_HEIGHT - _BOTTOM}M{left} {y:.1f}h{_PLOT}" '
        'stroke="#9ca3af" stroke-dasharray="4 4"/>'
    )
    parts += [
        _mark(style, across.place(costs[name][0]), up.place(costs[name][1]), 6)
        for name, style in names.items()
        if name in costs
    ]
    return parts


def _frame(across: _Axis, up: _Axis, below: str, beside: str) -> list[str]:
    parts = [
        (
            f'<text x="{(across.start + across.end) / 2:.0f}" y="{_HEIGHT - 18}" '
            f'text-anchor="middle">{escape(below)}</text>'
        ),
        f'<text x="{across.start - 40:.0f}" y="{_TOP - 12}">{escape(beside)}</text>',
    ]
    for value in across.ticks():
        x = across.place(value)
        parts.append(
            f'<path d="M{x:.1f} {up.start}V{up.end}" stroke="#e5e7eb"/>'
            f'<text x="{x:.1f}" y="{up.start + 18}" text-anchor="middle">{value:.3g}</text>'
        )
    for value in up.ticks():
        y = up.place(value)
        parts.append(
            f'<path d="M{across.start} {y:.1f}H{across.end}" stroke="#e5e7eb"/>'
            f'<text x="{across.start - 8}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>'
        )
    return parts


def _draw_legend(names: Mapping[str, int], left: float, note: str) -> list[str]:
    parts = []
    for row, (name, style) in enumerate(names.items()):
        y = _TOP + 10 + 24 * row
        color, dashes, _ = _STYLES[style]
        parts.append(
            f'<path d="M{left:.0f} {y}h28" stroke="{color}" stroke-width="2" '
            f'stroke-dasharray="{dashes}"/>{_mark(style, left + 14, y, 5)}'
            f'<text x="{left + 36:.0f}" y="{y + 4}">{escape(name)}</text>'
        )
    if note:
        y = _TOP + 10 + 24 * len(names)
        parts.append(f'<text x="{left:.0f}" y="{y + 4}" fill="#6b7280">{escape(note)}</text>')
    return parts


def _mark(style: int, x: float, y: float, size: float) -> str:
    color, _, shape = _STYLES[style]
    if shape in _CIRCLES:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size}" {_CIRCLES[shape].format(color)}/>'
    outline, look = _OUTLINES[shape]
    return (
        f'<path transform="translate({x:.1f} {y:.1f}) scale({size})" d="{outline}" '
        f"{look.format(color)}/>"
    )
