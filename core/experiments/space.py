"""What a sweep tries: a few learning rates, ranks and epochs, and what it may take."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from core.errors import Problem, SettingsError, problem
from core.settings import RunSettings, from_dict
from core.train.conflicts import LORA

RATE, RANK, EPOCHS = "optim.learning_rate", "lora.rank", "schedule.epochs"
MOST_TRIALS = 100  # chosen by us: a small sweep; more is a search that needs a cluster
Params = Mapping[str, float]


@dataclass(frozen=True)
class Space:
    """The values to try, each list in any order; what is empty stays as the recipe has it."""

    rates: tuple[float, ...] = ()
    ranks: tuple[int, ...] = ()
    epochs: tuple[float, ...] = ()

    @property
    def choices(self) -> dict[str, tuple[float, ...]]:
        """Setting -> its values in ascending order, each once; only those that are tried."""
        given: dict[str, tuple[float, ...]] = {RATE: self.rates, RANK: self.ranks, EPOCHS: self.epochs}
        return {path: tuple(sorted(set(values))) for path, values in given.items() if values}

    @property
    def size(self) -> int:
        return math.prod(len(values) for values in self.choices.values())

    def combinations(self, seed: int, first: Params) -> list[dict[str, float]]:
        """Return every combination once: that of `first` before all others where it is one, these in a shuffled order.

        Shuffled, because the time may be over before all were tried.
        """
        choices = self.choices
        found = [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]
        Random(seed).shuffle(found)
        return sorted(found, key=lambda params: params != dict(first))


@dataclass(frozen=True)
class Budget:
    """How much a sweep may take; None is without a limit."""

    minutes: float | None = None
    trials: int | None = None


def check(recipe: RunSettings, space: Space, budget: Budget) -> None:
    """Check that there is something to try, and that it may take something.

    Raises:
        SettingsError: with every problem.
    """
    problems: list[Problem] = []
    if space.size < 2:
        problems.append(problem("experiment.nothing_to_try", "space"))
    if space.ranks and recipe.method.name not in LORA:
        problems.append(problem("experiment.no_rank", RANK, method=recipe.method.name))
    if budget.minutes is not None and not 0 < budget.minutes < math.inf:
        problems.append(problem("settings.out_of_range", "minutes", value=budget.minutes, range="> 0"))
    if budget.trials is not None and not 2 <= budget.trials <= MOST_TRIALS:
        problems.append(problem("settings.out_of_range", "trials", value=budget.trials, range=f"2 … {MOST_TRIALS}"))
    for path, values in space.choices.items():
        for value in values:
            try:
                with_params(recipe, {path: value})
            except SettingsError as error:
                problems += error.problems
    if problems:
        raise SettingsError(*problems)


def with_params(recipe: RunSettings, params: Params) -> RunSettings:
    """Return the settings of a trial."""
    return from_dict(recipe.model_dump(mode="json"), changes(params))


def changes(params: Params) -> dict[str, Any]:
    """Return what a trial changes in the recipe. Where epochs are tried, no number of steps may cut them short."""
    return {**params, **({"schedule.max_steps": None} if EPOCHS in params else {})}


def own(recipe: RunSettings, space: Space) -> dict[str, float]:
    """Return the recipe's own values of what is tried."""
    values = {RATE: recipe.optim.learning_rate, RANK: recipe.lora.rank, EPOCHS: recipe.schedule.epochs}
    return {path: values[path] for path in space.choices}
