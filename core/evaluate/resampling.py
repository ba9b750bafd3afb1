"""How far a mean may lie from the truth by chance: rows drawn again, with the mean of each draw over its own standard error.

Dividing by each draw's own error (the bootstrap-t) is what makes an interval of 50 skewed rows cover 95 %: the usual
percentiles of the drawn means cover 92 %, and name a winner among two equal models in 6 to 8 % of cases.
"""

import math
from functools import lru_cache
from statistics import NormalDist

import numpy as np

DRAWS = 9_999  # with the rows as they are: 10,000
MOST_ROWS = 2_000  # with more, the normal distribution tells the same and takes no time
_SEED = 20_261_122  # any: the same rows give the same figures
_AT_ONCE = 1_000_000  # rows that are drawn in one go, to bound the memory


class Chance:
    """How far the mean of n > 1 rows strays by chance, in standard errors; `error` is the standard error of the mean.

    `signed`: each drawn row also gets a random sign. That is the world in which two models are equal, where a difference of
    a row might as well have gone the other way, so it is the one to judge differences by.
    """

    def __init__(self, rows: np.ndarray, *, signed: bool) -> None:
        self.error = float(rows.std(ddof=1)) / math.sqrt(len(rows))
        if self.error <= 1e-9 * max(1.0, float(np.abs(rows).max())):
            self.error = 0.0  # all rows are equal: what is left is rounding
        self._strayed = _strayed(rows, signed) if len(rows) <= MOST_ROWS and self.error else None

    @property
    def critical(self) -> float:
        """How many standard errors chance exceeds in 5 % of cases; infinite for a few rows that are nearly equal."""
        if self._strayed is None:
            return NormalDist().inv_cdf(0.975)
        return float(self._strayed[-(DRAWS + 1) // 20]) * (1 + 1e-9)

    def p(self, errors: float) -> float:
        """Return the chance to stray at least so many standard errors: below 0.05 just when that is more than `critical`."""
        if self._strayed is None:
            return math.erfc(abs(errors) / math.sqrt(2))
        further = DRAWS - np.searchsorted(self._strayed, abs(errors) * (1 - 1e-9))
        return float(1 + further) / (DRAWS + 1)


def _strayed(rows: np.ndarray, signed: bool) -> np.ndarray:
    """Return how many of its own standard errors the mean of each draw strays, ascending."""
    n = len(rows)
    rows = rows if signed else rows - rows.mean()
    rows = rows / np.abs(rows).max()  # squares of tiny and huge values alike keep their digits
    net, total = _drawn(n, signed)
    found = []
    for start in range(0, DRAWS, step := max(_AT_ONCE // n, 1)):
        mean = net[start : start + step].astype(float) @ rows / n
        square = total[start : start + step].astype(float) @ rows**2 / n
        error = np.sqrt(np.maximum(square - mean**2, 0.0) / (n - 1))
        none = error < 1e-7  # the same row again and again
        away = np.where(np.abs(mean) > 1e-9, np.inf, 0.0)
        found.append(np.where(none, away, np.abs(mean) / np.where(none, 1.0, error)))
    return np.sort(np.concatenate(found))


@lru_cache(maxsize=4)
def _drawn(n: int, signed: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return how often each row is drawn, (DRAWS, n): with its signs summed, and without. At most 40 MB.

    Kept, because all metrics of an evaluation have the same number of rows. A row is hardly drawn more than a dozen times.
    """
    random = np.random.default_rng([_SEED, n, signed])
    net, total = np.empty((DRAWS, n), np.int8), np.empty((DRAWS, n), np.uint8)
    places = 2 * n if signed else n
    for start in range(0, DRAWS, step := max(_AT_ONCE // n, 1)):
        draws = min(step, DRAWS - start)
        picked = random.integers(0, places, (draws, n)) + places * np.arange(draws)[:, None]
        counts = np.bincount(picked.ravel(), minlength=draws * places).reshape(draws, places)
        plus, minus = counts[:, :n], counts[:, n:] if signed else 0
        net[start : start + draws], total[start : start + draws] = plus - minus, plus + minus
    return net, total
