"""`studio models …`: which models are here, what one says of itself, and fetching one from the hub."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from core.amounts import bytes_of, weights
from core.commands.shared import (
    WORKSPACE,
    JsonOption,
    WorkspaceOption,
    answer,
    command,
    language,
    open_workspace,
    say,
    translator,
    work_through,
)
from core.errors import ModelError, Problem, problem
from core.models.about import facts_of, facts_of_offer
from core.models.cache import cached, is_hub_name
from core.models.fetching import submit
from core.models.folder import find_model, known_models
from core.models.hub import Offer, look_up
from core.models.inspection import Inspection, inspect
from core.models.size import context_of, size_of
from core.train.foretold import memory_row
from core.wording import Translator

app = typer.Typer(name="models", help="Models: list, show, get from the hub.", no_args_is_help=True)
NameArgument = Annotated[str, typer.Argument(help="A folder, or a name of the hub such as Qwen/Qwen3-0.6B.")]


@app.command("list")
@command
def list_models(workspace: WorkspaceOption = WORKSPACE, as_json: JsonOption = False) -> None:
    """List the models on this machine: the starter, those of the workspace, and those downloaded from the hub."""
    place = open_workspace(workspace)
    rows, lines = [], []
    for path in known_models(place):
        folder = cached(path) if is_hub_name(path) and not place.readable(path).exists() else place.readable(path)
        found = inspect(folder) if folder is not None else Inspection()
        size = found.size.parameters if found.size else None
        rows.append({"model": path, "parameters": size, "bytes": found.weight_bytes, "usable": not found.problems})
        told = found.problems[0].say(language()) if found.problems else bytes_of(found.weight_bytes)
        lines.append(f"{path}  {weights(size) if size else '–'}  {told}")
    answer({"models": rows}, as_json, "\n".join(lines))


@app.command("show")
@command
def show(path: NameArgument, workspace: WorkspaceOption = WORKSPACE, as_json: JsonOption = False) -> None:
    """Say what a model is, without loading it; of one on the hub, without downloading it."""
    place, t = open_workspace(workspace), translator()
    folder = place.readable(path)
    if not folder.exists() and Path(path).is_dir():  # as a shell would read it
        folder = Path(path).absolute()
    if not folder.exists() and is_hub_name(path):
        snapshot = cached(path)
        if snapshot is None or not _is_whole(place, path):
            _show_offer(look_up(path), t, as_json)
            return
        folder = snapshot
    if not folder.exists():
        raise ModelError(problem("model.missing", path))
    found = inspect(folder)
    rows = facts_of(found, t)
    if found.size is not None:
        rows.append(memory_row(found.size, path, t))
    values = {"model": path, "folder": str(folder), "downloaded": True, **found.to_dict()}
    told = [*found.problems, *found.remarks]
    values |= {key: [_worded(each) for each in getattr(found, key)] for key in ("problems", "remarks")}
    answer(values, as_json, _lines(rows, told, t))
    if found.problems:
        raise typer.Exit(1)


@app.command("get")
@command
def get(name: NameArgument, workspace: WorkspaceOption = WORKSPACE, as_json: JsonOption = False) -> None:
    """Download a model of the hub. A download that broke off goes on where it was."""
    place = open_workspace(workspace)
    if not is_hub_name(name):
        raise ModelError(problem("model.missing", name))
    result = work_through(submit(place, name), "core.models.worker")
    answer(result, as_json, str(result.get("folder", "")))


def _is_whole(place: Any, path: str) -> bool:
    try:
        find_model(place, path)
    except ModelError as error:
        return error.problems[0].code != "model.not_cached"
    return True


def _show_offer(offer: Offer, t: Translator, as_json: bool) -> None:
    size = size_of(offer.config, offer.name)
    rows = facts_of_offer(offer, t)
    values: dict[str, Any] = {
        "model": offer.name,
        "folder": None,
        "downloaded": False,
        "revision": offer.revision,
        "bytes": offer.bytes,
        "licence": offer.licence,
        "context": context_of(offer.config),
        "size": None if size is None else {**asdict(size), "parameters": size.parameters},
        "problems": [],
    }
    if size is not None:
        rows.append(memory_row(size, offer.name, t))
    say(t("model.not_here", name=offer.name))
    answer(values, as_json, _lines(rows, [], t))


def _worded(each: Problem) -> dict[str, Any]:
    return {**each.to_dict(), "text": each.say(language())}


def _lines(rows: list[tuple[str, str]], told: list[Problem], t: Translator) -> str:
    width = max(len(label) for label, _ in rows)
    lines = [f"{label:<{width}}  {value}" for label, value in rows]
    return "\n".join([*lines, *(t("cli.warning", text=each.say(language())) for each in told)])
