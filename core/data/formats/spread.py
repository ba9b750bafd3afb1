"""Rows that hold several: a question with a list of answers, an interview. Spread, each of them is a row of its own.

A choice of the reading asks for it: `answers` of a list of answers, `turns` of an interview, is "each". What is registered
are the spread rows, so that a row of a set is one record wherever it is counted, split or shown.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from core.data.entry import COLUMNS
from core.data.formats.roles import role_of
from core.data.formats.values import decoded, several
from core.data.readers import Row
from core.data.reading import Reading

EACH = "each"
_WHERE = {  # format -> the option that asks for it, and the column: the option that names it with its usual name
    "columns": ("answers", "response", COLUMNS["response"]),
    "passage_qa": ("answers", "answer", "answer"),
    "interview": ("turns", "messages", "interview"),
}


def spreads(reading: Reading) -> bool:
    """Tell whether rows are spread before they are read."""
    return reading.format in _WHERE and reading.options.get(_WHERE[reading.format][0]) == EACH


def of_spread(reading: Reading) -> Reading:
    """Return how rows are read once they are spread."""
    if not spreads(reading):
        return reading
    asked = _WHERE[reading.format][0]
    return Reading(reading.format, {key: value for key, value in reading.options.items() if key != asked})


def spread(rows: Iterable[Row], reading: Reading) -> Iterator[Row]:
    """Yield the rows, each as often as it holds an answer or a pair of turns; those of one row keep its place.

    A row that holds no list stays as it is: whoever reads it says what is wrong with it.
    """
    if not spreads(reading):
        yield from rows
        return
    _, option, usual = _WHERE[reading.format]
    name = reading.options.get(option, usual)
    parts_of = _pairs if reading.format == "interview" else _answers
    for row in rows:
        parts = parts_of(row.values[name]) if name in row.values else []
        if not parts:
            yield row
        for part in parts:
            yield replace(row, values={**row.values, name: part})


def _answers(value: Any) -> list[Any]:
    """Return the different answers of a list; those of a passage (`{"text": […]}`) each in a list of its own."""
    places = decoded(value)
    within = isinstance(places, dict) and "text" in places
    found = [each for each in dict.fromkeys(several(places["text"] if within else value) or ()) if each.strip()]
    return [{"text": [each]} for each in found] if within else found


def _pairs(value: Any) -> list[list[Any]]:
    """Return the pairs of an interview; one that is written as two turns begins where somebody asks."""
    listed = decoded(value)
    pairs: list[list[Any]] = []
    for each in listed if isinstance(listed, list) else ():
        turn = role_of(next(iter(each))) if isinstance(each, dict) and len(each) == 1 else None
        if pairs and turn and turn != "user":
            pairs[-1].append(each)
        else:
            pairs.append([each])
    return pairs
