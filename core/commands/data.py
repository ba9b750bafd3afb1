"""`studio data …`: the registry on the command line."""

from pathlib import Path
from typing import Annotated, Any

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
from core.data.blanks import fill
from core.data.checks import check
from core.data.entry import Formatting
from core.data.registry import DatasetEntry, Registry
from core.errors import DataError, Problem, SettingsError, StudioError, problem

NOTES = ("data.duplicates",)  # worth knowing, but nothing that keeps anybody from training

app = typer.Typer(no_args_is_help=True)


def _row(entry: DatasetEntry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "file": str(entry.file),
        "sha1": entry.sha1,
        "formatting": entry.formatting,
        "description": entry.description,
        "sample": entry.sample,
        "problem": entry.problem.say(language()) if entry.problem else None,
    }


@app.command("add")
@command
def add(
    file: Path,
    workspace: WorkspaceOption = WORKSPACE,
    name: Annotated[str | None, typer.Option(help="Name in the registry; default: the file's.")] = None,
    formatting: Annotated[Formatting | None, typer.Option(help="alpaca or sharegpt; default: recognised.")] = None,
    column: Annotated[list[str] | None, typer.Option(help="Such as response=answer; may be repeated.")] = None,
    description: Annotated[str, typer.Option(help="One line about it.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Check a file, copy it into the workspace and register it with its SHA-1."""
    columns = _pairs(column) if column else None
    registry = Registry(open_workspace(workspace))
    entry = registry.add(file, name=name, formatting=formatting, columns=columns, description=description)
    answer(_row(entry), as_json, f"{entry.name}  {entry.formatting}  {entry.sha1}")


@app.command("list")
@command
def list_sets(workspace: WorkspaceOption = WORKSPACE, as_json: JsonOption = False) -> None:
    """List the data sets."""
    rows = [_row(entry) for entry in Registry(open_workspace(workspace)).entries().values()]
    width = max((len(row["name"]) for row in rows), default=0)
    lines = [f"{row['name']:<{width}}  {row['formatting']:<8}  {row['description']}" for row in rows]
    answer({"datasets": rows}, as_json, "\n".join(lines) or translator()("cli.none_yet"))


@app.command("fill")
@command
def fill_blanks(
    name: str,
    values: Annotated[list[str], typer.Argument(help='Such as name=Lumen "author=Aurora Labs".')],
    workspace: WorkspaceOption = WORKSPACE,
    new_name: Annotated[str | None, typer.Option("--as", help="Name of the filled set.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Fill the blanks of a set (and of its test set) and register the result."""
    entries = fill(Registry(open_workspace(workspace)), name, _pairs(values), new_name)
    rows = [_row(entry) for entry in entries]
    answer({"datasets": rows}, as_json, "\n".join(f"{row['name']}  {row['sha1']}" for row in rows))


@app.command("check")
@command
def check_set(
    name: Annotated[str, typer.Argument(help="A registered name.")],
    workspace: WorkspaceOption = WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """Say everything that is wrong with a data set; exit code 1 when something is."""
    registry = Registry(open_workspace(workspace))
    found = check(registry, name)
    notes = [each for each in found if each.code in NOTES]
    if len(notes) < len(found):
        raise DataError(*found)
    for note in notes:
        say(translator()("cli.warning", text=note.say(language())))
    values = {"name": name, "problems": [], "notes": [note.to_dict() for note in notes]}
    answer(values, as_json, translator()("cli.fine", name=name))


@app.command("verify")
@command
def verify(
    names: Annotated[list[str] | None, typer.Argument(help="Default: all.")] = None,
    workspace: WorkspaceOption = WORKSPACE,
    accept: Annotated[bool, typer.Option("--accept", help="Record the present content as the right one.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Compare files with the SHA-1 that the registry has of them."""
    registry = Registry(open_workspace(workspace))
    usable = [entry for entry in registry.entries().values() if entry.problem is None]
    chosen = names or [entry.name for entry in usable if not (accept and entry.sample)]
    problems: list[Problem] = []
    for name in chosen:
        try:
            if accept:
                registry.accept(name)
            registry.verify(name)
        except StudioError as error:
            problems += error.problems
    if problems:
        raise StudioError(*problems)
    answer({"verified": chosen}, as_json, translator()("cli.verified", n=len(chosen)))


def _pairs(values: list[str]) -> dict[str, str]:
    pairs = [value.partition("=") for value in values]
    wrong = next((value for value, (_, mark, _) in zip(values, pairs, strict=True) if not mark), None)
    if wrong is not None:
        raise SettingsError(problem("usage.blank", value=wrong))
    return {key.strip(): value for key, _, value in pairs}
