"""How a run learnt and forgot, step by step: an evaluation of its checkpoints as a curve, and the step to take.

It needs no experiment: `prepare(…, others=checkpoints_of(run))` asks them all in one evaluation, a small `limit` is enough.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.evaluate.contestants import BASE, TUNED
from core.experiments import probed
from core.experiments.sweep import FLOOR
from core.runs import events
from core.runs.directory import Run
from core.runs.process import last_event


@dataclass(frozen=True)
class Point:
    """One saved state of a run; step 0 is the base. All values are percent, None where nothing tells them.

    `right` is by data set, by the metric that an answer is judged by; `task` is the mean of them, each set counting the same.
    """

    who: str
    step: int
    right: Mapping[str, float | None]
    task: float | None
    identity: float | None
    kept: float | None


@dataclass(frozen=True)
class Best:
    """The step to take, and whether the questions can tell it from the run's result (None: it is the result itself)."""

    point: Point
    told: bool | None


def curve(score: Mapping[str, Any], last_step: int | None = None) -> list[Point]:
    """Return the points of an evaluation by their steps, the base first; of other runs nothing.

    Args:
        last_step: the step of the run's result, where the score does not know it; without it the result is left out.
    """
    run = next((each.get("run") for each in score["who"] if each["id"] == TUNED), None)
    found = {0: _point(score, BASE, 0)}
    for each in score["who"]:
        step = each.get("step") or (last_step if each["id"] == TUNED else None)
        if each["id"] != BASE and step and each.get("run", run) == run and step not in found:
            found[step] = _point(score, each["id"], step)
    return [found[step] for step in sorted(found)]


def best_step(score: Mapping[str, Any], points: Sequence[Point], floor: float = FLOOR) -> Best | None:
    """Return the trained step with the highest task score among those that keep enough, the earliest of equals.

    None where there is none, or nothing tells a task score.
    """
    able = [
        each for each in points if each.step and each.task is not None and (each.kept is None or each.kept >= floor)
    ]
    if not able:
        return None
    best = max(able, key=lambda each: (each.task or 0.0, -each.step))
    return Best(best, None if best.who == TUNED else _is_told(score, best.who))


def result_step(run: Run) -> int | None:
    """Return the step that a run's result is of, None while it has none."""
    last = last_event(run.path)
    kept = last.result.get("kept_step") if isinstance(last, events.RunFinished) else None
    return int(kept) if kept else None


def _point(score: Mapping[str, Any], who: str, step: int) -> Point:
    right = {name: told[who].get(told["main"]) for name, told in score["datasets"].items()}
    known = [value for value in right.values() if value is not None]
    task = round(sum(known) / len(known), 2) if known and len(known) == len(right) else None
    return Point(who, step, right, task, probed.identity(score, who), probed.kept(score, who))


def _is_told(score: Mapping[str, Any], who: str) -> bool:
    """Tell whether a step is better than the result on at least one set, and worse on none, beyond chance."""
    winners = []
    for told in score["datasets"].values():
        against = told.get("against", {}).get(who, {}).get(TUNED)
        winners += [against[told["main"]]["winner"]] if against else []
    return "who" in winners and "other" not in winners
