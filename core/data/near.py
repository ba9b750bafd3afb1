"""Near duplicates: which texts are nearly the same as another one.

The exact Jaccard similarity of their shingles decides, so that there are no false ones; and none is missed, unless even its
rarest shingles stand in hundreds of other texts, where comparing all would never end. Shingles are runs of five words, as in
FineWeb; where one of two texts has fewer than 20 words (one changed word would touch most of its shingles) runs of five
characters.

Candidates are found by their rarest shingles (Chaudhuri 2006; Xiao's PPJoin 2008): two sets that share 80 % must share one
of the rarest 20 % of either. MinHash would do for prose, but in texts that were made from a template it takes every pair for
a candidate; their rare shingles are what differs.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from core.data.shingles import Array, Grams, batches, character_grams, word_grams
from core.progress import Progress, silent

THRESHOLD = 0.8
SHORT = 20  # words; below, characters are compared
_N = 5
_COUNTED = 22  # bits of a shingle by which its frequency is counted: 4 million counters, 16 MB
_FEW = 8  # texts that share a rare shingle; up to here all pairs of many shingles are made at once
_COMPARED = 5000  # others with the same rare shingle that a text is held against; chosen by us, against endless work
_REJECTED = 50  # of them that turned out different, after which a text is compared no more where many share a shingle
_KEPT_SETS = 4000  # of texts that are being compared; 40 MB


def clusters(texts: Iterable[str], threshold: float = THRESHOLD, progress: Progress = silent) -> list[list[int]]:
    """Return groups of indices of texts that are chained by a similarity of at least `threshold`, in order.

    Only groups of two or more are returned. Texts without a letter or digit belong to none, unless they are equal.

    Args:
        threshold: Jaccard similarity of the shingles; 0.8 is usual, 0.7 is bold.
        progress: told characters read, then steps of the comparison, as parts of a thousand.
    """
    given = texts if isinstance(texts, Sequence) else list(texts)
    groups = _Groups(len(given))
    firsts = _join_equal(given, groups)
    pools = _read([given[index] for index in firsts], progress)
    for number, pool in enumerate(pools):
        members = [firsts[index] for index in pool.indices]
        _join_similar(pool, members, groups, threshold, _part_of(progress, 500 + 250 * number, 250))
    progress(1000, 1000)
    return groups.listed()


def similarity(one: str, other: str) -> float:
    """Return the Jaccard similarity of the shingles of two texts, by the rules of `clusters`."""
    if _plain(one) == _plain(other):
        return 1.0
    words = word_grams([one, other], _N)
    grams = character_grams([one, other], _N) if words.words.min() < SHORT else words
    a, b = (set(grams.hashes[grams.starts[i] : grams.starts[i + 1]].tolist()) for i in (0, 1))
    return len(a & b) / len(a | b) if a | b else 0.0


@dataclass
class _Pool:
    """Texts that are compared with each other: their indices, words, and sorted shingles (32 bits each).

    `counts` says how many texts have a shingle, by its first 22 bits.
    """

    characters: bool
    indices: list[int] = field(default_factory=list)
    words: list[int] = field(default_factory=list)
    shingles: list[Array] = field(default_factory=list)
    counts: Array = field(default_factory=lambda: np.zeros(1 << _COUNTED, np.int32))


class _Groups:
    """Union-find over texts; the first text of a group stands for it."""

    def __init__(self, size: int) -> None:
        self._parent = list(range(size))

    def find(self, one: int) -> int:
        while self._parent[one] != one:
            self._parent[one] = one = self._parent[self._parent[one]]
        return one

    def join(self, one: int, other: int) -> None:
        a, b = self.find(one), self.find(other)
        self._parent[max(a, b)] = min(a, b)

    def listed(self) -> list[list[int]]:
        found: dict[int, list[int]] = {}
        for index in range(len(self._parent)):
            found.setdefault(self.find(index), []).append(index)
        return [group for group in found.values() if len(group) > 1]


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


def _join_equal(texts: Sequence[str], groups: _Groups) -> list[int]:
    """Join texts that differ in case and white space only; return the first of each."""
    seen: dict[str, int] = {}
    for index, text in enumerate(texts):
        first = seen.setdefault(_plain(text), index)
        if first != index:
            groups.join(first, index)
    return list(seen.values())


def _read(texts: Sequence[str], progress: Progress) -> tuple[_Pool, _Pool]:
    """Return the pool of the long texts and that of the short ones; texts of 20 to 29 words are in both.

    A pair of similarity 0.8 has at most 20 / 0.8 = 25 words in the longer text when the shorter one has under 20; some more
    are taken, because words are not characters.
    """
    pools = (_Pool(characters=False), _Pool(characters=True))
    for first, batch in batches(texts):
        words = word_grams(batch, _N)
        short = np.flatnonzero(words.words < SHORT * 3 // 2)
        by_characters = character_grams([batch[i] for i in short.tolist()], _N)
        long = np.flatnonzero(words.words >= SHORT)
        for pool, rows, grams in zip(pools, (long, short), (_only(words, long), by_characters), strict=True):
            pool.indices += (rows + first).tolist()
            pool.words += words.words[rows].tolist()
            _add_shingles(pool, grams)
        progress(500 * (first + len(batch)) // len(texts), 1000)
    return pools


def _only(grams: Grams, rows: Array) -> Grams:
    """Return the grams of some of the texts."""
    sizes = np.diff(grams.starts)
    keep = np.zeros(len(sizes), bool)
    keep[rows] = True
    hashes = grams.hashes[np.repeat(keep, sizes)]
    return Grams(hashes, np.concatenate(([0], np.cumsum(sizes[rows]))), grams.words[rows])


def _add_shingles(pool: _Pool, grams: Grams) -> None:
    """Add the set of shingles of each text, sorted, and count them."""
    sizes = np.diff(grams.starts)
    if not len(sizes):
        return
    owners = np.repeat(np.arange(len(sizes), dtype=np.uint64), sizes)
    keys = np.sort((owners << np.uint64(32)) | (grams.hashes >> np.uint64(32)))
    keys = keys[np.concatenate(([True], keys[1:] != keys[:-1]))] if len(keys) else keys
    starts = np.searchsorted(keys, np.arange(len(sizes) + 1, dtype=np.uint64) << np.uint64(32))
    shingles = keys.astype(np.uint32)
    pool.shingles += np.split(shingles, starts[1:-1])
    np.add.at(pool.counts, shingles >> np.uint32(32 - _COUNTED), 1)


@dataclass(frozen=True)
class _Rare:
    """The rarest shingles of all texts of a pool, sorted by shingle: the text of each, and its place among the text's own.

    `sizes` are the shingles of every text.
    """

    shingles: Array
    texts: Array
    places: Array
    sizes: Array


def _rarest(pool: _Pool, threshold: float) -> _Rare:
    """Return of each text of n shingles the n - ⌈threshold · n⌉ + 1 rarest ones, the rarest first."""
    sizes = np.array([len(each) for each in pool.shingles], np.int64)
    prefixes = np.where(sizes > 0, sizes - np.ceil(threshold * sizes - 1e-9).astype(np.int64) + 1, 0)
    shingles: list[Array] = []
    texts: list[Array] = []
    places: list[Array] = []
    step = 1 << 10  # texts at once, so that text, frequency and shingle fit into 64 bits
    for first in range(0, len(sizes), step):
        some = np.concatenate(pool.shingles[first : first + step])
        own = sizes[first : first + step]
        owners = np.repeat(np.arange(len(own), dtype=np.uint64), own)
        times = np.minimum(pool.counts[some >> np.uint32(32 - _COUNTED)], (1 << 20) - 1).astype(np.uint64)
        keys = np.sort((owners << np.uint64(52)) | (times << np.uint64(32)) | some)
        place: Array = np.arange(len(keys)) - np.repeat(np.cumsum(own) - own, own)
        kept = place < np.repeat(prefixes[first : first + step], own)
        shingles.append(keys[kept].astype(np.uint32))
        texts.append(np.repeat(np.arange(first, first + len(own)), own)[kept])
        places.append(place[kept])
    rare, owner, place = (np.concatenate(each) for each in (shingles, texts, places))
    order = np.lexsort((owner, rare))
    return _Rare(rare[order], owner[order], place[order], sizes)


def _join_similar(pool: _Pool, members: list[int], groups: _Groups, threshold: float, progress: Progress) -> None:
    """Join the texts of a pool whose shingles are similar enough. `members` are their numbers in `groups`."""
    if len(pool.shingles) < 2:
        return
    rare = _rarest(pool, threshold)
    progress(1, 4)
    verify = _Verifier(pool, members, groups, threshold)
    borders = np.concatenate(([0], np.flatnonzero(rare.shingles[1:] != rare.shingles[:-1]) + 1, [len(rare.shingles)]))
    sizes = np.diff(borders)
    within_few = np.repeat(sizes <= _FEW, sizes)
    for distance in range(1, _FEW):
        same = (rare.shingles[distance:] == rare.shingles[:-distance]) & within_few[distance:]
        one = np.flatnonzero(same)
        verify.pairs(*_possible(rare, one, one + distance, threshold))
        progress(_FEW + distance, 4 * _FEW)
    large = np.flatnonzero(sizes > _FEW)
    for number, group in enumerate(large.tolist()):
        _join_bucket(rare, int(borders[group]), int(borders[group + 1]), verify, threshold)
        progress(2 * len(large) + 2 * number, 4 * len(large))


def _possible(rare: _Rare, one: Array, other: Array, threshold: float) -> tuple[Array, Array]:
    """Return the texts of those pairs of entries that may still be similar enough.

    If this is the rarest shingle they share, they share no more than it and all that follows it in either text.
    """
    a, b = rare.texts[one], rare.texts[other]
    left = np.minimum(rare.sizes[a] - rare.places[one], rare.sizes[b] - rare.places[other])
    enough = left * (1 + threshold) >= threshold * (rare.sizes[a] + rare.sizes[b]) - 1e-9
    return a[enough], b[enough]


def _join_bucket(rare: _Rare, start: int, end: int, verify: "_Verifier", threshold: float) -> None:
    """Compare the many texts that share one rare shingle, each with those behind it that are not yet in its group."""
    roots = verify.roots(rare.texts[start:end])
    for place in range(start, end - 1):
        tries = verify.tries(int(rare.texts[place]))
        if not tries:
            continue
        until = min(end, place + 1 + _COMPARED)
        others = np.arange(place + 1, until)[roots[place + 1 - start : until - start] != roots[place - start]]
        if not len(others):
            continue
        a, b = _possible(rare, np.full(len(others), place), others, threshold)
        if verify.pairs(a[:tries], b[:tries]):
            roots = verify.roots(rare.texts[start:end])


class _Verifier:
    """Joins pairs that are similar enough, by their exact similarity; each pair is looked at once."""

    def __init__(self, pool: _Pool, members: list[int], groups: _Groups, threshold: float) -> None:
        self._pool, self._members, self._groups, self._threshold = pool, members, groups, threshold
        self._rejected: set[int] = set()
        self._times = [0] * len(members)
        self._sets: dict[int, frozenset[int]] = {}

    def tries(self, text: int) -> int:
        """Return how often a text may still turn out different from one of many others."""
        return max(0, _REJECTED - self._times[text])

    def roots(self, texts: Array) -> Array:
        return np.array([self._groups.find(self._members[each]) for each in texts.tolist()])

    def pairs(self, ones: Array, others: Array) -> bool:
        """Join the pairs that are similar; tell whether any was."""
        joined = False
        size = len(self._members)
        for one, other in zip(ones.tolist(), others.tolist(), strict=True):
            a, b = self._members[one], self._members[other]
            code = one * size + other
            if code in self._rejected or self._groups.find(a) == self._groups.find(b):
                continue
            if self._similar(one, other):
                self._groups.join(a, b)
                joined = True
            else:
                self._rejected.add(code)
                self._times[one] += 1
        return joined

    def _similar(self, one: int, other: int) -> bool:
        pool = self._pool
        if pool.characters and min(pool.words[one], pool.words[other]) >= SHORT:
            return False  # the words of both decide
        a, b = self._set(one), self._set(other)
        shared = len(a & b)
        return shared >= self._threshold * (len(a) + len(b) - shared) - 1e-9

    def _set(self, text: int) -> frozenset[int]:
        found = self._sets.get(text)
        if found is None:
            if len(self._sets) >= _KEPT_SETS:
                self._sets.clear()
            found = self._sets[text] = frozenset(self._pool.shingles[text].tolist())
        return found


def _part_of(progress: Progress, first: int, size: int) -> Progress:
    """Return a progress for the part of a thousand that begins at `first`."""
    return lambda done, total: progress(first + size * min(done, total) // max(1, total), 1000)
