"""What a sweep came to: result.json of a sweep.

{
 "kind": "sweep", "sampler": "grid" | "tpe", "floor": 90.0, "tests": [NAME, …],
 "trials": [Trial as dict, …],                   # see `trials`
 "best": number | null,                          # null: none keeps enough
 "changes": {setting path: value},               # of the best over the recipe: what fills the Train form; {} without one
 "against": {number: Comparison as dict},        # the best minus each other complete trial, row by row
 "cost": {"runs", "seconds", "planned_seconds"}
}

The best of many by one test set looks a little better than it is: it was chosen for its score. So `against` says from which
trials it can be told at all; what matters is proved on rows that took no part.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from core.evaluate import statistics
from core.experiments import asked, trials
from core.experiments.asked import task_rows
from core.experiments.space import changes
from core.experiments.trials import Trial
from core.runs.directory import Run
from core.workspace import Workspace


def report(workspace: Workspace, config: Mapping[str, Any], done: Sequence[Trial]) -> dict[str, Any]:
    """Return the report of the trials that were taken."""
    tests = config["settings"]["data"]["test"]
    best = trials.best(done, config["floor"])
    rows = {each.number: _rows(workspace, each, tests) for each in done if each.state == "complete"}
    others = [number for number in rows if best is not None and number != best.number]
    return {
        "kind": "sweep",
        "sampler": config["sampler"],
        "floor": config["floor"],
        "tests": list(tests),
        "trials": [asdict(each) for each in done],
        "best": None if best is None else best.number,
        "changes": {} if best is None else changes(best.params),
        "against": {} if best is None else {str(each): _compared(rows[best.number], rows[each]) for each in others},
        "cost": {
            "runs": sum(bool(each.run) for each in done),
            "seconds": round(sum(each.seconds for each in done), 1),
            "planned_seconds": config["plan"]["seconds"],
        },
    }


def _rows(workspace: Workspace, trial: Trial, tests: Sequence[str]) -> np.ndarray:
    run = Run(workspace.runs / trial.run)
    found = asked.read(run, run.path / "evaluations" / trial.evaluation)
    who = found.who(run.name)
    return task_rows([found.column(name, who) for name in tests])


def _compared(best: np.ndarray, other: np.ndarray) -> dict[str, Any]:
    applies = ~(np.isnan(best) | np.isnan(other))
    return statistics.compare(best[applies], other[applies]).to_dict()
