"""What is wrong with the mixture: too little of who the model is, and sets that answer one question in two ways."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

from core.data.entry import DatasetEntry
from core.data.formats import conversations
from core.data.mix import advice
from core.data.overlap import plain
from core.diagnose.evidence import IDENTITY, Evidence
from core.diagnose.finding import Finding
from core.diagnose.tested import HALF
from core.doctor.report import THOROUGH_UP_TO
from core.errors import StudioError
from core.train.advice import FEW_IDENTITY, FEW_STEPS

CONTRARY = 0.05  # of the questions of the smaller set; chosen by us: a greeting has several right answers
LEAST_CONTRARY = 5  # questions; chosen by us
MOST_WEIGHT = 100.0  # that the setting takes
Asked = tuple[tuple[str, str], ...]  # the turns of a question, `plain`
# How a question is answered: `plain` answer -> question and answer as they are written.
Answers = dict[Asked, dict[str, tuple[str, str]]]


def identity_seldom(seen: Evidence) -> Finding | None:
    """The model does not know who it is, and what teaches it was hardly shown: 88 rows among 290,000 change nothing."""
    told = [each for each in seen.aims if each.name == IDENTITY and each.tuned < HALF]
    if not told or seen.asked_step < FEW_STEPS:  # too few steps are the nearer cause
        return None
    small = {each.values["name"]: float(each.values["weight"]) for each in advice(seen.parts, seen.passes)
             if each.code == "plan.identity_small"}  # fmt: skip
    for part in seen.parts:
        shown = part.exposures * seen.passes
        if part.identity and part.exposures and (part.name in small or shown < FEW_IDENTITY):
            weight = max(small.get(part.name, 0.0), part.weight * FEW_IDENTITY / max(1.0, shown))
            weights = {**seen.settings.data.weights, part.name: float(f"{min(MOST_WEIGHT, weight):.2g}")}
            values = {**told[0].numbers(), "set": part.name, "rows": part.rows, "shown": round(shown),
                      "share": 100 * part.share, "few": FEW_IDENTITY}  # fmt: skip
            return Finding("identity_seldom", "error", values, {"data.weights": weights})
    return None


def sets_contradict(seen: Evidence) -> Finding | None:
    """Two training sets answer the same questions differently, such as two identities in one mixture."""
    if not seen.is_short or sum(entry.rows for entry in seen.learnt) > THOROUGH_UP_TO:
        return None
    answers = {entry.name: _answers(entry) for entry in seen.learnt}
    found = []
    for first, second in combinations(answers, 2):
        mine, theirs = answers[first], answers[second]
        contrary = [asked for asked in mine.keys() & theirs.keys() if not mine[asked].keys() & theirs[asked].keys()]
        if len(contrary) >= max(LEAST_CONTRARY, CONTRARY * min(len(mine), len(theirs))):
            found.append((contrary, first, second))
    if not found:
        return None
    contrary, first, second = max(found, key=lambda each: len(each[0]))
    asked = min(contrary, key=lambda each: (len(each), len(each[-1][1]), each))
    (question, one), (_, two) = (next(iter(answers[name][asked].values())) for name in (first, second))
    tests = seen.settings.data.test
    dropped = first if f"{second}_test" in tests and f"{first}_test" not in tests else second
    values = {
        "first": first,
        "second": second,
        "count": len(contrary),
        "question": question,
        "one": one,
        "two": two,
        "dropped": dropped,
    }
    return Finding("sets_contradict", "error", values, _without(seen, dropped))


def _without(seen: Evidence, dropped: str) -> dict[str, Any]:
    data = seen.settings.data
    weights: Mapping[str, float] = {
        key: value for key, value in data.weights.items() if key.partition(":")[0] != dropped
    }
    changes: dict[str, Any] = {"data.train": [name for name in data.train if name != dropped]}
    return changes | ({"data.weights": dict(weights)} if weights != data.weights else {})


def _answers(entry: DatasetEntry) -> Answers:
    """Return how each question of a set is answered; of a set that holds no questions, nothing."""
    try:
        rows = conversations(entry, part="train")
    except StudioError:  # what is wrong with the set is told elsewhere
        return {}
    found: Answers = {}
    for row in rows:
        asked = tuple((each.role, plain(each.content)) for each in row.question)
        found.setdefault(asked, {}).setdefault(plain(row.answer), (row.question[-1].content, row.answer))
    return found
