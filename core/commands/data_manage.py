"""`studio data show, rename, describe, versions, undo, remove, trash, restore`: looking at sets and keeping them in order."""

import time
from typing import Annotated, Any

import orjson
import typer

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
)
from core.curate.tasks import described
from core.data.canonical import to_dict
from core.data.page import page_of
from core.data.registry import DatasetEntry, Registry
from core.data.versions import Version
from core.errors import Problem

app = typer.Typer()


@app.command("show")
@command
def show(
    name: str,
    workspace: WorkspaceOption = WORKSPACE,
    rows: Annotated[int, typer.Option(help="How many rows to show.", min=0)] = 3,
    start: Annotated[int, typer.Option(help="First row to show; 1 is the first.", min=1)] = 1,
    as_json: JsonOption = False,
) -> None:
    """Show what the registry says of a data set, and some of its rows as they are understood."""
    place = open_workspace(workspace)
    entry = Registry(place).get(name)
    shown = []
    for number, (row, found) in enumerate(page_of(place, entry, start - 1, rows), start):
        said = {"problem": found.say(language())} if isinstance(found, Problem) else {"record": to_dict(found)}
        shown.append({"row": number, "place": row.place, **said})
    lines = [f"{key}: {value}" for key, value in described(entry).items() if value not in ("", None)]
    for each in shown:
        text = each.get("problem") or orjson.dumps(each["record"], option=orjson.OPT_INDENT_2).decode()
        lines.append(f"\n#{each['row']}  {entry.file.name}:{each['place']}\n{text}")
    values = {**described(entry), "description": entry.description, "options": entry.reading.options, "shown": shown}
    answer(values, as_json, "\n".join(lines))


@app.command("rename")
@command
def rename(name: str, new_name: str, workspace: WorkspaceOption = WORKSPACE, as_json: JsonOption = False) -> None:
    """Give a data set another name."""
    _done(Registry(open_workspace(workspace)).rename(name, new_name), as_json)


@app.command("describe")
@command
def describe(name: str, description: str, workspace: WorkspaceOption = WORKSPACE, as_json: JsonOption = False) -> None:
    """Change the description of a data set."""
    entry = Registry(open_workspace(workspace)).describe(name, description)
    answer({**described(entry), "description": entry.description}, as_json, f"{entry.name}  {entry.description}")


@app.command("versions")
@command
def list_versions(name: str, workspace: WorkspaceOption = WORKSPACE, as_json: JsonOption = False) -> None:
    """List what a data set was before, oldest first, and what it is now."""
    entry = Registry(open_workspace(workspace)).get(name)
    all_of_them: list[Version | DatasetEntry] = [*entry.versions, entry]
    found: list[dict[str, Any]] = [
        {"version": number, "made_by": each.made_by, "rows": each.rows, "sha1": each.sha1, "made": each.made}
        for number, each in enumerate(all_of_them, 1)
    ]
    lines = [f"{each['version']}  {each['rows']:>9,}  {each['sha1'][:10]}  {each['made_by']}" for each in found]
    answer({"name": name, "versions": found}, as_json, "\n".join(lines))


@app.command("undo")
@command
def undo(name: str, workspace: WorkspaceOption = WORKSPACE, as_json: JsonOption = False) -> None:
    """Go back to the version before; the present one goes to the trash."""
    _done(Registry(open_workspace(workspace)).undo(name), as_json)


@app.command("remove")
@command
def remove(
    name: str,
    workspace: WorkspaceOption = WORKSPACE,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Move a data set to the trash; `studio data restore` brings it back."""
    registry, t = Registry(open_workspace(workspace)), translator()
    if not (yes or as_json):
        typer.confirm(t("cli.remove", name=name), abort=True, err=True)
    registry.remove(name)
    id = registry.trash()[0].id
    answer({"removed": name, "id": id}, as_json, t("cli.removed", name=name, id=id))


@app.command("trash")
@command
def list_trash(
    workspace: WorkspaceOption = WORKSPACE,
    empty: Annotated[bool, typer.Option("--empty", help="Delete for good all that lies there.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List removed data sets and undone versions, the latest first, or delete them for good."""
    registry, t = Registry(open_workspace(workspace)), translator()
    found = registry.trash()
    if empty:
        size = f"{sum(each.size for each in found) / 1e6:,.2f}"
        if not (yes or as_json):
            typer.confirm(t("trash.really", n=len(found), size=size), abort=True, err=True)
        count = registry.empty_trash()
        answer({"emptied": count}, as_json, t("trash.emptied", n=count))
        return
    rows = [
        {"id": each.id, "name": each.name, "removed": each.removed, "rows": each.rows, "size": each.size}
        | {"version": each.version}
        for each in found
    ]
    lines = [
        f"{each.id}  {each.rows:>9,}  {time.strftime('%Y-%m-%d %H:%M', time.localtime(each.removed))}" for each in found
    ]
    answer({"trash": rows}, as_json, "\n".join(lines) or t("cli.none_yet"))


@app.command("restore")
@command
def restore(
    id: Annotated[str, typer.Argument(help="As `studio data trash` lists it, or the name of the set.")],
    workspace: WorkspaceOption = WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """Bring a data set back from the trash."""
    registry = Registry(open_workspace(workspace))
    named = next((each.id for each in registry.trash() if each.name == id), id)
    _done(registry.restore(named), as_json)


def _done(entry: DatasetEntry, as_json: bool) -> None:
    say(translator()("cli.now", name=entry.name, rows=f"{entry.rows:,}"))
    answer(described(entry), as_json, f"{entry.name}  {entry.formatting}  {entry.rows}  {entry.sha1}")
