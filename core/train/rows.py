"""Which rows of a tokenised set a run trains on and is validated with, and why it cannot where it cannot."""

from typing import NoReturn

import numpy as np

from core.data.entry import DatasetEntry
from core.data.formats import usable
from core.data.versions import LETTERS
from core.errors import DataError, StudioError, problem
from core.records import Conversation, Text
from core.tokens.encoder import CHAT, TEXT
from core.tokens.store import TokenSet


def rows_of_part(entry: DatasetEntry, tokens: TokenSet, part: str) -> np.ndarray:
    """Return the numbers of the rows of a part; a set that is not split is whole, whatever `part` says.

    Raises:
        DataError: if the letters of the split are not about these rows.
    """
    if entry.parts is None:
        return np.arange(len(tokens))
    letters = np.frombuffer(entry.parts.letters().encode("ascii"), np.uint8)
    if len(letters) != len(tokens):
        raise DataError(problem("data.parts_differ", entry.name, letters=len(letters)))
    return np.flatnonzero(letters == ord(LETTERS[part]))


def training_rows(entry: DatasetEntry, tokens: TokenSet) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of the training part, and those of the validation part of a set that has one.

    Raises:
        DataError: if one of them cannot be trained on, with every problem, each with file:line.
        ModelError: if the model's template does not take one of them.
    """
    train = rows_of_part(entry, tokens, "train")
    has_own = entry.parts is not None and entry.parts.validation > 0
    validation = rows_of_part(entry, tokens, "validation") if has_own else train[:0]
    for rows, part in ((train, "train"), (validation, "validation")):
        chosen = tokens.rows[rows]
        unusable = chosen["refused"] | chosen["blank"] | ~np.isin(chosen["kind"], (CHAT, TEXT))
        if unusable.any() or (part == "train" and not (tokens.about.readable and len(rows))):
            _refuse(entry, part)
        if chosen["failed"].any():
            raise failure(entry, tokens, int(rows[np.flatnonzero(chosen["failed"])[0]]))
    return train, validation


def failure(entry: DatasetEntry, tokens: TokenSet, row: int) -> StudioError:
    """Return why a row could not be rendered, with its place; where that was not kept, why another one could not."""
    row = row if tokens.error(row) is not None else tokens.about.failures[0][0]
    error = tokens.error(row)
    assert error is not None
    found = error.problems[0]
    return type(error)(problem(found.code, found.where or f"{entry.file.name}:{tokens.place(row)}", **found.values))


def _refuse(entry: DatasetEntry, part: str) -> NoReturn:
    """Read the rows of a part once more, to say in words what is wrong with them."""
    usable(entry, Conversation, Text, part=part)
    raise DataError(problem("data.file_changed", entry.file.name))
