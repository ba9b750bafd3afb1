"""How sure a score is, and whether one model is better than another on the same rows. numpy only.

Values are percent, 0 to 100; intervals are 95 %. Measured by benchmarks/significance.py, from 50 rows on: two equal models
are told apart in 5 +- 1 % of cases, and intervals cover 95 +- 1 %, on average. Where fewer than some ten rows differ, fewer
winners are named; where few rows carry the whole of a real difference, its interval is too narrow (covers 90 % at ten rows),
because nobody can know from ten rows how skewed they are.

Right or wrong (all values 0 or 100): core/evaluate/proportions.py. Everything else: core/evaluate/resampling.py.
A metric of the whole set, such as BLEU, becomes rows by what it loses when each row is left out (jackknife).
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any, Literal

import numpy as np

from core.evaluate.proportions import Z, difference_interval, mcnemar, ratio_interval, share_interval
from core.evaluate.resampling import Chance

Score = Callable[[np.ndarray], np.ndarray]  # (b, k) summed statistics -> (b,) scores
Interval = tuple[float | None, float | None]
_POWER = NormalDist().inv_cdf(0.8)


@dataclass(frozen=True)
class Comparison:
    """What `who` is better by than the other, on `n` rows that both answered.

    `difference` is who - other, between `low` and `high`; `p` is two-sided. `wins` are the rows on which `who` is better.
    `winner` is named only if the interval excludes 0. `needed` is the number of rows at which a difference of this size would
    be told with 80 % power: None if it is told already, if there is none, or if nothing is known about its spread.
    """

    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    wins: int
    ties: int
    losses: int
    n: int
    needed: int | None
    winner: Literal["who", "other"] | None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def interval(values: np.ndarray) -> Interval:
    """Return the 95 % interval of the mean of per-row values.

    (None, None) without rows, and where equal values above 100 (a length, say) tell nothing about their spread.
    """
    if not len(values):
        return None, None
    values = np.asarray(values, float)
    return _mean_interval(float(values.mean()), values, _is_binary(values), _is_percent(values))


def compare(who: np.ndarray, other: np.ndarray) -> Comparison:
    """Compare two models by their values of the same rows, in the same order.

    Raises:
        ValueError: if the numbers of rows differ.
    """
    who, other = _paired(who, other)
    if not len(who):
        return Comparison(None, None, None, None, 0, 0, 0, 0, None, None)
    both = np.concatenate([who, other])
    rows = who - other
    return _comparison(float(rows.mean()), rows, rows, _is_binary(both), _is_percent(both))


def corpus_interval(statistics: np.ndarray, score: Score) -> Interval:
    """Return the 95 % interval of a metric of the whole set, from each row's statistics, (n, k)."""
    if not len(statistics):
        return None, None
    value, rows = _jackknife(statistics, score)
    return _mean_interval(value, rows, False, 0 <= value <= 100)


def compare_corpus(who: np.ndarray, other: np.ndarray, score: Score) -> Comparison:
    """Compare two models by a metric of the whole set, from each row's statistics, (n, k); wins are by the rows' own scores.

    Raises:
        ValueError: if the numbers of rows differ.
    """
    who, other = _paired(who, other)
    if not len(who):
        return Comparison(None, None, None, None, 0, 0, 0, 0, None, None)
    (mine, my_rows), (theirs, their_rows) = _jackknife(who, score), _jackknife(other, score)
    alone = _scored(who, score) - _scored(other, score)
    percent = 0 <= min(mine, theirs) <= max(mine, theirs) <= 100
    return _comparison(mine - theirs, my_rows - their_rows, alone, False, percent)


def ratio(who: np.ndarray, other: np.ndarray) -> tuple[float | None, float | None, float | None]:
    """Return mean(who) / mean(other) in percent, such as the share of an ability that is kept, and its 95 % interval.

    Of right and wrong answers: a score interval; of other values Fieller's: the ratios R for which chance explains the mean
    of who - R * other. All None if the other's mean is 0; bounds None if it cannot be told from 0: the ratio may be anything.

    Raises:
        ValueError: if the numbers of rows differ.
    """
    who, other = _paired(who, other)
    if not len(who) or other.mean() <= 0:
        return None, None, None
    values = np.concatenate([who, other])
    value = float(who.mean() / other.mean())
    chance = Chance(who - value * other, signed=True) if len(who) > 1 and not _is_binary(values) else None
    if chance is not None and chance.error and math.isfinite(chance.critical):
        return 100 * value, *_fieller(who, other, chance.critical)
    if not _is_percent(values):
        return 100 * value, None, None
    wins, losses = _shared_out(who - other)
    low, high = ratio_interval(float(np.minimum(who, other).sum()) / 100, wins, losses, len(who))
    return (100 * value, None, None) if high is None else (100 * value, 100 * low, 100 * high)


def _fieller(who: np.ndarray, other: np.ndarray, critical: float) -> Interval:
    (mine, both), (_, theirs) = (np.cov(who, other) / len(who) * critical**2).tolist()
    mean = float(other.mean())
    a, b, c = mean**2 - theirs, float(who.mean()) * mean - both, float(who.mean()) ** 2 - mine
    if a <= 1e-9 * mean**2:
        return None, None
    root = math.sqrt(max(b * b - a * c, 0.0))
    return max(100 * (b - root) / a, 0.0), 100 * (b + root) / a


def _mean_interval(value: float, rows: np.ndarray, binary: bool, percent: bool) -> Interval:
    n = len(rows)
    if binary:
        return _in_percent(share_interval(round(value * n / 100), n))
    chance = Chance(rows, signed=False) if n > 1 else None
    if chance is None or not chance.error or not math.isfinite(chance.critical):
        return _in_percent(share_interval(value * n / 100, n)) if percent else (None, None)
    away = chance.critical * chance.error
    return (max(value - away, 0.0), min(value + away, 100.0)) if percent else (value - away, value + away)


def _comparison(value: float, rows: np.ndarray, alone: np.ndarray, binary: bool, percent: bool) -> Comparison:
    """`rows` are what each adds to the difference `value`; `alone` is by how much each is better when it stands alone."""
    n, low, high, p = len(rows), None, None, None
    chance = Chance(rows, signed=True) if n > 1 and not binary else None
    if chance is not None and chance.error and math.isfinite(chance.critical):
        away = chance.critical * chance.error
        low, high, p = value - away, value + away, chance.p(value / chance.error)
        low, high = (max(low, -100.0), min(high, 100.0)) if percent else (low, high)
    elif percent:
        wins, losses = _shared_out(rows)
        low, high = _in_percent(difference_interval(wins, losses, n))
        p = mcnemar(wins, losses)
    winner: Literal["who", "other"] | None = None
    if low is not None and high is not None and not low <= 0 <= high:
        winner = "who" if low > 0 else "other"
    told = winner is not None or low is None
    better, worse = int((alone > 1e-9).sum()), int((alone < -1e-9).sum())
    needed = None if told else _needed(value, rows)
    return Comparison(value, low, high, p, better, n - better - worse, worse, n, needed, winner)


def _needed(difference: float, rows: np.ndarray) -> int | None:
    """Return the rows at which such a difference is told with 80 % power (Connor 1987; for two numbers, the same formula)."""
    if abs(difference) < 1e-9 or len(rows) < 2:
        return None
    spread = float(rows.var())
    errors = Z * math.sqrt(spread + difference**2) + _POWER * math.sqrt(spread)
    return max(math.ceil((errors / difference) ** 2), len(rows) + 1)


def _jackknife(statistics: np.ndarray, score: Score) -> tuple[float, np.ndarray]:
    """Return the score of the sums, and what each row adds to it: n times what is missing without it (Tukey 1958)."""
    sums = statistics.sum(axis=0)
    value = float(_scored(sums[None], score)[0])
    if len(statistics) == 1:
        return value, np.array([value])
    return value, value + (len(statistics) - 1) * (value - _scored(sums - statistics, score))


def _scored(statistics: np.ndarray, score: Score) -> np.ndarray:
    with np.errstate(all="ignore"):  # a row, or all but one, may be empty: such a score is 0
        return np.nan_to_num(np.asarray(score(statistics), float), nan=0.0, posinf=0.0, neginf=0.0)


def _shared_out(rows: np.ndarray) -> tuple[float, float]:
    """Return wins and losses; a row that is better by 40 is 0.4 of a win."""
    return float(np.maximum(rows, 0).sum()) / 100, float(np.maximum(-rows, 0).sum()) / 100


def _paired(who: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    who, other = np.asarray(who, float), np.asarray(other, float)
    if len(who) != len(other):
        raise ValueError(f"{len(who)} rows cannot be paired with {len(other)}")
    return who, other


def _is_binary(values: np.ndarray) -> bool:
    return bool(np.isin(values, (0.0, 100.0)).all())


def _is_percent(values: np.ndarray) -> bool:
    return bool((values >= 0).all() and (values <= 100).all())


def _in_percent(bounds: tuple[float, float]) -> tuple[float, float]:
    return 100 * bounds[0], 100 * bounds[1]
