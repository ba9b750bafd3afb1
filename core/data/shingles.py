"""Texts to hashes of their word n-grams, many texts at a time with numpy: what near duplicates and overlap are told by.

A word is a run of letters and digits, in lower case; a character of a script that writes no spaces (Chinese, Japanese kana,
Thai …) is a word of its own, so that five words are five characters there. The hashes do not depend on the process or on
the other texts, so that whatever is decided by them stays decided.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
BATCH = 1_000_000  # characters hashed at once: 8 MB an array
_SPACE, _WORD, _SINGLE, _SYMBOL = 0, 1, 2, 3
_SINGLES = (  # first and last code point of what is written without spaces
    (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x31F0, 0x31FF), (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF),
)  # fmt: skip


@dataclass(frozen=True)
class Grams:
    """Hashes of the n-grams of several texts in reading order; text i has `hashes[starts[i]:starts[i + 1]]`.

    `words` counts the words of each text. A text with fewer than n words (but at least one) has one hash, of all of them.
    """

    hashes: Array
    starts: Array
    words: Array


def batches(texts: Sequence[str]) -> Iterator[tuple[int, Sequence[str]]]:
    """Yield the texts in pieces of about a million characters, each with the index of its first text."""
    first, size = 0, 0
    for index, text in enumerate(texts):
        size += len(text)
        if size >= BATCH:
            yield first, texts[first : index + 1]
            first, size = index + 1, 0
    if first < len(texts):
        yield first, texts[first:]


def word_grams(texts: Sequence[str], n: int) -> Grams:
    """Return the hashes of all runs of `n` words."""
    codes, kinds, ends = _characters(texts)
    kept = (kinds == _WORD) | (kinds == _SINGLE)
    before = np.concatenate(([_SPACE], kinds[:-1]))
    begins = (kinds == _SINGLE) | ((kinds == _WORD) & (before != _WORD))
    places = np.flatnonzero(begins)
    counts = np.diff(np.searchsorted(places, ends), prepend=0)
    if not len(places):
        return Grams(np.empty(0, np.uint64), np.zeros(len(texts) + 1, np.int64), counts)
    first = np.cumsum(kept)[places] - 1  # of each word, among the kept characters
    inside = np.arange(int(kept.sum())) - np.repeat(first, np.diff(first, append=int(kept.sum())))
    mixed = _mix(codes[kept].astype(np.uint64) + (inside.astype(np.uint64) << np.uint64(32)))
    return _windows(_mix(np.add.reduceat(mixed, first)), counts, n)


def character_grams(texts: Sequence[str], n: int) -> Grams:
    """Return the hashes of all runs of `n` characters, with runs of white space as one space; `words` counts characters."""
    texts = [" ".join(text.split()) for text in texts]
    codes, _, ends = _characters(texts)
    counts = np.array([len(text) for text in map(_normal, texts)], np.int64)
    kept = np.ones(len(codes), bool)
    kept[ends - 1] = False  # the line feed behind each text
    return _windows(_mix(codes[kept].astype(np.uint64)), counts, n)


def _normal(text: str) -> str:
    return unicodedata.normalize("NFKC", text).lower()


def _characters(texts: Sequence[str]) -> tuple[Array, Array, Array]:
    """Return the code points of the texts, each followed by a line feed, their kinds, and where each text ends."""
    normal = [_normal(text) for text in texts]
    codes = np.frombuffer("".join(f"{text}\n" for text in normal).encode("utf-32-le", "replace"), np.uint32)
    ends = np.cumsum(np.array([len(text) + 1 for text in normal], np.int64))
    return codes, _kinds()[np.minimum(codes, 0x3FFFF)], ends


@lru_cache(maxsize=1)
def _kinds() -> Array:
    """Return the kind of every code point below 0x40000; the few behind are not letters."""
    kinds = np.full(0x40000, _SYMBOL, np.uint8)
    for code in range(0x20000):
        character = chr(code)
        if character.isspace():
            kinds[code] = _SPACE
        elif character == "_" or character.isalnum() or unicodedata.category(character)[0] == "M":
            kinds[code] = _WORD
    for first, last in _SINGLES:
        letters = kinds[first : last + 1] == _WORD if first < 0x20000 else slice(None)
        kinds[first : last + 1][letters] = _SINGLE
    return kinds


def _windows(units: Array, counts: Array, n: int) -> Grams:
    """Hash every run of `n` units that lies in one text."""
    ends = np.cumsum(counts)
    grams = np.zeros(len(units), np.uint64)
    for offset in range(n):
        factor = np.uint64((0x9E3779B97F4A7C15 * (2 * offset + 1)) & 0xFFFFFFFFFFFFFFFF)
        grams[: max(0, len(units) - offset)] += units[offset:] * factor
    left = np.repeat(ends, counts) - np.arange(len(units))  # units from here to the end of the text
    whole = left >= n
    short = np.flatnonzero((counts > 0) & (counts < n))
    for text in short.tolist():
        start = int(ends[text] - counts[text])
        factors = np.arange(1, 2 * int(counts[text]), 2, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        grams[start] = (units[start : start + int(counts[text])] * factors).sum(dtype=np.uint64)
        whole[start] = True
    sizes = np.where((counts > 0) & (counts < n), 1, np.maximum(counts - n + 1, 0))
    return Grams(_mix(grams[whole]), np.concatenate(([0], np.cumsum(sizes))), counts)


def _mix(values: Array) -> Array:
    """Spread the bits of 64-bit values (the finaliser of splitmix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
