"""Two or more arms of one recipe, trained on equally much and asked the same: does the format, the prompt, the data matter?

Every arm is the recipe with some settings changed. The first one trains as the recipe says; the others take as many steps as
give them the same number of learnt tokens, to within half a step. All are trained with the same seeds and asked in one
evaluation: each under the system prompt that it learnt, and each in the form that its data taught (see `form`).
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.data.registry import Registry
from core.errors import Problem, SettingsError, StudioError, problem
from core.evaluate.options import Options, options as evaluating_options
from core.evaluate.questions import rows_asked
from core.experiments import cost
from core.experiments.directory import make
from core.experiments.equal_tokens import Amount, nearest, planned, with_steps
from core.experiments.form import in_form, taught_form
from core.models.folder import find_model
from core.models.methods import bits_of
from core.settings import RunSettings, from_dict
from core.train.examples import RunData
from core.train.gate import admit
from core.train.plan import Plan, data_of
from core.train.prepare import checked_plan
from core.workspace import Workspace, slug

MOST_ARMS, MOST_SEEDS = 6, 10  # chosen by us: more are a sweep
_EACH_ARM = ("model.path", "method.bits", "model.add_chatml")  # have to be the same in all arms


def prepare_ab(
    workspace: Workspace,
    recipe: RunSettings,
    arms: Mapping[str, Mapping[str, Any]],
    *,
    seeds: int = 1,
    tests: Sequence[str] | None = None,
    options: Options | None = None,
) -> Path:
    """Return the directory of a new experiment, ready to be queued for `core.experiments.worker`.

    Args:
        arms: label -> settings by dotted path that differ from the recipe; {} is the recipe itself. Test sets that an arm
            names itself (`data.test`) are asked as they are, row by row beside those of the others.
        seeds: trainings of each arm, with the recipe's seed and those after it.
        tests: test sets; None takes the recipe's.

    Raises:
        StudioError: with every problem of the arms, their data, prompts and model.
    """
    _require_few(arms, seeds)
    chosen = {label: _settings(recipe, changes, tests) for label, changes in arms.items()}
    _require_comparable(chosen)
    plans = _planned(workspace, chosen)
    asked = _asked(workspace, chosen, {label for label, changes in arms.items() if "data.test" in changes})
    chosen = {label: _settings(settings, {"data.test": asked[label]}, None) for label, settings in chosen.items()}
    _admit(workspace, chosen)
    runs = _runs(workspace, chosen, plans, seeds)
    options = options or evaluating_options()
    every = [name for names in asked.values() for name in names]
    evaluating = cost.evaluation(workspace, next(iter(plans.values())), every, len(runs) + 1, options)
    return make(
        workspace,
        slug("ab_" + "_".join(arms)),
        {
            "kind": "ab",
            "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "settings": recipe.model_dump(mode="json"),
            "arms": [{"label": label, "changes": dict(arms[label]), "tests": asked[label]} for label in arms],
            "runs": runs,
            "options": options.model_dump(mode="json"),
            "plan": cost.total(runs, evaluating, max(each.memory_bytes for each in plans.values())),
        },
    )


def _settings(recipe: RunSettings, changes: Mapping[str, Any], tests: Sequence[str] | None) -> RunSettings:
    asked = {} if tests is None else {"data.test": list(tests)}
    return from_dict(recipe.model_dump(mode="json"), {**asked, **changes})


def _require_few(arms: Mapping[str, Any], seeds: int) -> None:
    problems: list[Problem] = []
    if not 2 <= len(arms) <= MOST_ARMS:
        problems.append(problem("settings.out_of_range", "arms", value=len(arms), range=f"2 … {MOST_ARMS}"))
    if not 1 <= seeds <= MOST_SEEDS:
        problems.append(problem("settings.out_of_range", "seeds", value=seeds, range=f"1 … {MOST_SEEDS}"))
    if problems:
        raise SettingsError(*problems)


def _require_comparable(chosen: Mapping[str, RunSettings]) -> None:
    """Check that the arms can be asked beside each other."""
    first, *others = chosen.values()
    problems = []
    for label, settings in zip(list(chosen)[1:], others, strict=True):
        base = (settings.model.path, bits_of(settings), settings.model.add_chatml)
        if base != (first.model.path, bits_of(first), first.model.add_chatml):
            problems.append(problem("experiment.other_base", label, settings=", ".join(_EACH_ARM)))
        if len(settings.data.test) != len(first.data.test):
            counts = {"n": len(settings.data.test), "first": len(first.data.test), "label": next(iter(chosen))}
            problems.append(problem("experiment.other_tests", label, **counts))
    if not first.data.test:
        problems.append(problem("experiment.no_tests", "data.test"))
    if len({settings.model_dump_json() for settings in chosen.values()}) < len(chosen):
        problems.append(problem("experiment.same_arms", ", ".join(chosen)))
    if problems:
        raise SettingsError(*problems)


def _planned(workspace: Workspace, chosen: Mapping[str, RunSettings]) -> dict[str, Plan]:
    """Return the plan of every arm. The model has to be here: with it the tokens are counted."""
    problems: list[Problem] = []
    plans: dict[str, Plan] = {}
    for label, settings in chosen.items():
        try:
            find_model(workspace, settings.model.path)
            plan = checked_plan(workspace, settings)
            assert plan is not None
            plans[label] = plan
        except StudioError as error:
            problems += [each for each in error.problems if each not in problems]
    if problems:
        raise StudioError(*problems)
    return plans


def _admit(workspace: Workspace, chosen: Mapping[str, RunSettings]) -> None:
    """Check that every arm may be trained on its data."""
    problems: list[Problem] = []
    for settings in chosen.values():
        try:
            admit(workspace, settings)
        except StudioError as error:
            problems += [each for each in error.problems if each not in problems]
    if problems:
        raise StudioError(*problems)


def _asked(workspace: Workspace, chosen: Mapping[str, RunSettings], own: set[str]) -> dict[str, list[str]]:
    """Return the names of the test sets that each arm is asked, in its form where the arms were taught different ones.

    Raises:
        DataError: if a set cannot be read.
        SettingsError: if the sets that two arms are asked have other answers in their rows.
    """
    asked = {label: list(settings.data.test) for label, settings in chosen.items()}
    for at in range(len(next(iter(asked.values())))):
        taught = {
            label: taught_form(workspace, settings.data.train, settings.data.test[at])
            for label, settings in chosen.items()
            if label not in own
        }
        if len({form for _, form in filter(None, taught.values())}) > 1:
            for label, found in taught.items():
                if found is not None:
                    asked[label][at] = in_form(workspace, asked[label][at], *found)
    _require_same_answers(workspace, asked)
    return asked


def _require_same_answers(workspace: Workspace, asked: Mapping[str, Sequence[str]]) -> None:
    first, *others = asked
    for label in others:
        for mine, theirs in zip(asked[label], asked[first], strict=True):
            if mine != theirs and _answers(workspace, mine) != _answers(workspace, theirs):
                raise SettingsError(problem("experiment.other_rows", label, mine=mine, theirs=theirs))


def _answers(workspace: Workspace, name: str) -> list[str]:
    return [row.answer for row in rows_asked(Registry(workspace).get(name))]


def _runs(
    workspace: Workspace, chosen: Mapping[str, RunSettings], plans: Mapping[str, Plan], seeds: int
) -> list[dict[str, Any]]:
    """Return the trainings, seed by seed: after the first pass over the arms there is something to compare."""
    found = []
    for number in range(seeds):
        target: Amount | None = None
        for label, arm in chosen.items():
            seeded = arm.model_copy(update={"seed": (arm.seed + number) % 2**32})
            data = _data(workspace, seeded)
            amount = planned(seeded, data) if target is None else nearest(seeded, data, target.learnt_tokens)
            target = target or amount
            named = with_steps(seeded, data, amount.steps).model_copy(
                update={"name": f"ab_{slug(label)}_s{seeded.seed}"[:60]}
            )
            plan = plans[label]
            seconds = plan.speed.load_seconds + (plan.seconds - plan.speed.load_seconds) * amount.steps / plan.steps
            found.append(
                {"key": f"{label}/{seeded.seed}", "arm": label, "seed": seeded.seed, "steps": amount.steps,
                 "learnt_tokens": amount.learnt_tokens, "seconds": round(seconds, 1),
                 "settings": named.model_dump(mode="json")}
            )  # fmt: skip
    return found


def _data(workspace: Workspace, settings: RunSettings) -> RunData:
    return data_of(workspace, settings, find_model(workspace, settings.model.path))
