"""Data sets with blanks: which there are, and a filled copy of a set and of its test set."""

import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from core.data.entry import DatasetEntry
from core.data.formats import entry_records
from core.data.problems import Problems
from core.data.readers import read_rows
from core.data.registry import Registry
from core.errors import DataError, problem
from core.placeholders import blanks_in, fill_value
from core.records import Conversation, Preference, Record, Text, Tokenised
from core.workspace import checked_name, slug


def blanks_of(entry: DatasetEntry) -> set[str]:
    """Return the names of the blanks in the texts and keywords of a data set.

    Raises:
        DataError: if it cannot be read.
    """
    problems = Problems(entry.file.name)
    found: set[str] = set()
    for record in entry_records(entry, problems):
        for text in _texts(record):
            if "{{" in text:
                found |= blanks_in(text)
    problems.stop_if_any()
    return found


def fill(registry: Registry, name: str, values: Mapping[str, str], new_name: str | None = None) -> list[DatasetEntry]:
    """Write NAME, and NAME_test where it exists, with its blanks filled, and register both in the workspace.

    Without `new_name` they are called after the first value: `identity_lumen`, `identity_lumen_test`, with a number behind
    when other values already have that name. The same values again give the same entries.

    Raises:
        DataError: if a value is missing or empty, there is no blank, or `new_name` is taken.
    """
    sources = [registry.get(name)]
    if f"{name}_test" in registry.entries():
        sources.append(registry.get(f"{name}_test"))
    blanks = set().union(*(blanks_of(source) for source in sources))
    if not blanks:
        raise DataError(problem("data.no_blanks", name))
    given = {key: value.strip() for key, value in values.items()}
    missing = sorted(blank for blank in blanks if not given.get(blank))
    if missing:
        raise DataError(problem("data.blank_missing", name, blanks=", ".join(missing)))
    if new_name is not None:
        return _write(registry, sources, given, checked_name(new_name))
    return _write_under_free_name(registry, sources, given, f"{name}_{slug(given.get('name') or given[min(blanks)])}")


def _write_under_free_name(
    registry: Registry, sources: list[DatasetEntry], values: Mapping[str, str], wanted: str
) -> list[DatasetEntry]:
    name, number = wanted, 2
    while True:
        try:
            return _write(registry, sources, values, name)
        except DataError as error:
            if error.problems[0].code not in ("data.name_taken", "data.is_sample"):
                raise
        name, number = f"{wanted}_{number}", number + 1


def _write(registry: Registry, sources: list[DatasetEntry], values: Mapping[str, str], name: str) -> list[DatasetEntry]:
    entries = []
    with tempfile.TemporaryDirectory() as folder:
        for source, new in zip(sources, (name, f"{name}_test"), strict=False):
            rows = [fill_value(row.values, values) for row in read_rows(source.file)]
            file = Path(folder) / f"{new}.json"
            file.write_text(json.dumps(rows, ensure_ascii=False, indent=1), encoding="utf-8")
            how = (None, None, None, source.description)
            entry = registry.add(file, new, *how, reading=source.reading, recognised=source.recognised)
            if source.accepted:  # a name in a blank makes no wording more or less of a copy
                entry = registry.accept_findings(new, sorted(source.accepted))
            entries.append(entry)
    return entries


def _texts(record: Record) -> Iterator[str]:
    """Yield every text of a record that a model or a person reads."""
    match record:
        case Text():
            yield record.text
            return
        case Tokenised():
            return
        case Conversation():
            yield from record.keywords
        case Preference():
            yield from (message.content for message in (*record.chosen, *record.rejected))
    yield from (message.content for message in record.messages)
