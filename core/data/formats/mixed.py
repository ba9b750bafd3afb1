"""A file whose rows are written in different ways: each row is recognised for itself and read as its kind is.

The options hold the reading of each kind under its key: `qa:answer.format`, `qa:answer.prompt` …
"""

from collections.abc import Mapping
from typing import Any

from core.data.formats.kinds import matches
from core.data.formats.reader import Read
from core.data.formats.values import RowError
from core.data.readers import columns_of
from core.data.reading import Reading
from core.records import Record


def flattened(readings: Mapping[str, Reading]) -> dict[str, str]:
    """Return the options that hold these readings, by kind."""
    return {
        f"{kind}.{key}": value
        for kind, reading in readings.items()
        for key, value in {"format": reading.format, **reading.options}.items()
    }


def unflattened(options: Mapping[str, str]) -> dict[str, Reading]:
    """Return the readings that options hold; the inverse of `flattened`."""
    found: dict[str, dict[str, str]] = {}
    for name, value in options.items():
        kind, dot, key = name.rpartition(".")
        if dot:
            found.setdefault(kind, {})[key] = value
    return {kind: Reading(each.pop("format", kind), each) for kind, each in found.items()}


def reader(options: Mapping[str, str], strict: bool) -> Read:
    """Return the function that reads each row as its own kind."""
    from core.data.formats.registry import reader_of  # the table that this reader stands in

    readers = {kind: reader_of(reading, strict) for kind, reading in unflattened(options).items()}

    def read(values: dict[str, Any], where: str) -> Record:
        one = next((readers[match.key] for match in matches(values) if match.key in readers), None)
        if one is None:
            raise RowError("data.unknown_row", has=columns_of(values), known=", ".join(readers) or "-")
        return one(values, where)

    return read
