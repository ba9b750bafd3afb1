"""Answers that are one of a few labels: which one was said, and the table of what was said for what."""

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import regex
from numpy.typing import NDArray

from core.evaluate.metrics.words import CJK, normalised, plain

_PIECE = regex.compile(rf"[{CJK}]|[^\W{CJK}]+|\S")
_Known = Mapping[
    str, Sequence[tuple[str, Sequence[str]]]
]  # first piece in small letters -> label and all of its pieces


def labels_of(expected: Sequence[str]) -> list[str]:
    """Return the labels of a set, sorted; of spellings that differ in case or punctuation only the most frequent one."""
    spellings: dict[str, Counter[str]] = {}
    for text in filter(None, map(plain, expected)):
        spellings.setdefault(normalised(text), Counter())[text] += 1
    return sorted(counted.most_common(1)[0][0] for counted in spellings.values())


def said_label(answer: str, labels: Sequence[str]) -> str | None:
    """Return the label that an answer says: the one that it starts with, or else the only one that occurs in it.

    Labels are looked for as whole words, in any case and width, the longest first, so that "not spam" says nothing of
    "spam". A label of one Latin letter must have its case, since "a" is an article.
    """
    known = _by_first_piece(tuple(labels))
    raw = _pieces(answer)
    small = [piece.casefold() for piece in raw]
    found: dict[str, None] = {}
    place, begun = 0, False
    while place < len(raw):
        label, length = _label_at(raw, small, place, known)
        if label is not None and not begun:
            return label
        if label is not None:
            found[label] = None
        begun = begun or raw[place].isalnum()  # quotes, brackets and stars may stand before the start
        place += length
    return next(iter(found)) if len(found) == 1 else None


def _label_at(raw: Sequence[str], small: Sequence[str], place: int, known: _Known) -> tuple[str | None, int]:
    """Return the longest label that begins at a piece, and how many pieces it has; None and 1 where none does."""
    for label, pieces in known.get(small[place], ()):
        if (raw if _is_letter(label) else small)[place : place + len(pieces)] == pieces:
            return label, len(pieces)
    return None, 1


@lru_cache(maxsize=64)
def _by_first_piece(labels: tuple[str, ...]) -> _Known:
    """Return the labels by how they begin, the longest first; those of one letter keep their case."""
    known: dict[str, list[tuple[str, list[str]]]] = {}
    for label in labels:
        pieces = [piece if _is_letter(label) else piece.casefold() for piece in _pieces(label)]
        if pieces:
            known.setdefault(pieces[0].casefold(), []).append((label, pieces))
    return {first: sorted(found, key=lambda each: -len(each[1])) for first, found in known.items()}


def _pieces(text: str) -> list[str]:
    """Return words, Chinese characters and other signs: a label may be a smiley or C++."""
    return _PIECE.findall(unicodedata.normalize("NFKC", text))


def _is_letter(label: str) -> bool:
    return len(label) == 1 and label.isascii() and label.isalpha()


def confusion(answers: Sequence[str], expected: Sequence[str], labels: Sequence[str] = ()) -> dict[str, Any]:
    """Return the table of `counts` as it is written down; without labels: those of the expected answers."""
    labels = list(labels) or labels_of(expected)
    return {"labels": labels, "counts": counts(answers, expected, labels).tolist()}


def counts(answers: Sequence[str], expected: Sequence[str], labels: Sequence[str]) -> NDArray[np.int64]:
    """Return how often each label was said for each expected one.

    Shape (labels, labels + 1): a row for what was expected, a column for what was said, the last for no label at all. Rows
    of the set whose expected answer is none of the labels are left out.
    """
    found = np.zeros((len(labels), len(labels) + 1), dtype=np.int64)
    place = {normalised(label): number for number, label in enumerate(labels)}
    for answer, wanted in zip(answers, expected, strict=True):
        row = place.get(normalised(wanted))
        if row is not None:
            said = said_label(answer, labels)
            found[row, len(labels) if said is None else place[normalised(said)]] += 1
    return found


def accuracy(table: NDArray[Any]) -> NDArray[np.float64]:
    """Return the share of right labels in percent, from tables of shape (…, labels, labels + 1); 0 of an empty table."""
    total = table.sum(axis=(-1, -2))
    return 100 * np.trace(table, axis1=-2, axis2=-1) / np.maximum(total, 1)


def macro_f1(table: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean F1 of the labels that were expected, in percent, from tables of shape (…, labels, labels + 1).

    Every label counts alike, however rare; a label that no row expects is left out of the mean, as its F1 is not defined.
    """
    right = np.diagonal(table, axis1=-2, axis2=-1)
    wanted = table.sum(axis=-1)
    said = table[..., :-1].sum(axis=-2)
    each = 2 * right / np.maximum(wanted + said, 1)
    present = wanted > 0
    return 100 * (each * present).sum(axis=-1) / np.maximum(present.sum(axis=-1), 1)
