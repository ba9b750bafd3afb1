"""Rows that are nearly the same as another row, and test rows that stand in good part in what is learnt."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from core.data.entry import DatasetEntry
from core.data.near import clusters
from core.data.overlap import overlaps, same_key
from core.doctor.report import Finding, Tally, excerpt, found, percent
from core.doctor.source import TESTED, Seen, records_of, seen_of, without_documents
from core.progress import Progress

LIMIT = 200_000  # rows whose texts are compared; chosen by us: about 20 seconds and 600 MB
_MANY = 0.01  # share of rows from which they are a warning
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


class NearDuplicates:
    """Rows whose question and answer are nearly those of an earlier row, with the same numbers in them."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._places: list[str] = []
        self._indices: list[int] = []
        self._seen: set[int] = set()
        self._rows = 0

    def see(self, seen: Seen) -> None:
        self._rows += 1
        text = seen.spoken
        if len(self._texts) >= LIMIT or hash(text) in self._seen:  # equal rows are a finding of their own
            return
        self._seen.add(hash(text))
        self._texts.append(text)
        self._places.append(seen.place)
        self._indices.append(seen.index)

    def superfluous(self, progress: Progress) -> set[int]:
        """Return the numbers of the rows that are nearly the same as an earlier one."""
        return {self._indices[each] for _, others in near_groups(self._texts, progress) for each in others}

    def findings(self, rows: int, progress: Progress) -> Iterable[Finding]:
        tally = Tally("near_duplicates")
        for first, others in near_groups(self._texts, progress):
            for each in others:
                tally.add(self._places[each], f"≈ {self._places[first]}: {self._texts[each]}")
        if tally.count:
            yield tally.finding(
                tally.count <= _MANY * rows, share=percent(tally.count, rows), compared=len(self._texts)
            )
        if self._rows > LIMIT:
            yield found("only_some_compared", LIMIT, compared=LIMIT, rows=rows)

    def stats(self) -> dict[str, Any]:
        return {}


def near_groups(texts: Sequence[str], progress: Progress) -> list[tuple[int, list[int]]]:
    """Return the first of each group of near duplicates, with the others of it.

    Rows made from one template with other numbers in it are different rows, however alike they look.
    """
    found = []
    for cluster in clusters(texts, progress=progress):
        alike: dict[tuple[str, ...], list[int]] = {}
        for each in cluster:
            alike.setdefault(tuple(sorted(_NUMBER.findall(texts[each]))), []).append(each)
        found += [(group[0], group[1:]) for group in alike.values() if len(group) > 1]
    return sorted(found)


class Contamination:
    """Questions of the test sets, or of the own test part, that a learnt row covers.

    Only questions are compared: the answers of a set of facts are the same by design, and so are RAFT's passages.
    """

    def __init__(self, entry: DatasetEntry, against: Sequence[DatasetEntry]) -> None:
        sides = [(f"{each.name}:", list(records_of(each, TESTED if each.parts else ""))) for each in against]
        if entry.parts:
            sides.append(("", list(records_of(entry, TESTED))))
        self._asked: list[str] = []
        self._keys: list[int] = []
        self._places: list[str] = []
        for prefix, rows in sides:
            for row, record in rows:
                seen = seen_of(0, row, record)
                self._asked.append(without_documents(seen.question))
                self._keys.append(same_key(seen.question, seen.answer))
                self._places.append(prefix + row.place)
        self._rows = 0
        self._learnt: list[str] = []
        self._learnt_keys: list[int] = []
        self._learnt_places: list[str] = []
        self._indices: list[int] = []

    def see(self, seen: Seen) -> None:
        if not self._asked or seen.part == TESTED:
            return
        self._rows += 1
        if len(self._learnt) < LIMIT:
            self._learnt.append(without_documents(seen.question))
            self._learnt_keys.append(same_key(seen.question, seen.answer))
            self._learnt_places.append(seen.place)
            self._indices.append(seen.index)

    def contaminated(self, progress: Progress) -> set[int]:
        """Return the numbers of all rows that cover a test question; of each test the comparison tells one at a time."""
        left = list(range(len(self._learnt)))
        found: set[int] = set()
        while hits := overlaps([self._learnt[each] for each in left], self._asked, progress=progress):
            covering = {left[hit.train] for hit in hits}
            found |= covering
            left = [each for each in left if each not in covering]
        return {self._indices[each] for each in found}

    def findings(self, rows: int, progress: Progress) -> Iterable[Finding]:
        identical = set(self._learnt_keys)
        hits = [
            each
            for each in overlaps(self._learnt, self._asked, progress=progress)
            if self._keys[each.test] not in identical
        ]
        tally = Tally("contamination")
        for hit in hits:
            place, asked = self._places[hit.test], excerpt(self._asked[hit.test])
            text = f"{percent(hit.covered, 1)} {place}: {asked} ⟵ {self._learnt[hit.train]}"
            tally.add(self._learnt_places[hit.train], text)
        if hits:
            yield tally.finding(share=percent(len(hits), len(self._asked)), tests=len(self._asked))
        if self._rows > LIMIT:
            yield found("only_some_contamination", LIMIT, compared=LIMIT, rows=self._rows)

    def stats(self) -> dict[str, Any]:
        return {}
