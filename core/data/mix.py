"""How often each data set is shown in a pass over the data, and what that means for the learning.

What decides what a model becomes is not the rows of a set but its exposures: 88 identity rows among 290,000 others are
0.03 % and change nothing. So the mixture is said in exposures, repetitions and shares of the learnt tokens.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from core.errors import Problem, problem

MOST_OVERSAMPLED = (
    3.0  # times; the limit that `balance` keeps to (facts/data 4.5). A weight that was set by hand may go past it
)
LEAST_IDENTITY, ENOUGH_IDENTITY = 0.005, 0.01  # of the learnt tokens; 0.03 % is known to fail, 0.5 to 5 % is advised
MOST_IDENTITY = 0.34  # one third is the largest share that a published recipe uses
LEAST_GENERAL, ENOUGH_GENERAL = 0.1, 0.2  # replay of 10 to 50 % keeps what the model could do
MOST_REPEATED = 30  # times that a row is seen in a run; chosen by us: past it a row is learnt by heart
_GENERAL = ("general", "alpaca", "oasst", "orca", "sharegpt", "dolly", "ultrachat", "tulu", "belle", "replay", "通用")


@dataclass(frozen=True)
class Offer:
    """What a data set, or a task of one (`set:TASK`), has to give: rows to learn from and their learnt tokens."""

    name: str
    rows: int
    learnt_tokens: int
    general: bool = False  # known to be of many tasks, whatever its name


@dataclass(frozen=True)
class Part:
    """What a data set gets in one pass."""

    name: str
    rows: int
    exposures: int  # rows that are shown; more than `rows` when some are shown again
    share: float  # of the learnt tokens of the pass
    identity: bool = False
    general: bool = False

    @property
    def weight(self) -> float:
        return self.exposures / self.rows if self.rows else 0.0


def mixture(offers: Sequence[Offer], weights: Mapping[str, float], balance: float = 1.0) -> list[Part]:
    """Return what each set gets in a pass.

    `balance` draws the sets towards each other before the weights count: exposures go with rows to this power, 1 leaves
    them as they are, 0.5 (the root) gives small sets more and large ones less, at most three times their rows. The pass
    stays as long as it was. A weight then multiplies: 2 shows each row twice in a pass, 0.5 every other row.
    """
    wanted = _balanced([offer.rows for offer in offers], balance)
    exposures = [
        max(1, round(count * weight_of(offer.name, weights))) if offer.rows else 0
        for offer, count in zip(offers, wanted, strict=True)
    ]
    tokens = [count * offer.learnt_tokens / max(1, offer.rows) for offer, count in zip(offers, exposures, strict=True)]
    total = sum(tokens) or 1.0
    return [
        Part(
            offer.name,
            offer.rows,
            count,
            each / total,
            identity="identity" in offer.name.casefold(),
            general=offer.general or any(word in offer.name.casefold() for word in _GENERAL),
        )
        for offer, count, each in zip(offers, exposures, tokens, strict=True)
    ]


def weight_of(name: str, weights: Mapping[str, float]) -> float:
    """Return the weight of a source: its own, else that of the set whose task it is (`desk` for `desk:QA`), else 1."""
    return weights.get(name, weights.get(name.partition(":")[0], 1.0))


def rows_of_pass(rows: int, exposures: int, number: int, seed: int) -> np.ndarray:
    """Return the row numbers that pass `number` (from 0) shows, `exposures` of them, int64.

    They go round the rows in one shuffled order, so that over the passes every row is shown equally often (but for one).
    """
    if exposures == rows:
        return np.arange(rows)
    order = np.random.default_rng([seed, rows]).permutation(rows)
    return order[np.arange(number * exposures, (number + 1) * exposures) % rows]


def advice(parts: Sequence[Part], passes: float) -> list[Problem]:
    """Return what is unwise about a mixture that is seen `passes` times."""
    found = []
    for part in parts:
        if part.identity and len(parts) > 1 and part.share < LEAST_IDENTITY:
            weight = _weight_for(part, ENOUGH_IDENTITY)
            values = {"name": part.name, "share": f"{part.share:.2%}", "weight": weight}
            found.append(problem("plan.identity_small", "data.weights", **values))
        if part.identity and len(parts) > 1 and part.share > MOST_IDENTITY:
            values = {"name": part.name, "share": f"{part.share:.0%}", "weight": _weight_for(part, MOST_IDENTITY / 2)}
            found.append(problem("plan.identity_large", "data.weights", **values))
        if (times := part.weight * passes) > MOST_REPEATED:
            often = {"name": part.name, "times": round(times), "most": MOST_REPEATED}
            found.append(problem("plan.much_repeated", "data.weights", **often))
    return [*found, *_general(parts)]


def _general(parts: Sequence[Part]) -> list[Problem]:
    general = [part for part in parts if part.general]
    if not general:
        return [problem("plan.general_missing", "data.train")]
    share = sum(part.share for part in general)
    if share >= LEAST_GENERAL:
        return []
    largest = max(general, key=lambda part: part.exposures)
    values = {"name": largest.name, "share": f"{share:.1%}", "weight": _weight_for(largest, ENOUGH_GENERAL)}
    return [problem("plan.general_small", "data.weights", **values)]


def _weight_for(part: Part, share: float) -> str:
    """Return the weight that would give a set this share of the learnt tokens, the others unchanged."""
    now = max(part.share, 1e-9)
    weight = part.weight * share / (1 - share) * (1 - now) / now
    return f"{math.ceil(weight) if weight > 3 else weight:.2g}" if weight < 100 else "100"


def _balanced(rows: Sequence[int], balance: float) -> list[float]:
    """Return exposures in proportion to rows ** balance, none above three times its rows, with the same sum."""
    if balance == 1.0:
        return [float(count) for count in rows]
    capped: set[int] = set()
    while True:
        room = sum(rows) - sum(MOST_OVERSAMPLED * rows[each] for each in capped)
        powers = {each: count**balance for each, count in enumerate(rows) if count and each not in capped}
        scale = room / (sum(powers.values()) or 1.0)
        over = {each for each, power in powers.items() if power * scale > MOST_OVERSAMPLED * rows[each]}
        if not over:
            found = {each: power * scale for each, power in powers.items()}
            return [
                MOST_OVERSAMPLED * count if each in capped else found.get(each, 0.0) for each, count in enumerate(rows)
            ]
        capped |= over
