"""`studio queue …`: what runs on which device, what waits, and its order."""

from pathlib import Path
from typing import Annotated, Any

import typer

from core.commands.shared import WORKSPACE, JsonOption, WorkspaceOption, answer, command, open_workspace, translator
from core.errors import RunError, SettingsError, problem
from core.runs import queue
from core.workspace import Workspace

app = typer.Typer(name="queue", help="Queue: list, move, cancel what waits.", no_args_is_help=True)
_PLACES = ("first", "up", "down", "last")
JobArgument = Annotated[str, typer.Argument(help="As the list shows it; the last part of its name is enough.")]


@app.command("list")
@command
def list_queue(workspace: WorkspaceOption = WORKSPACE, as_json: JsonOption = False) -> None:
    """List what runs, with its device, and what waits, in order."""
    place, t = open_workspace(workspace), translator()
    found = queue.look(place)
    running = [{"job": each.job, "device": each.device, "since": each.since} for each in found.running]
    waiting = [{"job": each.job, "place": _place(place, each), "held": bool(each.held)} for each in found.waiting]
    lines = [f"{t('status.running')}  {each['device']}  {each['job']}" for each in running]
    lines += [f"{t('status.queued')}  {each['place']}  {each['job']}" for each in waiting]
    answer({"running": running, "waiting": waiting}, as_json, "\n".join(lines) or t("cli.queue_empty"))


@app.command("move")
@command
def move(
    job: JobArgument,
    where: Annotated[str, typer.Argument(help="first, up, down or last.")],
    workspace: WorkspaceOption = WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """Change the place of a waiting job."""
    if where not in _PLACES:
        raise SettingsError(problem("settings.not_a_choice", "where", value=repr(where), choices=", ".join(_PLACES)))
    place = open_workspace(workspace)
    found = _waiting(place, job)
    queue.move(place, found, where)  # type: ignore[arg-type]
    order = [each.job for each in queue.look(place).waiting]
    answer({"waiting": order}, as_json, "\n".join(order))


@app.command("cancel")
@command
def cancel(job: JobArgument, workspace: WorkspaceOption = WORKSPACE, as_json: JsonOption = False) -> None:
    """Take a waiting job out of the queue; a run goes to the workspace's trash."""
    place = open_workspace(workspace)
    trash = queue.cancel(place, _waiting(place, job))
    values: dict[str, Any] = {"job": job, "trash": str(trash) if trash else None}
    answer(values, as_json, str(trash) if trash else translator()("cli.waits_no_more"))


def _waiting(workspace: Workspace, name: str) -> Path:
    """Return the waiting job of this name.

    Raises:
        RunError: if none, or more than one, is called so.
    """
    found = [each.job for each in queue.look(workspace).waiting if each.job == name or each.job.endswith(f"/{name}")]
    if len(found) != 1:
        raise RunError(problem("queue.not_waiting", name))
    return workspace.root / found[0]


def _place(workspace: Workspace, entry: queue.Entry) -> int | None:
    return queue.place(workspace, workspace.root / entry.job)
