"""`studio data split, augment, export, fill, identity`: making something of a data set."""

from pathlib import Path
from typing import Annotated, Any

import typer

from core.commands.data_work import pairs, perform, shares
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
from core.curate.tasks import described
from core.data.blanks import fill
from core.data.export import FORMATS
from core.data.registry import DatasetEntry, Registry

app = typer.Typer()


@app.command("split")
@command
def split_set(
    name: str,
    workspace: WorkspaceOption = WORKSPACE,
    parts: Annotated[str, typer.Option("--shares", help="Training, validation and test.")] = "90/5/5",
    seed: Annotated[int, typer.Option(help="Another seed sends rows elsewhere.")] = 7,
    near: Annotated[bool, typer.Option("--near/--no-near", help="Keep near duplicates together.")] = True,
    whole: Annotated[bool, typer.Option("--whole", help="Take the split away instead.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Split a data set by a stable hash; what belongs together stays together."""
    place, t = open_workspace(workspace), translator()
    if whole:
        entry = Registry(place).set_parts(name, "")
        return answer(described(entry), as_json, t("cli.whole", name=name))
    done = perform(place, "split", name=name, shares=shares(parts), seed=seed, near=near)
    if done["left_out"]:
        say(t("cli.left_out", count=done["left_out"]))
    answer(done, as_json, t("cli.split", **done["split"]))


@app.command("augment")
@command
def augment_set(
    name: str,
    method: Annotated[list[str], typer.Option(help="May be repeated.")],
    workspace: WorkspaceOption = WORKSPACE,
    share: Annotated[
        float, typer.Option(help="New rows of all methods together, as a share of the training rows.")
    ] = 0.2,
    seed: Annotated[int, typer.Option(help="Another seed changes other rows.")] = 7,
    as_json: JsonOption = False,
) -> None:
    """Add rows made from the training rows, as a new version; validation and test rows stay as they are."""
    done = perform(open_workspace(workspace), "augment", name=name, methods=method, seed=seed, share=share)
    counts = {"name": name, "before": done["rows_before"], "rows": done["rows"], "version": done["versions"]}
    t = translator()
    say(t("cli.augmented", made=sum(done["made"].values()), dropped=done["dropped"]))
    answer(done, as_json, t("cli.new_version", **counts))


@app.command("export")
@command
def export_set(
    name: str,
    format: Annotated[str, typer.Option(help="Such as messages, alpaca, sharegpt, parquet, llama_factory.")],
    out: Annotated[Path, typer.Option(help="File or folder to write.")],
    workspace: WorkspaceOption = WORKSPACE,
    part: Annotated[str | None, typer.Option(help="train, validation or test of a split set; default: all.")] = None,
    task_sentence: Annotated[str | None, typer.Option(help="The instruction of format3.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a data set in another format."""
    target = str(out.expanduser().absolute())
    how = {"format": format, "out": target, "part": part, "task_sentence": task_sentence}
    done = perform(open_workspace(workspace), "export", name=name, **how)
    if missing := FORMATS[format].leaves_out:
        t = translator()
        named = [t(f"download.without.{each.replace(' ', '_')}") for each in missing]
        say(t("download.leaves_out", what=", ".join(named)))
    answer(done, as_json, "\n".join(done["files"]))


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
    _made(fill(Registry(open_workspace(workspace)), name, pairs(values), new_name), as_json)


@app.command("identity")
@command
def identity(
    name: Annotated[str, typer.Option(help="What the model is called.")],
    author: Annotated[str, typer.Option(help="Who made it.")],
    languages: Annotated[str, typer.Option(help="Such as en,zh.")] = "en,zh",
    new_name: Annotated[str | None, typer.Option("--as", help="Name of the set.")] = None,
    workspace: WorkspaceOption = WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """Make an identity set, and a test set with other questions, from a name and an author."""
    from core.data.identity_sets import identity_sets

    wanted = tuple(filter(None, (each.strip() for each in languages.split(","))))
    _made(identity_sets(Registry(open_workspace(workspace)), name, author, wanted, new_name), as_json)


def _made(entries: list[DatasetEntry], as_json: bool) -> None:
    rows: list[dict[str, Any]] = [{**described(each), "description": each.description} for each in entries]
    answer({"datasets": rows}, as_json, "\n".join(f"{row['name']}  {row['sha1']}" for row in rows))
