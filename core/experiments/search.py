"""Optuna's part in a sweep: which settings to try next, and whether a trial is hopeless.

Nothing of Optuna is kept: a study is made anew from the trials that have ended whenever it is asked. With a sampler of its
own for each trial, seeded by the trial's number, what it suggests depends on nothing but the seed and those trials, so that a
sweep that was killed goes on as it would have.

TPE maximises the task score under the constraint that enough of the base's abilities is kept: Optuna's own constraints, by
which a trial that breaks one ranks below all that do not. The median pruner compares validation losses of trials of as many
epochs: those of a longer run, whose rate falls later, lie higher at the same step and say nothing about its end.
"""

from collections.abc import Sequence

import optuna
from optuna.trial import TrialState

from core.experiments.space import EPOCHS, Params, Space
from core.experiments.trials import Trial

_RANDOM_FIRST = (
    5  # trials before TPE has something to learn from; half of its own default, which is for longer searches
)
_COMPARED_WITH = 3  # complete trials of as many epochs; chosen by us: the median of fewer is one trial's luck
_NOT_BEFORE = 0.3  # of the steps; chosen by us: until then the warm-up of a high rate looks worse than it is
_DRAWS = 20  # times that another suggestion is drawn where one was tried already

optuna.logging.set_verbosity(optuna.logging.WARNING)


def suggest(space: Space, trials: Sequence[Trial], seed: int, floor: float, first: Params) -> dict[str, float]:
    """Return settings that were not tried yet; the recipe's own, `first`, before all others."""
    tried = [each.params for each in trials]
    left = [params for params in space.combinations(seed, first) if params not in tried]
    if not tried:
        return left[0]
    for draw in range(_DRAWS):
        sampler = optuna.samplers.TPESampler(
            seed=seed * 1000 + len(trials) * _DRAWS + draw, n_startup_trials=_RANDOM_FIRST, multivariate=True
        )
        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.add_trials([_told(space, each, floor) for each in trials if each.state in ("complete", "pruned")])
        trial = study.ask(_distributions(space))
        found = {path: space.choices[path][place] for path, place in trial.params.items()}
        if found in left:
            return found
    return left[0]


def hopeless_after(
    trials: Sequence[Trial], params: Params, losses: Sequence[tuple[int, float]], steps: int
) -> int | None:
    """Return after how many of its validations a trial is worse than half of the earlier ones, None while it is not.

    Args:
        losses: its validations, (step, loss).
        steps: of the whole trial.
    """
    pruner = optuna.pruners.MedianPruner(n_startup_trials=_COMPARED_WITH, n_min_trials=_COMPARED_WITH)
    study = optuna.create_study(direction="minimize", pruner=pruner)
    for each in trials:
        if each.state == "complete" and each.params.get(EPOCHS) == params.get(EPOCHS) and each.losses:
            values = dict(each.losses)
            study.add_trial(optuna.trial.create_trial(value=min(values.values()), intermediate_values=values))
    trial = study.ask()
    for number, (step, loss) in enumerate(losses, 1):
        trial.report(loss, step)
        if step >= _NOT_BEFORE * steps and trial.should_prune():
            return number
    return None


def _distributions(space: Space) -> dict[str, optuna.distributions.BaseDistribution]:
    """Return the places in the lists of values: neighbours are alike, whatever the distance between their values."""
    return {path: optuna.distributions.IntDistribution(0, len(values) - 1) for path, values in space.choices.items()}


def _told(space: Space, trial: Trial, floor: float) -> optuna.trial.FrozenTrial:
    """Return a trial as Optuna knows it. What is reported has to point where the score does, hence the minus."""
    places = {path: space.choices[path].index(value) for path, value in trial.params.items()}
    reported = {number: -loss for number, (_, loss) in enumerate(trial.losses, 1)}
    is_complete = trial.state == "complete"
    broken = 0.0 if trial.kept is None else floor - trial.kept
    return optuna.trial.create_trial(
        state=TrialState.COMPLETE if is_complete else TrialState.PRUNED,
        value=trial.value if is_complete else None,
        params=places,
        distributions=_distributions(space),
        intermediate_values=reported,
        constraints={"kept": broken} if is_complete else None,
    )
