"""The rows of an evaluation as a person reads them: the question, every contestant's answer, and what each was worth."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from core.evaluate import answers, items, scores
from core.evaluate.answers import Answer
from core.evaluate.items import Item

Values = Mapping[str, float | None]


@dataclass(frozen=True)
class Row:
    """One item with what was said to it so far. `values` are there once an evaluation has ended."""

    item: Item
    answers: Mapping[str, Answer]  # by contestant
    values: Mapping[str, Values]  # by contestant and metric; None where a metric does not apply

    def text(self, who: str) -> str:
        """Return what a contestant said, "" for one that has not answered."""
        return self.answers[who].text if who in self.answers else ""

    def value(self, who: str, metric: str) -> float | None:
        return self.values.get(who, {}).get(metric)


def rows(job: Path) -> list[Row]:
    """Return the rows that at least one contestant has answered, in the order of the items; also while it still runs."""
    said: dict[str, dict[str, Answer]] = {}
    for answer in answers.read(job)[0]:
        said.setdefault(answer.item, {})[answer.who] = answer
    grades = scores.grades(job) if said else {}
    return [
        Row(item, said[item.key], {who: theirs[item.key] for who, theirs in grades.items() if item.key in theirs})
        for item in (items.read(job) if said else ())
        if item.key in said
    ]
