"""`studio runs …`: what was trained, and how it stands."""

import sys
from typing import Annotated, Any

import typer

from core.commands.shared import WORKSPACE, JsonOption, WorkspaceOption, answer, command, open_workspace, translator
from core.errors import SettingsError, problem
from core.evaluate.scores import read
from core.runs import directory, events, process

app = typer.Typer(no_args_is_help=True)


def _row(run: directory.Run) -> dict[str, Any]:
    seen, _ = events.read_from(run.log)
    steps = [event for event in seen if isinstance(event, events.StepFinished)]
    started = next((event for event in seen if isinstance(event, events.RunStarted)), None)
    adapter = run.adapter()
    return {
        "run": run.name,
        "status": run.status,
        "step": steps[-1].step if steps else 0,
        "total_steps": started.total_steps if started else None,
        "loss": round(steps[-1].loss, 4) if steps else None,
        "adapter": str(adapter.relative_to(run.path)) if adapter else None,
    }


@app.command("list")
@command
def list_runs(workspace: WorkspaceOption = WORKSPACE, as_json: JsonOption = False) -> None:
    """List the runs, newest first."""
    t = translator()
    rows = [_row(run) for run in directory.listing(open_workspace(workspace))]
    lines = [f"{row['run']}  {t('status.' + row['status'])}  {row['step']}/{row['total_steps'] or '?'}" for row in rows]
    answer({"runs": rows}, as_json, "\n".join(lines) or t("cli.none_yet"))


@app.command("show")
@command
def show(run: str, workspace: WorkspaceOption = WORKSPACE, as_json: JsonOption = False) -> None:
    """Show one run: status, settings, prompt, data and scores."""
    found = directory.find(open_workspace(workspace), run)
    config = found.config
    values = {
        **_row(found),
        "settings": config["settings"],
        "prompt": config["prompt"],
        "data": config["data"],
        "model": config["model"],
        "checkpoints": [each.name for each in found.checkpoints()],
        "scores": read(found),
    }
    answer(values, as_json, (found.path / "config.yaml").read_text(encoding="utf-8") + f"status: {found.status}")


@app.command("stop")
@command
def stop(run: str, workspace: WorkspaceOption = WORKSPACE, as_json: JsonOption = False) -> None:
    """Ask a run to save and stop after its current step."""
    found = directory.find(open_workspace(workspace), run)
    if found.status == "running":
        process.ask_to_stop(found.path)
    answer({"run": run, "status": found.status}, as_json, translator()("status." + found.status))


@app.command("delete")
@command
def delete(
    run: str,
    workspace: WorkspaceOption = WORKSPACE,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Move a run to the workspace's trash."""
    place = open_workspace(workspace)
    found = directory.find(place, run)
    if not yes and not sys.stdin.isatty():
        raise SettingsError(problem("usage.not_confirmed", run))
    if not yes:
        typer.confirm(translator()("cli.delete", name=run), abort=True, err=True)
    target = directory.delete(place, found)
    answer({"run": run, "trash": str(target)}, as_json, str(target))
