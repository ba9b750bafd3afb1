"""Contamination: which rows of a test set stand, whole or in good part, in the rows that are learnt.

N-grams, as the field measures it: a test text is known when one training row covers at least half of its words with shared
runs of eight words (Tülu 3), a long one also when a single run of 13 words is shared (GPT-3, lm-eval). That misses
paraphrases, as every measure made of n-grams does.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from core.data.shingles import Array, batches, word_grams
from core.progress import Progress, silent

RUN = 8  # words
COVERED = 0.5  # of the words of a test text, by one training row
_SMALL_TALK = 8  # characters of a question; chosen by us
LEAST = 4  # words of a test text; chosen by us: shorter ones are alike by chance
LONG_RUN = 13  # words
COMMON = 20  # test texts; chosen by us: a run that more of them share is a template, and no sign of a copy
LONG = 100  # words; chosen by us: only in texts this long does one shared run of 13 words count
_DENSE = re.compile("[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]")
_IGNORED = re.compile(r"(?<!\d)[.,]|[.,](?!\d)|[!?;:\"'`´…·。，！？；：、“”‘’「」『』《》()（）\[\]【】]")


def plain(text: str) -> str:
    """Return a text as identical ones are told: width, case, white space and the punctuation of sentences do not count.

    Signs that change a meaning do: 3 + 4 is not 3 - 4, and 3.5 is not 35.
    """
    normal = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(_IGNORED.sub(" ", normal).split()) or " ".join(text.split())


def same_key(question: str, answer: str) -> int:
    """Return a 64-bit number, good within one process, that two rows share when they are identical by `plain`.

    Questions of a few letters must be identical to the sign: "Thanks!" and "thanks" are all the ways there are to say it.
    """
    asked = plain(question)
    return hash((asked, plain(answer)) if len(asked) >= _SMALL_TALK else (question.strip(), answer.strip()))


@dataclass(frozen=True)
class Overlap:
    """A test text that a training text covers: their indices and the covered share of the test text's words."""

    test: int
    train: int
    covered: float


def overlaps(
    train: Iterable[str], test: Sequence[str], covered: float = COVERED, progress: Progress = silent
) -> list[Overlap]:
    """Return the test texts that a training text covers, each with the one that covers it most, in order of the tests.

    In scripts that write no spaces a word is a character, and 13 of them count as eight words do elsewhere.
    Texts that are shorter than a run are known when a training text has exactly the same words; those of fewer than four
    words are not compared.
    """
    given = train if isinstance(train, Sequence) else list(train)
    dense = [_is_dense(text) for text in test]
    runs = _Runs([text if not yes else "" for text, yes in zip(test, dense, strict=True)], RUN)
    wide = _Runs([text if yes else "" for text, yes in zip(test, dense, strict=True)], LONG_RUN)
    long = _Runs(test, LONG_RUN)
    best: dict[int, Overlap] = {}
    for first, batch in batches(given):
        for index, row, share in [*runs.covered(batch, covered), *wide.covered(batch, covered), *long.shared(batch)]:
            if index not in best or share > best[index].covered:
                best[index] = Overlap(index, first + row, share)
        progress(first + len(batch), len(given))
    return [best[index] for index in sorted(best)]


def _is_dense(text: str) -> bool:
    """Tell whether most of a text is in a script that writes no spaces."""
    return not text.isascii() and 2 * len(_DENSE.findall(text)) > len("".join(text.split()))


class _Runs:
    """The runs of n words of all test texts, sorted by hash so that a training batch finds them at once."""

    def __init__(self, test: Sequence[str], n: int) -> None:
        grams = [(first, word_grams(batch, n)) for first, batch in batches(test)]
        self._n = n
        self.words = np.concatenate([each.words for _, each in grams]) if grams else np.zeros(0, np.int64)
        sizes = np.concatenate([np.diff(each.starts) for _, each in grams]) if grams else np.zeros(0, np.int64)
        hashes = np.concatenate([each.hashes for _, each in grams]) if grams else np.zeros(0, np.uint64)
        owners = np.repeat(np.arange(len(sizes)), sizes)
        places = np.arange(len(hashes)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        _, first, times = np.unique(hashes, return_inverse=True, return_counts=True)
        hashes, owners, places = (each[times[first] <= COMMON] for each in (hashes, owners, places))
        order = np.argsort(hashes, kind="stable")
        self._hashes, self._owners, self._places = hashes[order], owners[order], places[order]

    def covered(self, batch: Sequence[str], least: float) -> list[tuple[int, int, float]]:
        """Return (test, row of the batch, share) where the row covers at least `least` of the test's words."""
        found = []
        tests, rows, places, counts = self._hits(batch)
        for start, end in _groups(tests, rows):
            index, row = int(tests[start]), int(rows[start])
            words = int(self.words[index])
            if words < self._n:
                share = 1.0 if int(counts[row]) == words >= LEAST else 0.0
            else:
                share = _length(np.unique(places[start:end]), self._n) / words
            if share >= least:
                found.append((index, row, share))
        return found

    def shared(self, batch: Sequence[str]) -> list[tuple[int, int, float]]:
        """Return (test, row, share of the words) for long tests that share any run with a row."""
        found = []
        tests, rows, places, _ = self._hits(batch)
        for start, end in _groups(tests, rows):
            index = int(tests[start])
            if self.words[index] >= LONG:
                share = _length(np.unique(places[start:end]), self._n) / int(self.words[index])
                found.append((index, int(rows[start]), share))
        return found

    def _hits(self, batch: Sequence[str]) -> tuple[Array, Array, Array, Array]:
        """Return, for every run that a test and a row share: the test, the row, and the run's place in the test."""
        grams = word_grams(batch, self._n)
        owners = np.repeat(np.arange(len(batch)), np.diff(grams.starts))
        left = np.searchsorted(self._hashes, grams.hashes, "left")
        right = np.searchsorted(self._hashes, grams.hashes, "right")
        sizes = right - left
        rows = np.repeat(owners, sizes)
        inside = np.arange(len(rows)) - np.repeat(np.cumsum(sizes) - sizes, sizes) + np.repeat(left, sizes)
        order = np.lexsort((rows, self._owners[inside]))
        return self._owners[inside][order], rows[order], self._places[inside][order], grams.words


def _groups(tests: Array, rows: Array) -> list[tuple[int, int]]:
    """Return [start, end) of every run of the same test and row."""
    if not len(tests):
        return []
    ends = np.flatnonzero((tests[1:] != tests[:-1]) | (rows[1:] != rows[:-1])) + 1
    borders = [0, *ends.tolist(), len(tests)]
    return list(pairwise(borders))


def _length(places: Array, n: int) -> int:
    """Return how many words runs of n words at these (sorted) places cover."""
    gaps = np.minimum(np.diff(places), n)
    return int(gaps.sum()) + n
