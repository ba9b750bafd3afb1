"""`studio data xray`: one row as the model will read it, with what is learnt, what is context and what is cut off."""

import sys
from typing import Annotated

import typer

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
from core.data.page import page_of
from core.data.registry import Registry
from core.errors import DataError, Problem, problem
from core.models.folder import find_model
from core.prompts.store import PromptStore
from core.records import Record
from core.render.terminal import as_text, difference_as_text
from core.render.tokenizer import ChatTokenizer
from core.render.xray import XRay, difference, under_prompt, xrays
from core.workspace import Workspace

app = typer.Typer()


@app.command("xray")
@command
def show_xray(
    name: str,
    model: Annotated[str, typer.Option(help="Model folder.")] = "data/starter",
    row: Annotated[int, typer.Option(help="1 is the first.")] = 1,
    prompt: Annotated[str | None, typer.Option(help="System prompt.")] = None,
    cutoff_len: Annotated[int | None, typer.Option(help="Longest example in tokens.", min=1)] = None,
    against_prompt: Annotated[str | None, typer.Option(help="Show what this prompt would change.")] = None,
    against_model: Annotated[str | None, typer.Option(help="Show what this model's template would change.")] = None,
    workspace: WorkspaceOption = WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """Show a row as the model will read it: learnt, context, control tokens, cut off."""
    place = open_workspace(workspace)
    record = _record(place, name, row)
    before = _xrays(place, record, model, prompt, cutoff_len)
    compared = against_model or against_prompt
    after = _xrays(place, record, against_model or model, against_prompt or prompt, cutoff_len) if compared else []
    colour, t = sys.stdout.isatty(), translator()
    for part, each in before:
        counts = {"tokens": each.tokens, "learnt": each.learnt_tokens, "cut": each.cut_tokens}
        say(t("cli.xray", part=part, written=each.control_tokens_in_content, **counts))
    if after:
        changes = [difference(one, other) for (_, one), (_, other) in zip(before, after, strict=True)]
        text = "\n\n".join(difference_as_text(each, colour) for each in changes)
    else:
        changes = []
        text = "\n\n".join(as_text(each, colour) for _, each in before)
    values = {
        "name": name,
        "row": row,
        "xrays": [{"part": part, **_values(each)} for part, each in before],
        "against": [{"part": part, **_values(each)} for part, each in after],
        "changes": [[list(each) for each in change] for change in changes],
    }
    answer(values, as_json, text)


def _record(place: Workspace, name: str, number: int) -> Record:
    found = page_of(place, Registry(place).get(name), max(0, number - 1), 1) if number > 0 else []
    if not found:
        raise DataError(problem("data.no_such_row", name, row=number))
    record = found[0][1]
    if isinstance(record, Problem):
        raise DataError(record)
    return record


def _xrays(
    place: Workspace, record: Record, model: str, prompt: str | None, cutoff_len: int | None
) -> list[tuple[str, XRay]]:
    text = PromptStore(place).get(prompt).text if prompt else None
    tokenizer = ChatTokenizer.load(find_model(place, model))
    return [(str(part), each) for part, each in xrays(tokenizer, under_prompt(record, text), cutoff_len)]


def _values(xray: XRay) -> dict[str, object]:
    return {
        "segments": [list(each) for each in xray.segments],
        "tokens": xray.tokens,
        "learnt_tokens": xray.learnt_tokens,
        "cut_tokens": xray.cut_tokens,
        "control_tokens_in_content": xray.control_tokens_in_content,
    }
