"""The form of a new experiment: what a chosen run offers, and the experiment that the form asks for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from app.experiments.layout import ExperimentsPage
from app.runs import rerun
from app.studio import Studio
from core.errors import Problem, SettingsError, problem
from core.experiments.ab import prepare_ab
from core.experiments.space import EPOCHS, RANK, RATE, Budget, Space
from core.experiments.sweep import prepare_sweep
from core.runs.directory import Run
from core.settings import RunSettings
from core.settings.groups import names as listed
from core.train.conflicts import LORA
from core.wording import Translator

_MOST_RUNS = 200  # choices; chosen by us: a longer list is searched by nobody


def for_run(studio: Studio, page: ExperimentsPage, values: Mapping[Any, Any], t: Translator) -> dict[Any, Any]:
    """Return the updates that put what a run was trained with into the form."""
    form, name = page.form, values[page.form.run]
    known = studio.registry.names()
    settings = studio.run(name).settings if name else None
    trained = settings.data.train if settings else []
    kept = [each for each in settings.data.test if each in known] if settings else []
    others = [each for each in known if each not in trained]
    chosen = {form.tests: kept, form.data: None, form.prompt: None}
    return {
        form.tests: gr.update(choices=known, value=kept),
        form.replaced: gr.update(choices=trained, value=next(iter(trained), None)),
        form.data: gr.update(choices=others, value=None),
        form.prompt: gr.update(choices=studio.prompts.names(), value=None),
        **(_around(page, settings) if settings else {}),
        form.plan: ready(page, {**values, **chosen}, t),
    }


def refreshed(studio: Studio, page: ExperimentsPage, values: Mapping[Any, Any], t: Translator) -> dict[Any, Any]:
    """Return the updates of a tab that is shown: runs, data and prompts as they are on disk now; what is chosen stays."""
    form = page.form
    runs = [run.name for run in studio.runs()[:_MOST_RUNS]]
    if values[form.run] not in runs:
        first = next(iter(runs), None)
        return {**for_run(studio, page, {**values, form.run: first}, t), form.run: gr.update(choices=runs, value=first)}
    trained = studio.run(values[form.run]).settings.data.train
    known = studio.registry.names()
    return {
        form.run: gr.update(choices=runs),
        form.tests: gr.update(choices=known),
        form.data: gr.update(choices=[each for each in known if each not in trained]),
        form.prompt: gr.update(choices=studio.prompts.names()),
    }


def ready(page: ExperimentsPage, values: Mapping[Any, Any], t: Translator) -> dict[str, Any]:
    """Return the state of the button: its label says what is missing."""
    form, missing = page.form, ""
    if not values[form.run]:
        missing = "choose_run"
    elif values[form.kind] == "ab" and not values[getattr(form, values[form.change])]:
        missing = f"choose_{values[form.change]}"
    elif not values[form.tests]:
        missing = "choose_tests"
    return gr.update(value=t(f"experiments.{missing or 'plan'}"), interactive=not missing)


def shape(page: ExperimentsPage, values: Mapping[Any, Any], t: Translator) -> dict[Any, Any]:
    """Return the updates that show the fields of what is to be tried."""
    form, is_data = page.form, values[page.form.change] == "data"
    return {
        form.arms: gr.update(visible=values[form.kind] == "ab"),
        form.space: gr.update(visible=values[form.kind] == "sweep"),
        form.replaced: gr.update(visible=is_data),
        form.data: gr.update(visible=is_data),
        form.prompt: gr.update(visible=not is_data),
        form.plan: ready(page, values, t),
    }


def prepared(studio: Studio, page: ExperimentsPage, values: Mapping[Any, Any]) -> tuple[Path, list[Problem]]:
    """Return the experiment that the form asks for, planned and not started, and what to mind about its run.

    Raises:
        StudioError: if something in the form, or in what the run was made of, cannot be used.
    """
    form, run = page.form, studio.run(values[page.form.run] or "")
    recipe, minded = rerun.settings_of(studio, run)
    tests = list(values[form.tests] or [])
    if values[form.kind] == "ab":
        arms = _arms(page, run, recipe, values)
        return prepare_ab(studio.workspace, recipe, arms, seeds=int(values[form.seeds] or 1), tests=tests), minded
    floor = _number("floor", values[form.floor]) or 0.0
    if not 0 <= floor <= 100:
        raise SettingsError(problem("settings.out_of_range", "floor", value=floor, range="0 … 100"))
    space = Space(
        tuple(_numbers(RATE, values[form.rates])),
        tuple(_whole(RANK, each) for each in _numbers(RANK, values[form.ranks])),
        tuple(_numbers(EPOCHS, values[form.epochs])),
    )
    trials = _number("trials", values[form.trials])
    budget = Budget(_number("minutes", values[form.minutes]), None if trials is None else _whole("trials", trials))
    return prepare_sweep(studio.workspace, recipe, space, budget, tests, floor=floor), minded


def _around(page: ExperimentsPage, settings: RunSettings) -> dict[Any, Any]:
    """Return lists of values around the run's own: half of it, itself, and twice as much.

    Of a run whose steps were limited the epochs say nothing, and other methods have no rank.
    """
    form, rank = page.form, settings.lora.rank
    ranks = dict.fromkeys((max(1, rank // 2), rank, 2 * rank)) if settings.method.name in LORA else ()
    epochs = () if settings.schedule.max_steps else _twice(settings.schedule.epochs)
    return {
        form.rates: ", ".join(f"{each:g}" for each in _twice(settings.optim.learning_rate)),
        form.ranks: ", ".join(map(str, ranks)),
        form.epochs: ", ".join(f"{each:g}" for each in epochs),
    }


def _twice(value: float) -> tuple[float, float, float]:
    return value / 2, value, 2 * value


def _arms(page: ExperimentsPage, run: Run, recipe: RunSettings, values: Mapping[Any, Any]) -> dict[str, dict[str, Any]]:
    """Return the run as it is and with one thing changed, by their labels."""
    form = page.form
    if values[form.change] == "data":
        old, new, changes = _other_data(run, recipe, values[form.replaced] or "", values[form.data] or "")
    else:
        old, new = recipe.prompt.name, values[form.prompt] or ""
        changes = {"prompt.name": new, "prompt.version": None}
    first, second = (values[form.first] or "").strip() or old, (values[form.second] or "").strip() or new
    if first == second:
        raise SettingsError(problem("experiment.label_twice", first))
    return {first: {}, second: changes}


def _other_data(run: Run, recipe: RunSettings, old: str, new: str) -> tuple[str, str, dict[str, Any]]:
    """Return the names of the two sets, and the settings with the second in the place, and at the weight, of the first.

    The run's set may have another name here: `recipe` has the sets in the same order.
    """
    trained = run.settings.data.train
    if old not in trained:
        raise SettingsError(problem("experiment.not_trained", old, known=", ".join(trained)))
    here = recipe.data.train[trained.index(old)] if len(recipe.data.train) == len(trained) else old
    train = [new if each == here else each for each in recipe.data.train]
    weights = {new if each == here else each: weight for each, weight in recipe.data.weights.items()}
    return old, new, {"data.train": train, "data.weights": weights}


def _numbers(where: str, text: str | None) -> list[float]:
    """Return the numbers of a list such as "1e-4, 2e-4"."""
    found = []
    for each in listed((text or "").replace("，", ",").replace("、", ",")):
        try:
            found.append(float(each))
        except ValueError as error:
            raise SettingsError(problem("experiment.no_number", where, value=each)) from error
    return found


def _number(where: str, text: str | None) -> float | None:
    found = _numbers(where, text)
    if len(found) > 1:
        raise SettingsError(problem("experiment.no_number", where, value=text))
    return found[0] if found else None


def _whole(where: str, value: float) -> int:
    if not value.is_integer():
        raise SettingsError(problem("experiment.not_whole", where, value=value))
    return int(value)
