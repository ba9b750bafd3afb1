"""`studio runs list, show, stop, delete`: what was trained, and how it stands; `runs_keep` has the rest."""

import sys
from typing import Annotated, Any

import typer

from core.commands import runs_keep
from core.commands.shared import WORKSPACE, JsonOption, WorkspaceOption, answer, command, open_workspace, translator
from core.errors import SettingsError, problem
from core.evaluate.scores import read
from core.runs import directory, process, queue
from core.runs.summary import Shelf, Summary

app = typer.Typer(name="runs", help="Runs: list, compare, note, clean, bundle, delete …", no_args_is_help=True)
app.add_typer(runs_keep.app)


def _row(run: directory.Run, summary: Summary) -> dict[str, Any]:
    adapter = run.adapter()
    return {
        "run": run.name,
        "status": summary.status,
        "step": summary.step,
        "total_steps": summary.total_steps or None,
        "loss": None if summary.loss is None else round(summary.loss, 4),
        "adapter": str(adapter.relative_to(run.path)) if adapter else None,
        "tags": list(summary.tags),
        "note": summary.note,
        "archived": summary.archived,
        "elsewhere": summary.elsewhere,
        "bytes": summary.bytes,
    }


@app.command("list")
@command
def list_runs(
    workspace: WorkspaceOption = WORKSPACE,
    search: Annotated[str, typer.Option(help="Part of a name, data set, prompt, tag or note.")] = "",
    archived: Annotated[bool, typer.Option("--archived", help="List archived runs only.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the runs, newest first."""
    t, place = translator(), open_workspace(workspace)
    found = [each for each in Shelf(place).look()[0] if each.archived == archived and each.matches(search)]
    rows = [_row(directory.Run(place.runs / each.name), each) for each in found]
    lines = [f"{row['run']}  {t('status.' + row['status'])}  {row['step']}/{row['total_steps'] or '?'}"
             f"  {', '.join(row['tags'])}".rstrip() for row in rows]  # fmt: skip
    answer({"runs": rows}, as_json, "\n".join(lines) or t("cli.none_yet"))


@app.command("show")
@command
def show(run: str, workspace: WorkspaceOption = WORKSPACE, as_json: JsonOption = False) -> None:
    """Show one run: status, settings, prompt, data and scores."""
    place = open_workspace(workspace)
    found = directory.find(place, run)
    config = found.config
    values = {
        **_row(found, next(each for each in Shelf(place).look()[0] if each.name == found.name)),
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
    waits = queue.place(place, found.path) is not None
    target = (waits and queue.cancel(place, found.path)) or directory.delete(place, found)
    answer({"run": run, "trash": str(target)}, as_json, str(target))
