"""How much of what the base could do a tuned model still does: in all, ability by ability, and in ordinary prose."""

from collections.abc import Mapping, Sequence
from math import comb
from typing import Any, Literal

import numpy as np

from core.evaluate.contestants import BASE
from core.evaluate.items import Item
from core.evaluate.statistics import ratio

KeptVerdict = Literal["kept", "slightly", "lost", "unknown"]
_CAN = 2  # right answers from which the base has an ability; chosen by us: one may be a guess
_ENOUGH = 10  # questions; chosen by us: of fewer a share says nothing
_KEPT, _SLIGHTLY = 95.0, 85.0  # percent of the base's right answers; chosen by us: of 60 questions, 3 and 9 fewer
_NET, _SURE = 2, 0.1  # one-sided: an ability has 4 to 6 questions, of which at least 4 must be lost to be sure of it
# Perplexity of prose, tuned by base. Chosen by us: training on other text raises it by some percent without any harm to
# answers, so that it only tips the scale. A base that does not read prose (the starter: 8,400) tells nothing by it.
_READS, _MORE, _MUCH_MORE = 100.0, 1.25, 2.0


def summary(
    items: Sequence[Item],
    right_by_who: Mapping[str, Mapping[str, bool]],
    perplexity_by_who: Mapping[str, float | None],
) -> dict[str, Any]:
    """Return, for each model, what it kept of the base, with an interval, and which abilities it lost.

    `right_by_who` says by model ("base" is one) and item key whether the answer is right; a question that one of the two did
    not answer is left out of their comparison. Abilities that the base does not have are left out of what can be kept.
    """
    base = right_by_who.get(BASE, {})
    tags = dict.fromkeys(item.tag for item in items)
    by_ability: dict[str, dict[str, int]] = {}
    for tag in tags:
        mine = [item.key for item in items if item.tag == tag and item.key in base]
        if mine:
            counts = {who: sum(right.get(key, False) for key in mine) for who, right in right_by_who.items()}
            by_ability[tag] = {"n": len(mine), **counts}
    able = [tag for tag, counts in by_ability.items() if counts[BASE] >= min(_CAN, counts["n"])]
    asked = [item for item in items if item.tag in able]
    perplexity = {who: perplexity_by_who.get(who) for who in right_by_who}
    return {
        "n": sum(counts["n"] for counts in by_ability.values()),
        "comparable": sum(by_ability[tag]["n"] for tag in able),
        "left_out": [tag for tag in by_ability if tag not in able],
        "who": {
            who: _of_one(asked, base, right, who, perplexity) | {"right_of_all": sum(right.values())}
            for who, right in right_by_who.items()
        },
        "by_ability": by_ability,
    }


def _of_one(
    items: Sequence[Item],
    base: Mapping[str, bool],
    right: Mapping[str, bool],
    who: str,
    perplexity: Mapping[str, float | None],
) -> dict[str, Any]:
    both = [item for item in items if item.key in base and item.key in right]
    n, mine = len(both), sum(right[item.key] for item in both)
    told: dict[str, Any] = {"n": n, "right": mine, "perplexity": perplexity[who]}
    if who == BASE:
        return told
    lost = [item for item in both if base[item.key] and not right[item.key]]
    gained = [item for item in both if right[item.key] and not base[item.key]]
    share = _share(both, base, right)
    of_abilities = {tag: _counted(lost, gained, tag) for tag in dict.fromkeys(item.tag for item in both)}
    missing = [tag for tag, counts in of_abilities.items() if _is_lost(*counts)]
    of_prose = _ratio(perplexity.get(BASE), perplexity[who])
    reads = (perplexity.get(BASE) or float("inf")) <= _READS
    return {
        **told,
        "kept": dict(zip(("value", "low", "high"), share, strict=True)),
        "lost": len(lost),
        "gained": len(gained),
        "abilities_lost": missing,
        "perplexity_ratio": of_prose,
        "verdict": _verdict(share[0] if n >= _ENOUGH else None, missing, of_prose if reads else None),
        "failed": [item.key for item in lost],
    }


def _share(
    items: Sequence[Item], base: Mapping[str, bool], right: Mapping[str, bool]
) -> tuple[float | None, float | None, float | None]:
    """Return how much of the base's right answers is right, in percent, and its 95 % interval."""
    if not items:
        return None, None, None
    mine = np.array([100.0 * right[item.key] for item in items])
    theirs = np.array([100.0 * base[item.key] for item in items])
    most = 100 * 100 / theirs.mean() if theirs.any() else None  # percent: nobody can answer more than all
    value, low, high = (
        None if each is None or most is None else round(min(each, most), 1) for each in ratio(mine, theirs)
    )
    return value, low, high


def _counted(lost: Sequence[Item], gained: Sequence[Item], tag: str) -> tuple[int, int]:
    return sum(item.tag == tag for item in lost), sum(item.tag == tag for item in gained)


def _is_lost(lost: int, gained: int) -> bool:
    """Say whether so many losses against so many gains are no chance: a one-sided sign test."""
    n = lost + gained
    chance = sum(comb(n, k) for k in range(lost, n + 1)) / 2**n
    return lost - gained >= _NET and chance < _SURE


def _ratio(base: float | None, mine: float | None) -> float | None:
    return round(mine / base, 3) if base and mine else None


def _verdict(share: float | None, missing: Sequence[str], prose: float | None) -> KeptVerdict:
    """Answers decide; prose decides where there are too few, and otherwise takes "kept" down to "slightly"."""
    if share is None:
        return (
            "unknown" if prose is None else "kept" if prose <= _MORE else "slightly" if prose <= _MUCH_MORE else "lost"
        )
    if share < _SLIGHTLY:
        return "lost"
    much_more = prose is not None and prose > _MUCH_MORE
    return "kept" if share >= _KEPT and not missing and not much_more else "slightly"
