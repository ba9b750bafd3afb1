"""`studio runs note, tag, archive, compare, clean, trash, restore, bundle, open`: keeping runs in order, passing them on."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from core.amounts import bytes_of
from core.commands.shared import WORKSPACE, JsonOption, WorkspaceOption, answer, command, open_workspace, translator
from core.errors import RunError, problem
from core.runs import bundle as bundles, directory, notes, space, trash as bin, unbundle
from core.runs.compare import differences
from core.runs.summary import Shelf

app = typer.Typer()
OffOption = Annotated[bool, typer.Option("--off", help="Take it back.")]


@app.command("note")
@command
def note(run: str, text: str, workspace: WorkspaceOption = WORKSPACE, as_json: JsonOption = False) -> None:
    """Write a note about a run; an empty text removes it."""
    found = directory.find(open_workspace(workspace), run)
    _tell(found, notes.write(found.path, replace(notes.read(found.path), note=text)), as_json)


@app.command("tag")
@command
def tag(
    run: str,
    tags: Annotated[list[str], typer.Argument(help="Tags to add.")],
    workspace: WorkspaceOption = WORKSPACE,
    off: OffOption = False,
    as_json: JsonOption = False,
) -> None:
    """Add tags to a run, or take them off."""
    found = directory.find(open_workspace(workspace), run)
    before, given = notes.read(found.path), tuple(tags)
    kept = tuple(each for each in before.tags if each not in given)
    _tell(found, notes.write(found.path, replace(before, tags=kept if off else (*before.tags, *given))), as_json)


@app.command("archive")
@command
def archive(
    run: str, workspace: WorkspaceOption = WORKSPACE, off: OffOption = False, as_json: JsonOption = False
) -> None:
    """Put a run away: the page lists it only when asked for archived runs."""
    found = directory.find(open_workspace(workspace), run)
    _tell(found, notes.write(found.path, replace(notes.read(found.path), archived=not off)), as_json)


@app.command("compare")
@command
def compare(
    runs: Annotated[list[str], typer.Argument(help="Two runs or more.")],
    workspace: WorkspaceOption = WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """Show what came out of runs, and only what differs in how they were made."""
    place, t = open_workspace(workspace), translator()
    found = [directory.find(place, name) for name in dict.fromkeys(runs)]
    if len(found) < 2:
        raise RunError(problem("runs.compare_two"))
    made = differences(found)
    known = {each.name: each for each in Shelf(place).look()[0]}
    results = [_result(known[each.name]) for each in found]
    lines = [f"{each['run']}  {t('status.' + each['status'])}  {each['loss']}  {each['best']}" for each in results]
    lines += [f"{each.path}: {'  |  '.join(map(str, each.values))}" for each in made] or [
        t("cli.runs.nothing_different")
    ]
    answer({"runs": results, "differences": [asdict(each) for each in made]}, as_json, "\n".join(lines))


@app.command("clean")
@command
def clean(run: str, workspace: WorkspaceOption = WORKSPACE, as_json: JsonOption = False) -> None:
    """Remove the old checkpoints of a run. Its result, the last checkpoint and the best one stay."""
    found = directory.find(open_workspace(workspace), run)
    freed = space.clean(found)
    kept = [each.name for each in found.checkpoints()]
    text = translator()("runs.cleaned", size=bytes_of(freed))
    answer({"run": run, "freed_bytes": freed, "checkpoints": kept}, as_json, text)


@app.command("trash")
@command
def trash(workspace: WorkspaceOption = WORKSPACE, as_json: JsonOption = False) -> None:
    """List the deleted runs; `studio runs restore NAME` brings one back."""
    found = bin.listing(open_workspace(workspace))
    text = "\n".join(f"{each.name}  {bytes_of(each.bytes)}" for each in found)
    answer({"trash": [asdict(each) for each in found]}, as_json, text or translator()("cli.runs.trash_empty"))


@app.command("restore")
@command
def restore(run: str, workspace: WorkspaceOption = WORKSPACE, as_json: JsonOption = False) -> None:
    """Bring a deleted run back."""
    back = bin.restore(open_workspace(workspace), run)
    answer({"run": back.name}, as_json, translator()("runs.restored", name=back.name))


@app.command("bundle")
@command
def bundle(
    run: str,
    out: Annotated[Path | None, typer.Argument(help="File to write; default: RUN.run.zip here.")] = None,
    workspace: WorkspaceOption = WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """Write a run into one file, without weights, that another studio can open."""
    place = open_workspace(workspace)
    found = directory.find(place, run)
    file = bundles.write(place, found, out or Path(f"{found.name}{bundles.SUFFIX}"))
    answer({"run": run, "file": str(file), "bytes": file.stat().st_size}, as_json, str(file))


@app.command("open")
@command
def open_bundle(file: Path, workspace: WorkspaceOption = WORKSPACE, as_json: JsonOption = False) -> None:
    """Open the bundle of a run from elsewhere: it can be looked at, compared and run again."""
    opened = unbundle.open_bundle(open_workspace(workspace), file)
    answer({"run": opened.name}, as_json, translator()("bundle.opened", name=opened.name))


def _tell(run: directory.Run, written: notes.Notes, as_json: bool) -> None:
    values: dict[str, Any] = {"run": run.name, **asdict(written), "tags": list(written.tags)}
    answer(values, as_json, f"{run.name}  {', '.join(written.tags)}  {written.note}".rstrip())


def _result(run: Any) -> dict[str, Any]:
    shown = ("status", "step", "total_steps", "loss", "best", "seconds")
    return {"run": run.name, **{key: getattr(run, key) for key in shown}, "scores": [list(each) for each in run.scores]}
