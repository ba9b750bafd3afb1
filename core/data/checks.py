"""Everything that is wrong with a data set, at once."""

from core.data.entry import DatasetEntry
from core.data.formats import convert, unfilled_blanks
from core.data.readers import read_rows
from core.data.registry import Registry
from core.errors import Problem, StudioError, problem
from core.records import Conversation


def check(registry: Registry, name: str) -> list[Problem]:
    """Return every problem of a data set: changed file, reading, conversion, unfilled blanks, rows that stand twice.

    An empty list means that it can be used.
    """
    found: list[Problem] = []
    try:
        entry = registry.get(name)
    except StudioError as error:
        return list(error.problems)
    try:
        registry.verify(name)
    except StudioError as error:
        found.extend(error.problems)
    try:
        rows = read_rows(entry.file)
    except StudioError as error:
        return [*found, *error.problems]
    conversations, problems = convert(entry, rows)
    return [
        *found,
        *problems.listed(),
        *unfilled_blanks(entry, conversations).listed(),
        *duplicates(entry, conversations),
    ]


def duplicates(entry: DatasetEntry, conversations: list[Conversation]) -> list[Problem]:
    """Return one problem if rows stand there more than once: how many, and the first pair."""
    first: dict[object, str] = {}
    again: list[tuple[str, str]] = []
    for each in conversations:
        seen = first.setdefault(each.messages, each.where)
        if seen != each.where:
            again.append((each.where, seen))
    if not again:
        return []
    return [problem("data.duplicates", again[0][0], count=len(again), rows=len(conversations), first=again[0][1])]
