"""`studio data …`: adding, recognising and listing data sets; the other commands on them stand in the files beside."""

from pathlib import Path
from typing import Annotated, Any

import typer

from core.commands import data_check, data_make, data_manage, data_xray
from core.commands.data_work import pairs, perform
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
from core.data.folders import lists_sets
from core.data.registry import DatasetEntry, Registry
from core.errors import Problem

app = typer.Typer(name="data", help="Data sets: add, check, fix, split, look at, export …", no_args_is_help=True)
FormatOption = Annotated[
    str | None, typer.Option("--format", "--formatting", help="How it is read, such as alpaca; default: recognised.")
]
OptionOption = Annotated[list[str] | None, typer.Option("--option", help="A choice that a format needs, KEY=VALUE.")]


@app.command("add")
@command
def add(
    file: Annotated[Path, typer.Argument(help="A file, or a folder of files or of LLaMA-Factory.")],
    workspace: WorkspaceOption = WORKSPACE,
    name: Annotated[str | None, typer.Option(help="Name in the registry; default: the file's.")] = None,
    formatting: FormatOption = None,
    option: OptionOption = None,
    column: Annotated[list[str] | None, typer.Option(help="Such as response=answer; may be repeated.")] = None,
    description: Annotated[str, typer.Option(help="One line about it.")] = "",
    split: Annotated[
        bool | None, typer.Option("--split/--no-split", help="Default: split from 200 rows on, without NAME_test.")
    ] = None,
    leave_out_broken: Annotated[
        bool, typer.Option("--leave-out-broken", help="Register the usable rows of a file that has broken ones.")
    ] = False,
    fix: Annotated[list[str] | None, typer.Option("--fix", help="Mend the rows first, as the check says.")] = None,
    value: Annotated[list[str] | None, typer.Option("--value", help="For filling blanks, such as name=Lumen.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Check a file, copy it into the workspace and register it with its SHA-1."""
    place = open_workspace(workspace)
    if lists_sets(file):
        return _add_folder(place, file, name, as_json)
    given = {"formatting": formatting, "columns": pairs(column), "options": pairs(option), "description": description}
    how: dict[str, Any] = {"split": split, "leave_out_broken": leave_out_broken, "thorough": False}
    how |= {"fixes": fix or (), "values": pairs(value)}
    done = perform(place, "add", file=str(file.expanduser().absolute()), name=name, **given, **how)
    entry = Registry(place).get(done["name"])
    t = translator()
    if entry.parts:
        counts = {"train": entry.parts.train, "validation": entry.parts.validation, "test": entry.parts.test}
        say(t("cli.split", **counts))
    if done["errors"] or done["warnings"]:
        say(t("cli.findings", errors=len(done["errors"]), warnings=len(done["warnings"]), name=entry.name))
    values = {**row_of(entry), **{key: done[key] for key in ("score", "level", "errors", "warnings")}}
    answer(values, as_json, f"{entry.name}  {entry.recognised or entry.formatting}  {entry.rows}  {entry.sha1}")


def _add_folder(place: Any, folder: Path, prefix: str | None, as_json: bool) -> None:
    """Register a LLaMA-Factory folder; sets that cannot be used are told and do not keep the others out."""
    done = perform(place, "folder", folder=str(folder.expanduser().absolute()), prefix=f"{prefix}_" if prefix else "")
    for each in done["problems"]:
        say(translator()("cli.warning", text=Problem(**each).say(language())))
    lines = [f"{each['name']}  {each['formatting']}  {each['rows']}  {each['sha1']}" for each in done["datasets"]]
    answer(done, as_json, "\n".join(lines) or translator()("cli.none_yet"))


@app.command("list")
@command
def list_sets(workspace: WorkspaceOption = WORKSPACE, as_json: JsonOption = False) -> None:
    """List the data sets."""
    rows = [row_of(entry) for entry in Registry(open_workspace(workspace)).entries().values()]
    width = max((len(row["name"]) for row in rows), default=0)
    lines = [
        f"{row['name']:<{width}}  {row['recognised'] or row['formatting']:<12}  {row['description']}" for row in rows
    ]
    answer({"datasets": rows}, as_json, "\n".join(lines) or translator()("cli.none_yet"))


def row_of(entry: DatasetEntry) -> dict[str, Any]:
    """Return what the registry says of a set, as JSON values."""
    return {
        **described(entry),
        "description": entry.description,
        "sample": entry.sample,
        "problem": entry.problem.say(language()) if entry.problem else None,
    }


for _group in (data_check, data_manage, data_make, data_xray):
    app.add_typer(_group.app)
