"""What preferences, of a person or of a judge model, add up to: how often an answer won, and whether a metric agrees."""

import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import Any, Literal

Preferred = Literal["who", "other"]
Grades = Mapping[
    str, Mapping[str, Mapping[str, float | None]]
]  # who -> item -> metric -> value, as `scores.grades` gives
ENOUGH = 10  # decided ones; chosen by us: eight of nine still leave a share of 57 to 98 %
_Z = NormalDist().inv_cdf(0.975)


def tally(wins: int, losses: int) -> dict[str, Any]:
    """Return the share of wins among decided comparisons in percent, its 95 % interval (Wilson) and the sign test's p.

    Without a decided comparison all of them are None.
    """
    n = wins + losses
    low_high = wilson(wins, n)
    return {
        "wins": wins,
        "losses": losses,
        "win_rate": round(100 * wins / n, 2) if n else None,
        "interval": low_high and [round(each, 2) for each in low_high],
        "p": sign_test(wins, losses) if n else None,
        "enough": n >= ENOUGH,
    }


def wilson(count: int, n: int) -> tuple[float, float] | None:
    """Return Wilson's 95 % interval of a share in percent; None where nothing was counted. (Wilson 1927, JASA 22.)"""
    if not n:
        return None
    share, z2 = count / n, _Z * _Z
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, 100 * (middle - half)), min(100.0, 100 * (middle + half))


def sign_test(wins: int, losses: int) -> float:
    """Return the exact two-sided p of as uneven a split, were each side as likely: binomial, 1/2. 1 for no comparison."""
    n, few = wins + losses, min(wins, losses)
    ways = total = 1
    for count in range(few):
        ways = ways * (n - count) // (count + 1)
        total += ways
    return min(1.0, 2 * total / 2**n)


def agreement(preferred: Mapping[str, Preferred], grades: Grades, who: str, other: str, metric: str) -> dict[str, Any]:
    """Return how often a metric prefers the answer that was preferred.

    Returns:
        n: items of `preferred` on which the metric prefers one; `silent`: the others, where it finds both alike or says
            nothing.
        same: those where it is the same answer; `share` of n in percent with its 95 % `interval`, None for n = 0.
        kappa: Cohen's, agreement beyond chance; None where both always prefer the same side, or n = 0.
        enough: whether n is worth drawing a conclusion from.
    """
    both: list[tuple[Preferred, Preferred]] = []
    for item, chosen in preferred.items():
        mine, theirs = (grades.get(each, {}).get(item, {}).get(metric) for each in (who, other))
        if mine is not None and theirs is not None and mine != theirs:
            both.append((chosen, "who" if mine > theirs else "other"))
    n, same = len(both), sum(chosen == told for chosen, told in both)
    low_high = wilson(same, n)
    return {
        "n": n,
        "same": same,
        "silent": len(preferred) - n,
        "share": round(100 * same / n, 2) if n else None,
        "interval": low_high and [round(each, 2) for each in low_high],
        "kappa": _kappa(both),
        "enough": n >= ENOUGH,
    }


def _kappa(both: list[tuple[Preferred, Preferred]]) -> float | None:
    n = len(both)
    if not n:
        return None
    seen = sum(chosen == told for chosen, told in both) / n
    first, second = (sum(pair[side] == "who" for pair in both) / n for side in (0, 1))
    chance = first * second + (1 - first) * (1 - second)
    return None if chance > 1 - 1e-12 else round((seen - chance) / (1 - chance), 3)
