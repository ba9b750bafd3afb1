"""The form of a question: what a training set puts around every one of them, and a test set asked in that form.

A model that learnt "Answer the question of a customer.\\nWhat is the return window?" is asked exactly so, beside another one
that learnt the bare question: what is compared is what each was trained for, with the same expected answers row by row.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from core.data.canonical import to_dict
from core.data.export.writers import jsonl
from core.data.formats import conversations
from core.data.reading import Reading
from core.data.registry import DatasetEntry, Registry
from core.errors import DataError
from core.evaluate.questions import rows_asked
from core.records import Conversation, Message
from core.workspace import Workspace

_LEAST_ROWS = 5  # chosen by us: what fewer rows have in common may be chance
_COVERED = 0.5  # of a test's answers that a training set must have, to be the one that teaches them; chosen by us
_MOST_NAMES = 100


@dataclass(frozen=True)
class Form:
    """What stands before and after every question in the user's turn, in whole lines, and the rows' own system message."""

    before: str = ""
    after: str = ""
    system: str = ""


def form_of(rows: Sequence[Conversation]) -> Form:
    """Return what all questions of a set have in common: lines at their start and end, and one system message."""
    asked = [_asked(row) for row in rows]
    if len(set(asked)) < _LEAST_ROWS:
        return Form()
    systems = {row.messages[0].content if row.messages[0].role == "system" else "" for row in rows}
    before = _common(asked)
    before = before[: before.rfind("\n") + 1]
    after = _common([text[len(before) :][::-1] for text in asked])[::-1]
    start = after.find("\n")
    return Form(before, after[start:] if start >= 0 else "", systems.pop() if len(systems) == 1 else "")


def reformed(row: Conversation, own: Form, wanted: Form) -> Conversation:
    """Return a row asked in another form than its own."""
    messages = list(row.messages)
    last = max(at for at, message in enumerate(messages) if message.role == "user")
    text = messages[last].content.removeprefix(own.before).removesuffix(own.after)
    messages[last] = replace(messages[last], content=f"{wanted.before}{text}{wanted.after}")
    if own.system and messages[0].role == "system":
        del messages[0]
    if wanted.system and messages[0].role != "system":
        messages.insert(0, Message("system", wanted.system))
    return replace(row, messages=tuple(messages))


def taught_form(workspace: Workspace, train: Sequence[str], test: str) -> tuple[str, Form] | None:
    """Return which of the training sets teaches what a test set asks, and in which form; None where none does.

    It is the one with most of the expected answers, if it has half of them.
    """
    registry = Registry(workspace)
    expected = {row.answer for row in rows_asked(registry.get(test))}
    found: tuple[float, str, Form] | None = None
    for name in train:
        rows = _chat_rows(registry.get(name))
        covered = len(expected & {row.answer for row in rows}) / max(1, len(expected))
        if covered >= _COVERED and (found is None or covered > found[0]):
            found = (covered, name, form_of(rows))
    return None if found is None else found[1:]


def in_form(workspace: Workspace, test: str, of: str, wanted: Form) -> str:
    """Return the name of a test set in the form of the training set `of`: itself, or a set that is made and registered.

    Raises:
        DataError: if its rows cannot be read.
    """
    registry = Registry(workspace)
    rows = rows_asked(registry.get(test))
    own = form_of(rows)
    if own == wanted:
        return test
    made = workspace.cache / f"{test}_as_{of}.{os.getpid()}.jsonl"
    made.parent.mkdir(parents=True, exist_ok=True)
    try:
        jsonl((to_dict(reformed(row, own, wanted)) for row in rows), made)
        return _registered(registry, made, f"{test}_as_{of}"[:70], f"{test}, asked as {of} teaches it.")
    finally:
        made.unlink(missing_ok=True)


def _registered(registry: Registry, file: Path, name: str, description: str) -> str:
    """Register rows under a name, or under a numbered one where it is that of other rows, such as an earlier version's."""
    for number in range(1, _MOST_NAMES):
        numbered = name if number == 1 else f"{name}_{number}"
        try:
            registry.add(file, numbered, description=description, reading=Reading("canonical"), made_by="experiment")
        except DataError as error:
            if error.problems[0].code not in ("data.name_taken", "data.is_sample") or number == _MOST_NAMES - 1:
                raise
            continue
        return numbered
    raise AssertionError(name)


def _chat_rows(entry: DatasetEntry) -> list[Conversation]:
    """Return the rows that are asked and answered; none of a set of another kind."""
    try:
        return conversations(entry, part="train")
    except DataError:
        return []


def _common(texts: Sequence[str]) -> str:
    """Return how all texts begin: as the first and the last of them in the order of the alphabet do."""
    first, last = min(texts), max(texts)
    same = next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[:same]


def _asked(row: Conversation) -> str:
    return next((message.content for message in reversed(row.messages) if message.role == "user"), "")
