"""Curves that are thinned out while they grow: at most 500 points each, whatever the length of the run.

A viewer who opens the page of a run with 100,000 steps, and each of the steps that follow, costs as much as with 500 steps.
"""

import math

MOST_POINTS = 500
Points = list[tuple[float, float]]


class Curve:
    """Points in the order of x. While there are few, all are kept; later, of each stretch, the lowest and the highest."""

    def __init__(self) -> None:
        self._count = 0  # points that the last stretch stands for
        self._size = 2  # points of a stretch: with two, nothing is left out
        self._stretches: list[Points] = []  # of each its lowest and highest, in the order of x; of the last one all
        self.last: tuple[float, float] | None = None

    def add(self, x: float, y: float) -> None:
        """Add a point; one that is no number is left out."""
        if not math.isfinite(y):
            return
        self.last = (x, y)
        if not self._stretches or self._count == self._size:
            if len(self._stretches) == (MOST_POINTS - 2) // 2:
                self._halve()
            self._stretches.append([])
            self._count = 0
        self._count += 1
        self._stretches[-1] = _ends([*self._stretches[-1], (x, y)])

    def points(self) -> Points:
        """Return the points to draw, spikes and the last one among them."""
        kept = [point for stretch in self._stretches for point in stretch]
        return kept if self.last is None or kept[-1] == self.last else [*kept, self.last]

    def _halve(self) -> None:
        pairs = zip(self._stretches[::2], [*self._stretches[1::2], []], strict=False)
        self._stretches = [_ends([*one, *other]) for one, other in pairs]
        self._size *= 2


def _ends(points: Points) -> Points:
    """Return the lowest and the highest point, in the order of x."""
    if len(points) <= 2:
        return points
    return sorted({min(points, key=lambda point: point[1]), max(points, key=lambda point: point[1])})


class Smoothed:
    """The exponential moving average, corrected for its start as in Adam (Kingma and Ba 2015)."""

    def __init__(self, weight: float = 0.9) -> None:
        self._weight, self._average, self._count = weight, 0.0, 0

    def add(self, value: float) -> float:
        self._average = self._weight * self._average + (1 - self._weight) * value
        self._count += 1
        return self._average / (1 - self._weight**self._count)
