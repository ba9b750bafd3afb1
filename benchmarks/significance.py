"""How often are two equal models told apart, and how often do intervals hold the truth? Prints a table, then JSON.

    python benchmarks/significance.py [--draws 300]

Rows that are right or wrong are counted exactly, over all outcomes; all else is simulated with fixed seeds. `correlation` is
that of right and wrong of two models on the same row; of other rows it is the share on which both answer the same. `within`
says whether equal models are told apart in 5 +- 1 % and intervals cover 95 +- 1 % on average, with no exact cell above 6 %.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from core.evaluate import proportions  # noqa: E402
from core.evaluate.statistics import compare, compare_corpus, corpus_interval, interval, ratio  # noqa: E402

ROWS = (50, 100, 200, 500)
SHARES = (0.3, 0.5, 0.8, 0.9)
CORRELATIONS = (0.0, 0.5, 0.8)
MIXED = {  # values of 0..100: share of zeros, share of hundreds, and the beta distribution of the others
    "both ends": (0.2, 0.2, 2, 2),
    "mostly right": (0.1, 0.6, 2, 1),
    "mostly wrong": (0.6, 0.05, 1, 4),
    "low and skewed": (0.0, 0.0, 0.5, 3),
}
CHANGES = (("mostly wrong", "mostly right"), ("both ends", "mostly right"), ("mostly right", "both ends"))
CHANGED = 0.4  # the share of rows that another model answers anew
DRAWS = 300
NOWHERE = 1e-10  # outcomes less likely than this are not counted


@cache
def difference_interval(wins: int, losses: int, n: int) -> tuple[float, float]:
    return proportions.difference_interval(wins, losses, n)


def likely(n: int, chances: list[float]) -> Iterator[tuple[tuple[int, int], float]]:
    """Return ((wins, losses), chance) of all outcomes of `n` rows; `chances` are of a win and of a loss."""
    log = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    wins, losses = np.indices((n + 1, n + 1))
    ties = np.maximum(n - wins - losses, 0)
    of_win, of_loss, of_tie = np.log([*chances, 1 - sum(chances)])
    chance = np.exp(log[n] - log[wins] - log[losses] - log[ties] + wins * of_win + losses * of_loss + ties * of_tie)
    chance[wins + losses > n] = 0
    for place in np.argwhere(chance > NOWHERE):
        yield (int(place[0]), int(place[1])), float(chance[tuple(place)])


def discordant(who: float, other: float, correlation: float) -> list[float]:
    """Return the chances of a win and of a loss, for two shares of right answers."""
    spread = (who * (1 - who) * other * (1 - other)) ** 0.5
    both = min(who * other + correlation * spread, min(who, other) - 0.005)
    return [who - both, other - both]


def share_coverage(share: float, n: int) -> float:
    """Return how often, in percent, the interval of a share holds it."""
    log = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    hits = np.arange(n + 1)
    chance = np.exp(log[n] - log - log[::-1] + hits * np.log(share) + (n - hits) * np.log1p(-share))
    bounds = [proportions.share_interval(int(hit), n) for hit in hits]
    return 100 * sum(float(c) for c, (low, high) in zip(chance, bounds, strict=True) if low <= share <= high)


def difference_coverage(who: float, other: float, correlation: float, n: int) -> float:
    """Return how often, in percent, the interval of the difference of two shares holds it."""
    held = 0.0
    for (wins, losses), chance in likely(n, discordant(who, other, correlation)):
        low, high = difference_interval(wins, losses, n)
        held += chance * (low <= who - other <= high)
    return 100 * held


def mixed(random: np.random.Generator, kind: str, n: int) -> np.ndarray:
    zeros, hundreds, a, b = MIXED[kind]
    where, between = random.random(n), 100 * random.beta(a, b, n)
    return np.where(where < zeros, 0.0, np.where(where < zeros + hundreds, 100.0, between))


def mean_of(kind: str) -> float:
    zeros, hundreds, a, b = MIXED[kind]
    return 100 * (hundreds + (1 - zeros - hundreds) * a / (a + b))


def again(random: np.random.Generator, rows: np.ndarray, same: float, new: np.ndarray) -> np.ndarray:
    """Return a second model's rows: the share `same` as the first's, the others new."""
    keep = random.random(len(rows)) < same
    return np.where(keep if rows.ndim == 1 else keep[:, None], rows, new)


def translated(random: np.random.Generator, n: int) -> np.ndarray:
    """Return rows as BLEU counts them: words said, words expected, and for n-grams of 1 to 4 those that match and all."""
    expected = random.integers(5, 40, n)
    said = np.maximum(4, np.rint(expected * random.normal(0.97, 0.15, n)).astype(int))
    quality = np.clip(random.beta(3.6, 2.4, n), 0.02, 0.98)
    possible = [np.maximum(said - k, 1) for k in range(4)]
    matching = [random.binomial(possible[k], quality ** (1 + 0.6 * k)) for k in range(4)]
    return np.stack([said, expected, *matching, *possible], axis=1).astype(float)


def bleu(sums: np.ndarray) -> np.ndarray:
    said, expected, matching, possible = sums[:, 0], sums[:, 1], sums[:, 2:6], sums[:, 6:10]
    precision = np.maximum(matching, 0.5) / np.maximum(possible, 1)
    shortness = np.minimum(1, np.exp(1 - expected / np.maximum(said, 1)))
    return 100 * shortness * np.exp(np.log(precision).mean(axis=1))


def holds(bounds: tuple[float | None, float | None], truth: float) -> bool:
    low, high = bounds
    return low is None or high is None or low <= truth <= high


def exactly() -> dict[str, float]:
    """Return by name the percent of cases in which equal models are told apart, and in which intervals hold the truth."""
    found = {}
    for n, share in product(ROWS, SHARES):
        found[f"share {n} {share}"] = share_coverage(share, n)
        for correlation in CORRELATIONS:
            found[f"equal {n} {share} {correlation}"] = 100 - difference_coverage(share, share, correlation, n)
            other = share - 0.1
            found[f"unequal {n} {share} {correlation}"] = difference_coverage(share, other, correlation, n)
    return found


def simulated(draws: int) -> dict[str, float]:
    cells: list[tuple[str, Callable[..., bool], tuple[Any, ...]]] = []
    for n in ROWS:
        cells += [(f"value {n} {kind}", value_held, (n, kind)) for kind in MIXED]
        cells += [
            (f"equal_mixed {n} {kind} {same}", told, (n, kind, same)) for kind, same in product(MIXED, CORRELATIONS)
        ]
        for old, new in CHANGES:
            cells.append((f"unequal_mixed {n} {old} to {new}", change_held, (n, old, new)))
            cells.append((f"ratio_mixed {n} {old} to {new}", ratio_held, (n, old, new)))
        cells += [(f"bleu {n} {part}", bleu_held, (n,)) for part in range(4)]
        cells += [(f"equal_bleu {n} {same}", bleu_told, (n, same)) for same in CORRELATIONS]
        cells += [(f"ratio {n} {still}", kept, (n, 0.8, still, 0.1)) for still in (0.97, 0.9, 0.7)]
    cells.append(("power of needed", told_at_needed, ()))
    return {name: percent_of(draws, seed, once, *given) for seed, (name, once, given) in enumerate(cells)}


def percent_of(draws: int, seed: int, once: Callable[..., bool], *given: Any) -> float:
    random = np.random.default_rng(seed)
    return 100 * fmean(once(random, *given) for _ in range(draws))


def value_held(random: np.random.Generator, n: int, kind: str) -> bool:
    return holds(interval(mixed(random, kind, n)), mean_of(kind))


def bleu_held(random: np.random.Generator, n: int) -> bool:
    return holds(corpus_interval(translated(random, n), bleu), true_bleu())


@cache
def true_bleu() -> float:
    return float(bleu(translated(np.random.default_rng(1), 100_000).sum(axis=0)[None])[0])


def told(random: np.random.Generator, n: int, kind: str, same: float) -> bool:
    rows = mixed(random, kind, n)
    return compare(rows, again(random, rows, same, mixed(random, kind, n))).winner is not None


def bleu_told(random: np.random.Generator, n: int, same: float) -> bool:
    rows = translated(random, n)
    return compare_corpus(rows, again(random, rows, same, translated(random, n)), bleu).winner is not None


def change_held(random: np.random.Generator, n: int, old: str, new: str) -> bool:
    rows = mixed(random, old, n)
    found = compare(again(random, rows, 1 - CHANGED, mixed(random, new, n)), rows)
    return holds((found.low, found.high), CHANGED * (mean_of(new) - mean_of(old)))


def ratio_held(random: np.random.Generator, n: int, old: str, new: str) -> bool:
    rows = mixed(random, old, n)
    _, low, high = ratio(again(random, rows, 1 - CHANGED, mixed(random, new, n)), rows)
    return holds((low, high), 100 * (1 - CHANGED + CHANGED * mean_of(new) / mean_of(old)))


def kept(random: np.random.Generator, n: int, share: float, kept: float, gained: float) -> bool:
    other = random.random(n) < share
    who = random.random(n) < np.where(other, kept, gained)
    _, low, high = ratio(100.0 * who, 100.0 * other)
    return holds((low, high), 100 * (kept + gained * (1 - share) / share))


def told_at_needed(random: np.random.Generator) -> bool:
    """Say whether a difference is told at the number of rows that 100 rows of exactly this kind call for."""
    who, other = np.repeat([100.0, 0.0], [60, 40]), np.repeat([0.0, 100.0, 0.0], [16, 54, 30])
    picked = random.integers(0, 100, compare(who, other).needed)
    return compare(who[picked], other[picked]).winner == "who"


def by_kind(found: dict[str, float]) -> dict[str, dict[str, float]]:
    """Return for each kind of cell the mean, the lowest and the highest of its cells."""
    kinds: dict[str, list[float]] = {}
    for name, percent in found.items():
        kinds.setdefault(name.rsplit(" of ")[0].split(" ")[0], []).append(percent)
    return {
        kind: {"mean": round(fmean(each), 2), "lowest": round(min(each), 1), "highest": round(max(each), 1)}
        for kind, each in kinds.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=DRAWS, help="simulated sets of each kind (default: %(default)s)")
    draws = parser.parse_args().draws
    began = time.monotonic()
    exact = exactly()
    found = {**exact, **simulated(draws)}
    for name, percent in found.items():
        print(f"{percent:6.2f}  {name}")
    kinds = by_kind(found)
    within = all(
        abs(each["mean"] - (5 if kind.startswith("equal") else 95)) <= 1
        for kind, each in kinds.items()
        if kind != "power"
    )
    within &= kinds["equal"]["highest"] <= 6
    print(json.dumps({"percent": kinds, "seconds": round(time.monotonic() - began), "within": within}))


if __name__ == "__main__":
    main()
