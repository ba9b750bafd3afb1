"""Pictures of an evaluation as inline SVG, made here: they open from disk, follow light and dark, and print.

A picture is stretched to its place, so that nothing in it is text: labels and figures are HTML beside it, readable at every
width and by a screen reader, and the picture itself is hidden from one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from core.evaluate.in_words import Outcome

WIDE, HIGH = 300.0, 20.0  # of a picture in a row of a table, in its own units
_CURVE_WIDE, _CURVE_HIGH = 600.0, 200.0


@dataclass(frozen=True)
class Axis:
    """A range of values, in points."""

    low: float
    high: float

    def place(self, value: float, size: float) -> float:
        return (min(max(value, self.low), self.high) - self.low) / (self.high - self.low) * size


@dataclass(frozen=True)
class Point:
    """A value of a curve at a step, with its 95 % interval where there is one."""

    step: int
    value: float
    low: float | None = None
    high: float | None = None


def axis(values: Sequence[float]) -> Axis:
    """Return a range with round ends that holds 0 and all values."""
    low, high = min(0.0, *values, 0.0), max(0.0, *values, 0.0)
    step = next((each for each in (1, 2, 5, 10, 20, 25, 50, 100) if (high - low) / each <= 8), 200)
    return Axis(math.floor(low / step) * step, max(math.ceil(high / step) * step, step if low == 0 else 0))


def interval(difference: float, low: float | None, high: float | None, outcome: Outcome, axis: Axis) -> str:
    """Return one row of a forest plot: the difference as a dot, its interval as a line, and where 0 is."""
    zero, dot = (f"{axis.place(value, WIDE):.1f}" for value in (0.0, difference))
    line = ""
    if low is not None and high is not None:
        left, right = axis.place(low, WIDE), axis.place(high, WIDE)
        line = f'<path class="whisker" d="M{left:.1f} 10H{right:.1f}M{left:.1f} 6V14M{right:.1f} 6V14"/>'
    return _svg(
        f"forest {outcome}",
        WIDE,
        HIGH,
        f'<path class="zero" d="M{zero} 0V{HIGH:g}"/>{line}<path class="dot" d="M{dot} 10h0"/>',
    )


def bar(value: float, kind: str, highest: float = 100.0) -> str:
    """Return one bar from 0 to `highest`; `kind` is its class in the style sheet."""
    length = min(max(value / highest, 0.0), 1.0) * WIDE
    return _svg(
        f"bar {kind}",
        WIDE,
        8.0,
        f'<rect class="ground" width="{WIDE:g}" height="8"/><rect width="{length:.1f}" height="8"/>',
    )


def curve(points: Sequence[Point], axis: Axis) -> str:
    """Return a line through the points, over steps from the first to the last, with a band for the intervals."""
    first, last = points[0].step, max(points[-1].step, points[0].step + 1)

    def at(step: int, value: float) -> str:
        across = (step - first) / (last - first) * _CURVE_WIDE
        return f"{across:.1f} {_CURVE_HIGH - axis.place(value, _CURVE_HIGH):.1f}"

    line = "L".join(at(each.step, each.value) for each in points)
    dots = "".join(f"M{at(each.step, each.value)}h0" for each in points)
    sure = [each for each in points if each.low is not None and each.high is not None]
    upper = [at(each.step, each.high or 0.0) for each in sure]
    lower = [at(each.step, each.low or 0.0) for each in reversed(sure)]
    band = f'<path class="band" d="M{"L".join([*upper, *lower])}Z"/>' if len(sure) > 1 else ""
    grid = f"M0 0.5H{_CURVE_WIDE:g}M0 {_CURVE_HIGH / 2:g}H{_CURVE_WIDE:g}M0 {_CURVE_HIGH - 0.5:g}H{_CURVE_WIDE:g}"
    drawn = f'<path class="grid" d="{grid}"/>{band}<path class="line" d="M{line}"/><path class="dot" d="{dots}"/>'
    return _svg("curve", _CURVE_WIDE, _CURVE_HIGH, drawn)


def _svg(kind: str, width: float, height: float, drawn: str) -> str:
    box = f'viewBox="0 0 {width:g} {height:g}" preserveAspectRatio="none" aria-hidden="true"'
    return f'<svg class="{kind}" {box}>{drawn}</svg>'
