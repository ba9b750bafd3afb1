"""`studio experiment ab, sweep, list, show, continue, stop`: several runs that answer one question."""

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from core.commands.plan import PresetOption, settings_of
from core.commands.shared import (
    WORKSPACE,
    JsonOption,
    WorkspaceOption,
    answer,
    command,
    open_workspace,
    say,
    translator,
    work_through,
)
from core.errors import SettingsError, problem
from core.evaluate.options import options
from core.experiments import in_words, trials
from core.experiments.ab import prepare_ab
from core.experiments.directory import Experiment, find, listing, require_unfinished
from core.experiments.space import Budget, Space
from core.experiments.sweep import FLOOR, prepare_sweep
from core.runs import ending, process
from core.runs.directory import Run
from core.settings.groups import names as listed
from core.wording import Translator

app = typer.Typer(name="experiment", help="Experiments: compare ways, sweep settings.", no_args_is_help=True)
_SETTINGS = {"allow_extra_args": True, "ignore_unknown_options": True}
_WORKER = "core.experiments.worker"
TestOption = Annotated[
    list[str] | None, typer.Option("--test", help="May be repeated; default: the recipe's test sets.")
]
LimitOption = Annotated[int | None, typer.Option(help="At most so many questions of each set.")]
PlanOption = Annotated[bool, typer.Option("--plan", help="Say what it would do and leave it waiting to be continued.")]


@app.command("ab", context_settings=_SETTINGS)
@command
def ab(
    context: typer.Context,
    recipe: Path,
    arm: Annotated[
        list[str], typer.Option(help='"LABEL: SETTING=VALUE …"; at least two. "LABEL:" is the recipe itself.')
    ],
    workspace: WorkspaceOption = WORKSPACE,
    preset: PresetOption = None,
    seeds: Annotated[
        int, typer.Option(help="Trainings of each arm; more show how much is chance of the training.")
    ] = 1,
    test: TestOption = None,
    limit: LimitOption = None,
    dry_run: PlanOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a recipe in two or more ways on equally much and tell which is better. Settings can follow, as for `train`."""
    place = open_workspace(workspace)
    settings = settings_of(place, recipe, preset, context.args)
    arms = dict(_arm(each) for each in arm)
    if len(arms) < len(arm):
        raise SettingsError(problem("experiment.label_twice", "arm"))
    job = prepare_ab(place, settings, arms, seeds=seeds, tests=test, options=options(limit=limit))
    _see_through(Experiment(job), dry_run, as_json)


@app.command("sweep", context_settings=_SETTINGS)
@command
def sweep(
    context: typer.Context,
    recipe: Path,
    workspace: WorkspaceOption = WORKSPACE,
    preset: PresetOption = None,
    rates: Annotated[str, typer.Option(help="Learning rates, such as 1e-4,2e-4,5e-4.")] = "",
    ranks: Annotated[str, typer.Option(help="Ranks, such as 8,16,32.")] = "",
    epochs: Annotated[str, typer.Option(help="Passes over the data, such as 2,4.")] = "",
    minutes: Annotated[float | None, typer.Option(help="No trial begins that would end later.")] = None,
    most: Annotated[int | None, typer.Option("--trials", help="At most so many trials.")] = None,
    floor: Annotated[float, typer.Option(help="Percent of the general abilities that have to be kept.")] = FLOOR,
    test: TestOption = None,
    limit: LimitOption = None,
    dry_run: PlanOption = False,
    as_json: JsonOption = False,
) -> None:
    """Try learning rates, ranks and epochs under a budget and tell which are best. Settings can follow, as for `train`."""
    place = open_workspace(workspace)
    settings = settings_of(place, recipe, preset, context.args)
    space = Space(
        tuple(_numbers("rates", rates)),
        tuple(int(each) for each in _numbers("ranks", ranks)),
        tuple(_numbers("epochs", epochs)),
    )
    job = prepare_sweep(place, settings, space, Budget(minutes, most), test, floor=floor, options=options(limit=limit))
    _see_through(Experiment(job), dry_run, as_json)


@app.command("list")
@command
def list_experiments(workspace: WorkspaceOption = WORKSPACE, as_json: JsonOption = False) -> None:
    """List the experiments, newest first."""
    t = translator()
    found = [{"experiment": each.name, "kind": each.config["kind"], "status": each.status}
             for each in listing(open_workspace(workspace))]  # fmt: skip
    lines = [f"{each['experiment']}  {t('status.' + each['status'])}" for each in found]
    answer({"experiments": found}, as_json, "\n".join(lines) or t("cli.none_yet"))


@app.command("show")
@command
def show(name: str, workspace: WorkspaceOption = WORKSPACE, as_json: JsonOption = False) -> None:
    """Show an experiment: its plan, its runs, and what came out."""
    found = find(open_workspace(workspace), name)
    _tell(found, as_json)


@app.command("continue")
@command
def go_on(name: str, workspace: WorkspaceOption = WORKSPACE, as_json: JsonOption = False) -> None:
    """Go on with an experiment that was stopped, failed or killed: what is done is kept."""
    found = find(open_workspace(workspace), name)
    require_unfinished(found)
    if found.status != "queued":
        ending.settle(Run(found.path))
    (found.path / "stop").unlink(missing_ok=True)
    _see_through(found, False, as_json)


@app.command("stop")
@command
def stop(name: str, workspace: WorkspaceOption = WORKSPACE, as_json: JsonOption = False) -> None:
    """Ask an experiment to save the run that it is at and stop."""
    found = find(open_workspace(workspace), name)
    if found.status == "running":
        process.ask_to_stop(found.path)
    answer({"experiment": name, "status": found.status}, as_json, translator()("status." + found.status))


def _see_through(found: Experiment, dry_run: bool, as_json: bool) -> None:
    """Say the plan, work through the experiment and tell what came out."""
    t = translator()
    say(t("cli.experiment", name=found.name))
    for line in in_words.plan(found.config, t):
        say(line)
    if not dry_run:
        work_through(found.path, "core.experiments.worker")
    _tell(found, as_json)


def _tell(found: Experiment, as_json: bool) -> None:
    t, result = translator(), found.result()
    values: dict[str, Any] = {
        "experiment": found.name,
        "kind": found.config["kind"],
        "status": found.status,
        "plan": found.config["plan"],
        "children": found.children(),
        "result": result,
    }
    lines = in_words.told(result, t) if result else _unfinished(found, t)
    if result and result["kind"] == "sweep":
        lines = [*_table(in_words.trial_rows(result, t)), *lines]
    answer(values, as_json, "\n".join(lines))


def _unfinished(found: Experiment, t: Translator) -> list[str]:
    begun = [in_words.trial_line(each, t) for each in trials.read(found.path)]
    return [t("status." + found.status), *in_words.plan(found.config, t), *begun]


def _table(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _arm(text: str) -> tuple[str, dict[str, str]]:
    """Read `LABEL: lora.rank=8 data.train=desk,general`."""
    label, mark, rest = text.partition(":")
    try:
        pairs = [each.partition("=") for each in shlex.split(rest)]
    except ValueError as error:  # an open quote
        raise SettingsError(problem("experiment.arm", text)) from error
    if not label.strip() or not mark or not all(path and sign for path, sign, _ in pairs):
        raise SettingsError(problem("experiment.arm", text))
    return label.strip(), {path: value for path, _, value in pairs}


def _numbers(name: str, text: str) -> list[float]:
    found = []
    for each in listed(text):
        try:
            found.append(float(each))
        except ValueError as error:
            reason = f"{each!r} is no number"
            raise SettingsError(problem("settings.wrong_kind", name, value=repr(text), reason=reason)) from error
    return found
