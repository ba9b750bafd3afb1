"""A finished evaluation as an experiment reads it: the main value of every row, by contestant, in the order of the rows."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import RunError, problem
from core.evaluate import items, scores
from core.evaluate.contestants import BASE
from core.runs.directory import Run

MAIN = "right"


@dataclass(frozen=True)
class Asked:
    """The score of an evaluation with its items and grades; `run` names the one that it belongs to."""

    run: str
    path: Path
    score: Mapping[str, Any]
    asked: Mapping[str, Sequence[items.Item]]  # data set -> its rows
    grades: Mapping[str, Mapping[str, Mapping[str, float | None]]]

    @property
    def job(self) -> str:
        return self.path.name

    def who(self, run: str) -> str:
        """Return the contestant that a run is."""
        return next(each["id"] for each in self.score["who"] if each.get("run") == run and each["id"] != BASE)

    def main(self, dataset: str) -> str:
        """Return the metric by which an answer of a data set is judged."""
        return str(self.score["datasets"][dataset].get("main", MAIN))

    def column(self, dataset: str, who: str) -> np.ndarray:
        """Return the main value of each row, shape (n,), 0..100; NaN where it does not apply."""
        metric, grades = self.main(dataset), self.grades[who]
        found = [grades.get(item.key, {}).get(metric) for item in self.asked[dataset]]
        return np.array([math.nan if value is None else value for value in found], float)

    def expected(self, dataset: str) -> list[str]:
        return [item.expected for item in self.asked[dataset]]


def read(run: Run, job: Path) -> Asked:
    """Return a finished evaluation.

    Raises:
        RunError: if it has no score.
    """
    score = scores.of(run, job)
    if score is None:
        raise RunError(problem("experiment.not_scored", job.name))
    asked: dict[str, list[items.Item]] = {name: [] for name in score["datasets"]}
    for item in items.read(job):
        if item.source in asked:
            asked[item.source].append(item)
    return Asked(run.name, job, score, asked, scores.grades(job))


def task_rows(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Join the rows of several test sets so that their mean is the mean of the sets' means: each set counts the same.

    Rows are scaled by the length of all over that of their set; NaN rows are left as they are. One set stays as it is.
    """
    if len(columns) == 1:
        return columns[0]
    counted = [int((~np.isnan(column)).sum()) for column in columns]
    total, sets = sum(counted), sum(count > 0 for count in counted)
    scales = [total / (sets * count) if count else 1.0 for count in counted]
    return np.concatenate([column * scale for column, scale in zip(columns, scales, strict=True)])


def mean(values: np.ndarray) -> float | None:
    """Return the mean of what applies, None where nothing does."""
    kept = values[~np.isnan(values)]
    return round(float(kept.mean()), 2) if len(kept) else None


def task_value(asked: Asked, who: str, tests: Sequence[str]) -> float | None:
    """Return the mean over some test sets of a contestant's means, 0..100; None where nothing applies."""
    return mean(task_rows([asked.column(name, who) for name in tests]))
