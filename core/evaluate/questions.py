"""The items of an evaluation: the rows of its test sets, then the questions of the probes."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from core.data.entry import DatasetEntry
from core.data.formats import conversations
from core.data.pinned import check_pinned
from core.data.registry import Registry
from core.evaluate.items import Item
from core.evaluate.options import Options
from core.evaluate.probes import identity, kept, taught
from core.records import Conversation
from core.runs.directory import find
from core.workspace import Workspace


def items_of(workspace: Workspace, config: dict[str, Any]) -> list[Item]:
    """Return everything that an evaluation asks, its sets checked against their SHA-1.

    Raises:
        DataError: if a set is another one by now, or a row cannot be read.
    """
    registry, options = Registry(workspace), Options.model_validate(config["options"])
    found: list[Item] = []
    for recorded in config["data"]:
        entry = check_pinned(registry, recorded)
        rows = rows_asked(entry)
        found += [_item(entry.name, number + 1, rows[number]) for number in spread(len(rows), options.limit)]
    return [*found, *(_probes(workspace, config, options) if options.probes else ())]


def rows_asked(entry: DatasetEntry) -> list[Conversation]:
    """Return the rows that a set asks: those of its test part, or all of a set that has none.

    Raises:
        DataError: if a row cannot be read.
    """
    if entry.parts is not None and entry.parts.test:
        return conversations(entry, part="test")
    return conversations(entry)


def who_it_should_be(workspace: Workspace, config: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return name and maker that the model should say: those that were given, else those that its run was trained to say."""
    options = Options.model_validate(config["options"])
    if options.name:
        return options.name, options.maker
    return taught.who_it_should_be(workspace, find(workspace, config["run"]))


def spread(count: int, limit: int | None) -> list[int]:
    """Return `limit` of the numbers below `count`, evenly spread: the first rows of a file are often of one kind."""
    wanted = min(count, limit or count)
    return [number * count // wanted for number in range(wanted)]


def _probes(workspace: Workspace, config: dict[str, Any], options: Options) -> Iterator[Item]:
    name, maker = who_it_should_be(workspace, config) or ("", "")
    questions = identity.items(name, maker, prompt_text=config["prompt"]["text"])
    for items in ([_bare(item) for item in questions], kept.items()):
        yield from (items[number] for number in spread(len(items), options.limit))


def _bare(item: Item) -> Item:
    """Return a question that is asked under the trained prompt without it: each contestant is asked under its own."""
    if item.under != "trained" or item.messages[0].role != "system":
        return item
    return replace(item, messages=item.messages[1:])


def _item(name: str, row: int, asked: Conversation) -> Item:
    return Item(
        key=f"{name}:{row}",
        source=name,
        row=row,
        messages=asked.question,
        expected=asked.answer,
        where=asked.where,
        tag=asked.task or asked.label,
        keywords=asked.keywords,
        tools=asked.tools,
        docs=asked.docs,
    )
