"""The rows of an evaluation as a person reads them: the question, every contestant's answer, and what each was worth."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
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
    """Return the rows that at least one contestant has answered, in the order of the items; also while it still runs.

    Kept until a file of the job changes: whoever reads looks at the same rows again with every filter, and 20,000 of them
    take a second to read.
    """
    return list(_rows(job, *(_stamp(job / name) for name in (items.FILE, answers.FILE, scores.GRADES))))


@lru_cache(maxsize=2)
def _rows(job: Path, *_: tuple[int, int] | None) -> tuple[Row, ...]:
    said: dict[str, dict[str, Answer]] = {}
    for answer in answers.read(job)[0]:
        said.setdefault(answer.item, {})[answer.who] = answer
    if not said:
        return ()
    grades = scores.grades(job)
    return tuple(
        Row(item, said[item.key], {who: theirs[item.key] for who, theirs in grades.items() if item.key in theirs})
        for item in items.read(job)
        if item.key in said
    )


def _stamp(file: Path) -> tuple[int, int] | None:
    """Return what changes when a file does, None where there is none."""
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return found.st_size, found.st_mtime_ns
