"""All commands of `studio` in one tree."""

from typing import Annotated

import typer

from core.cli import open_page
from core.commands import data, evaluations, experiments, jobs, models, plan, queue, runs
from core.commands.demo import run_demo, table
from core.commands.shared import (
    WORKSPACE,
    JsonOption,
    WorkspaceOption,
    answer,
    command,
    open_workspace,
    say,
    translator,
)

app = typer.Typer(no_args_is_help=False, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
app.add_typer(data.app, name="data", help="Data sets: add, check, fix, split, look at, export …")
app.add_typer(models.app, name="models", help="Models: list, show, get from the hub.")
app.add_typer(runs.app, name="runs", help="Runs: list, compare, note, clean, bundle, delete …")
app.add_typer(experiments.app, name="experiment", help="Experiments: compare ways, sweep settings.")
app.add_typer(queue.app, name="queue", help="Queue: list, move, cancel what waits.")
app.command("train", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(jobs.train)
app.command("plan", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(plan.plan)
app.command("presets")(plan.list_presets)
app.command("resume")(jobs.resume)
app.command("evaluate")(evaluations.evaluate)
app.command("report")(evaluations.report)
app.command("chat")(jobs.chat)
app.command("merge")(jobs.merge)


@app.callback(invoke_without_command=True)
def start(context: typer.Context) -> None:
    """Fine-tune a language model, see whether it worked, talk to it and take it home. Without a command: the page."""
    if context.invoked_subcommand is None:
        open_page([])


@app.command("ui", context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def ui(context: typer.Context) -> None:
    """Open the studio's page (the same as no command); `studio ui --help` lists its options."""
    open_page(context.args)


@app.command("demo")
@command
def demo(
    workspace: WorkspaceOption = WORKSPACE,
    seed: Annotated[int, typer.Option(help="Seed of the training.")] = 7,
    as_json: JsonOption = False,
) -> None:
    """Do the whole job on the starter model: fill in an identity, train, evaluate base and tuned, merge."""
    result = run_demo(open_workspace(workspace), seed)
    say("")
    answer(result, as_json, table(result, translator()))
