"""A small sweep over learning rate, rank and epochs: prepared under a budget, said before it starts.

Where the budget has room for every combination, all are tried (a grid, in a seeded order); else TPE chooses. The recipe's own
values come first where they are among those to try, so that every other trial can be told from what would have been done.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from core.errors import SettingsError, problem
from core.evaluate.options import Options, options as evaluating_options
from core.experiments import cost
from core.experiments.directory import make
from core.experiments.space import EPOCHS, MOST_TRIALS, RANK, Budget, Space, check, with_params
from core.models.folder import find_model
from core.settings import RunSettings, from_dict
from core.train.gate import admit
from core.train.plan import Plan
from core.train.prepare import checked_plan
from core.workspace import Workspace

FLOOR = 90.0  # percent of the base's general abilities; chosen by us: a tenth lost is felt in daily use


def prepare_sweep(
    workspace: Workspace,
    recipe: RunSettings,
    space: Space,
    budget: Budget,
    tests: Sequence[str] | None = None,
    *,
    floor: float = FLOOR,
    options: Options | None = None,
) -> Path:
    """Return the directory of a new experiment, ready to be queued for `core.experiments.worker`.

    Args:
        tests: test sets whose mean score is maximised, each counting the same; None takes the recipe's.
        floor: percent of the base's general abilities that have to be kept; 0 asks for nothing.

    Raises:
        StudioError: with every problem of the settings, the data, the prompt and the model, or if the budget is too small
            for two trials.
    """
    check(recipe, space, budget)
    asked = list(recipe.data.test if tests is None else tests)
    if not asked:
        raise SettingsError(problem("experiment.no_tests", "data.test"))
    recipe = from_dict(recipe.model_dump(mode="json"), {"data.test": asked})
    options = options or evaluating_options()
    if floor:
        options = options.model_copy(update={"probes": True})
    plans = _plans(workspace, recipe, space)
    evaluating = cost.evaluation(workspace, next(iter(plans.values())), asked, 2, options)
    expected = [
        {"epochs": each, "steps": plan.steps, "seconds": round(plan.seconds, 1)} for each, plan in plans.items()
    ]
    seconds = sum(each["seconds"] for each in expected) / len(expected) + evaluating  # of a trial
    count = _count(space, budget, seconds)
    return make(
        workspace,
        "sweep",
        {
            "kind": "sweep",
            "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "settings": recipe.model_dump(mode="json"),
            "space": {name: list(values) for name, values in asdict(space).items()},
            "budget": asdict(budget),
            "floor": floor,
            "sampler": "grid" if count == space.size else "tpe",
            "trials": count,
            "expected": expected,
            "prunes": all(plan.validation_examples for plan in plans.values()),
            "options": options.model_dump(mode="json"),
            "plan": _total(expected, evaluating, count, max(plan.memory_bytes for plan in plans.values())),
        },
    )


def _plans(workspace: Workspace, recipe: RunSettings, space: Space) -> dict[float, Plan]:
    """Return the plan for each number of epochs, with the largest rank, after checking that each could start."""
    find_model(workspace, recipe.model.path)
    plans = {}
    for epochs in space.choices.get(EPOCHS, (recipe.schedule.epochs,)):
        largest = {EPOCHS: epochs} if EPOCHS in space.choices else {}
        largest |= {RANK: max(space.ranks)} if space.ranks else {}
        settings = with_params(recipe, largest)
        found = checked_plan(workspace, settings)
        assert found is not None  # the model is here
        plans[epochs] = found
    admit(workspace, recipe)
    return plans


def _count(space: Space, budget: Budget, seconds: float) -> int:
    """Return how many trials are planned.

    Raises:
        SettingsError: if there is no time for two.
    """
    count = min(space.size, budget.trials or MOST_TRIALS)
    if budget.minutes is not None:
        fitting = int(budget.minutes * 60 / seconds)
        if fitting < 2:
            values = {"minutes": f"{budget.minutes:g}", "needed": f"{2 * seconds / 60:.1f}"}
            raise SettingsError(problem("experiment.no_time", "minutes", **values))
        count = min(count, fitting)
    return count


def _total(expected: Sequence[dict[str, Any]], evaluating: float, count: int, memory_bytes: int) -> dict[str, Any]:
    """Return the plan: of trials that are not chosen yet the mean is expected, and that none is pruned."""
    steps = sum(each["steps"] for each in expected) / len(expected)
    seconds = sum(each["seconds"] for each in expected) / len(expected)
    return {
        "runs": count,
        "steps": round(steps * count),
        "evaluation_seconds": round(evaluating * count, 1),
        "seconds": round((seconds + evaluating) * count, 1),
        "memory_bytes": memory_bytes,
    }
