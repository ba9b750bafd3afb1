"""Rows that hold several: a question with a list of answers, an interview. Spread, each of them is a row of its own.

A choice of the reading asks for it: `answers` of a list of answers, `turns` of an interview, is "each". What is registered
are the spread rows, so that a row of a set is one record wherever it is counted, split or shown.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from core.data.entry import COLUMNS
from core.data.formats.passages import fingerprint
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

    A row that holds no list stays as it is: whoever reads it says what is wrong with it. The pairs of an interview share a
    `group`, so that a split keeps them together.
    """
    if not spreads(reading):
        yield from rows
        return
    _, option, usual = _WHERE[reading.format]
    name = reading.options.get(option, usual)
    for row in rows:
        value = row.values.get(name)
        parts = pairs_of(value) if reading.format == "interview" else _answers(value, reading.format == "passage_qa")
        together = {"group": fingerprint(str(parts)), **row.values} if reading.format == "interview" else row.values
        if not parts:
            yield row
        for part in parts:
            yield replace(row, values={**together, name: part})


def _answers(value: Any, of_passage: bool) -> list[Any]:
    """Return the different answers of a list as a row has them, "" for a list without any; [] for what is no list."""
    places = decoded(value)
    if of_passage and isinstance(places, dict):
        value = places.get("text")
    given = several(value)
    if given is None:
        return []
    found = [each for each in dict.fromkeys(given) if each.strip()]
    if of_passage:  # a text alone might look like a list
        return [{"text": [each]} for each in found] or [{"text": []}]
    return found or [""]


def pairs_of(value: Any) -> list[list[Any]]:
    """Return the pairs of an interview, each with the system messages before the first.

    One that is written as single turns begins where somebody asks.
    """
    listed = decoded(value)
    pairs: list[list[Any]] = []
    leading: list[Any] = []
    for each in listed if isinstance(listed, list) else ():
        turn = role_of(next(iter(each))) if isinstance(each, dict) and len(each) == 1 else None
        if turn == "system" and not pairs:
            leading.append(each)
        elif pairs and turn and turn != "user":
            pairs[-1].append(each)
        else:
            pairs.append([*leading, each])
    return pairs
