"""Intervals of a share, and of the difference of two shares on the same rows: the arithmetic of right and wrong answers.

Counts may be fractions: a row that scores 40 of 100 counts as 0.4 right. Of all values between 0 and 100 with the same mean,
right and wrong spread the most, so the intervals then are too wide rather than too narrow.

What was tried instead, and how often each covers: docs/decisions.md; the figures: benchmarks/significance.py.
"""

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np

Z = NormalDist().inv_cdf(0.975)
_HALVINGS = 50  # of an interval of at most 1000: to 12 digits


def share_interval(hits: float, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share, 0..1, of which `hits` of `n` > 0 rows were seen: mid-p Clopper-Pearson.

    It covers 94 to 96 % at most shares (Berry & Armitage 1995); Wilson's, computed alike, is off by more than 1 twice as
    often. None of 20 right gives 0 to 0.14, and one of one gives 0.05 to 1.
    """
    ways = _log_choose(n)
    low = 0.0 if hits < 1 else _where_it_turns(0, 1, lambda share: _at_least(math.floor(hits), ways, share) < 0.025)
    high = 1.0 if hits > n - 1 else _where_it_turns(0, 1, lambda share: _at_least(math.ceil(hits), ways, share) < 0.975)
    return low, high


def difference_interval(wins: float, losses: float, n: int) -> tuple[float, float]:
    """Return the 95 % interval of (wins - losses) / n, -1..1, on `n` > 0 rows that both answered: Tango's score interval.

    It excludes 0 exactly when `mcnemar` is below 0.05 (Tango 1998). No row that differs of 100 gives -0.037 to 0.037.
    """
    seen = (wins - losses) / n
    low = _where_it_turns(-1, seen, lambda difference: _tango(wins, losses, n, difference) > Z)
    high = _where_it_turns(seen, 1, lambda difference: _tango(wins, losses, n, difference) >= -Z)
    return low, high


def mcnemar(wins: float, losses: float) -> float:
    """Return the two-sided p of McNemar's test, without correction for continuity.

    Its mid-p form is as valid, but with few differing rows it names a winner among equals in 0 to 3 % of cases, not in 5.
    """
    if wins == losses:
        return 1.0
    return math.erfc(abs(wins - losses) / math.sqrt(2 * (wins + losses)))


def ratio_interval(both: float, wins: float, losses: float, n: int) -> tuple[float, float | None]:
    """Return the 95 % score interval of (both + wins) / (both + losses), on `n` > 0 rows (Tang, Tang & Chan 2003).

    `both` rows are right in the two models, `both` + `losses` > 0 in the one that is divided by. It excludes 1 exactly when
    `mcnemar` is below 0.05. The upper bound is None where it lies beyond a thousand.
    """
    seen = (both + wins) / (both + losses)
    low = _where_it_turns(0, seen, lambda ratio: _tang(both, wins, losses, n, ratio) > Z)
    if _tang(both, wins, losses, n, 1000) >= -Z:
        return low, None
    return low, _where_it_turns(seen, 1000, lambda ratio: _tang(both, wins, losses, n, ratio) >= -Z)


def _at_least(hits: int, ways: np.ndarray, share: float) -> float:
    """Return the chance of more than `hits` rows, and half the chance of just as many; `ways` is `_log_choose`, (n + 1,)."""
    counts = np.arange(len(ways))
    chances = np.exp(ways + counts * math.log(share) + counts[::-1] * math.log1p(-share))
    return float(chances[hits + 1 :].sum() + chances[hits] / 2)


def _log_choose(n: int) -> np.ndarray:
    factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    return factorials[n] - factorials - factorials[::-1]


def _tango(wins: float, losses: float, n: int, difference: float) -> float:
    """Return the score statistic for a true difference; the share of losses is the likeliest one under it (Tango 1998)."""
    b = (2 * n - wins + losses) * difference - wins - losses
    c = -losses * difference * (1 - difference)
    lost = (math.sqrt(max(b * b - 8 * n * c, 0.0)) - b) / (4 * n)
    return _in_errors(wins - losses - n * difference, n * (2 * lost + difference * (1 - difference)))


def _tang(both: float, wins: float, losses: float, n: int, ratio: float) -> float:
    """Return the score statistic for a true ratio (Tang, Tang & Chan 2003)."""
    any_right = both + wins + losses
    a = n * (1 + ratio)
    b = (both + losses) * ratio**2 - (both + wins + 2 * losses)
    c = losses * (1 - ratio) * any_right / n
    lost = (math.sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (2 * a)
    return _in_errors(both + wins - ratio * (both + losses), a * lost + any_right * (ratio - 1))


def _in_errors(away: float, variance: float) -> float:
    if variance <= 1e-12:
        return math.copysign(math.inf, away) if abs(away) > 1e-12 else 0.0
    return away / math.sqrt(variance)


def _where_it_turns(low: float, high: float, holds: Callable[[float], bool]) -> float:
    """Return the place up to which `holds` is true, by halving."""
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return (low + high) / 2
