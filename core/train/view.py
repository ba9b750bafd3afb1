"""Examples of tokenised sets as a sequence: numbers in memory, token ids on the disk until one is asked for."""

from collections.abc import Iterable, Sequence
from typing import overload

import numpy as np

from core.render.tokenizer import Example
from core.tokens.encoder import TEXT
from core.tokens.store import TokenSet


class Examples(Sequence[Example]):
    """`lengths` and `learnt` (n,) int32 are the tokens and learnt tokens of each; an example is made when it is asked for."""

    def __init__(
        self, sets: Sequence[TokenSet], of: np.ndarray, starts: np.ndarray, lengths: np.ndarray, learnt: np.ndarray
    ):
        self._sets, self._of, self._starts = sets, of, starts
        self.lengths = lengths.astype(np.int32, copy=False)
        self.learnt = learnt.astype(np.int32, copy=False)

    def __len__(self) -> int:
        return len(self.lengths)

    @overload
    def __getitem__(self, at: int) -> Example: ...
    @overload
    def __getitem__(self, at: slice) -> "Examples": ...
    def __getitem__(self, at: int | slice) -> "Example | Examples":
        if isinstance(at, slice):
            return Examples(self._sets, self._of[at], self._starts[at], self.lengths[at], self.learnt[at])
        return self._sets[int(self._of[at])].example(int(self._starts[at]), int(self.lengths[at]))


def joined(parts: Iterable[Examples]) -> Examples:
    """Return the examples of several, one after another."""
    listed = list(parts)
    sets = [each for part in listed for each in part._sets]
    borders = np.cumsum([0, *(len(part._sets) for part in listed)])
    of = [part._of + border for part, border in zip(listed, borders, strict=False)]
    arrays = [[part._starts for part in listed], [part.lengths for part in listed], [part.learnt for part in listed]]
    return Examples(sets, *(np.concatenate([np.zeros(0, np.int64), *each]) for each in (of, *arrays)))


def examples_of(tokens: TokenSet, rows: np.ndarray, cutoff_len: int) -> Examples:
    """Return the examples of some rows: one a row, but running text in pieces of `cutoff_len` tokens, none of them lost.

    A last piece of a single token, which has nothing before it to be learnt from, takes one from the piece before it.
    """
    lengths = tokens.lengths[rows].astype(np.int64)
    is_text = tokens.rows["kind"][rows] == TEXT
    counts = pieces_of(tokens, rows, cutoff_len)
    first = np.repeat(np.cumsum(counts) - counts, counts)
    at = (np.arange(counts.sum()) - first) * cutoff_len  # where each piece begins in its row
    starts = np.repeat(tokens.offsets[rows], counts) + at
    sizes = np.minimum(cutoff_len, np.repeat(lengths, counts) - at)
    alone = np.flatnonzero((sizes == 1) & (at > 0))
    starts[alone] -= 1
    sizes[alone] += 1
    sizes[alone - 1] -= 1
    learnt = np.where(np.repeat(is_text, counts), sizes - 1, np.repeat(tokens.rows["learnt"][rows], counts))
    return Examples([tokens], np.zeros(len(sizes), np.int16), starts, sizes, learnt)


def pieces_of(tokens: TokenSet, rows: np.ndarray, cutoff_len: int) -> np.ndarray:
    """Return how many examples each row makes."""
    is_text = tokens.rows["kind"][rows] == TEXT
    return np.where(is_text, -(-tokens.lengths[rows].astype(np.int64) // cutoff_len), 1)
