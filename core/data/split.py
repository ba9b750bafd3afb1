"""Which rows are learnt, which measure the loss on the way, and which test: decided once, before anything is mixed.

Rows that belong together stay on one side: those with the same `meta["group"]` (a source document, a passage), with the same
question, or in one cluster of near duplicates. A group goes where a hash of the seed and of its first row sends it, so that
rows that are appended later do not move earlier ones; per task and label the hash may stray from the wanted share by one
row or a tenth, not more.
"""

import hashlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from core.data.entry import DatasetEntry
from core.data.formats import entry_records
from core.data.overlap import plain
from core.data.problems import Problems
from core.errors import DataError, problem
from core.progress import Progress, silent
from core.records import Conversation, Message, Record, Text, Tokenised

TRAIN, VALIDATION, TEST, LEFT_OUT = "t", "v", "e", "x"
SHARES = (0.9, 0.05, 0.05)  # of train, validation and test
MIN_TEST = 16  # rows; facts: with fewer, a score is mostly chance
MOST_TEST = 0.25  # of a set that is too small for 16 test rows; chosen by us: the rest is needed to learn from
_STRAY = 0.1  # of the wanted rows; chosen by us, at least one row
_TOLD_EVERY = 4096  # rows
_GIVEN = {"train": TRAIN, "validation": VALIDATION, "valid": VALIDATION, "dev": VALIDATION, "test": TEST}


def assign(
    records: Iterable[Record], *, shares: tuple[float, float, float] = SHARES, seed: int = 7, min_test: int = MIN_TEST,
    clusters: Sequence[Sequence[int]] | None = None, keep: str = "", progress: Progress = silent,
) -> str:  # fmt: skip
    """Return one letter a row, in reading order: t(rain), v(alidation), e (test) or x (left out).

    A row whose `meta["split"]` names its split stays there. A row that was made from another one (`meta["aug_of"]`) is
    learnt or left out, never tested.

    Args:
        shares: of train, validation and test; they add up to 1.
        min_test: test rows that a set with a test share gets at least, up to a quarter of its rows.
        clusters: row numbers (from 0) that belong together, such as near duplicates.
        keep: letters of the first rows, which stay as they are; a new row that ties two of their parts together is left out.

    Raises:
        DataError: if the shares are no shares.
    """
    _checked(shares)
    rows = _read(records, seed, progress)
    for cluster in clusters or ():
        for row in cluster[1:]:
            rows.join(cluster[0], row)
    fixed = [keep[row] if row < len(keep) else rows.given.get(row, "") for row in range(len(rows))]
    return _Assignment(rows, fixed, shares, min_test).letters()


def again(entry: DatasetEntry) -> str:
    """Return letters for the present rows of a split set, with the seed and the shares of its split.

    Raises:
        DataError: if a row cannot be used.
    """
    assert entry.parts is not None
    problems = Problems(entry.file.name)
    letters = assign(entry_records(entry, problems), shares=entry.parts.shares, seed=entry.parts.seed)
    problems.stop_if_any()
    return letters


def counts(letters: str) -> dict[str, int]:
    """Return how many rows each part has, by its long name."""
    named = {"train": TRAIN, "validation": VALIDATION, "test": TEST, "left_out": LEFT_OUT}
    return {name: letters.count(letter) for name, letter in named.items()}


def group_of(record: Record) -> str:
    """Return what the rows that belong to this one share: `meta["group"]`, else the question."""
    return record.meta.get("group") or question_key(record)


def question_key(record: Record) -> str:
    """Return the question as one normalised text: upper case, punctuation and width do not make another question."""
    match record:
        case Text():
            text = record.text
        case Tokenised():
            return " ".join(map(str, record.input_ids))
        case Conversation():
            text = _spoken(record.question)
        case _:
            text = _spoken(record.messages)
    return plain(text)


def _spoken(messages: Iterable[Message]) -> str:
    """Join the turns, without the system prompt: rows split alike under any."""
    return "\n".join(message.content for message in messages if message.role != "system")


def _checked(shares: tuple[float, float, float]) -> None:
    if len(shares) != 3 or min(shares) < 0 or shares[0] <= 0 or abs(sum(shares) - 1) > 1e-6:
        given = "/".join(f"{100 * share:g}" for share in shares)
        raise DataError(problem("split.shares", "", given=given))


@dataclass
class _Rows:
    """What is kept of each row: eight bytes of hash, the number of its stratum, and whom it belongs with."""

    hashes: "array[int]" = field(default_factory=lambda: array("Q"))
    strata: "array[int]" = field(default_factory=lambda: array("L"))
    given: dict[int, str] = field(default_factory=dict)
    made: set[int] = field(default_factory=set)
    _parents: "array[int]" = field(default_factory=lambda: array("L"))
    _first: dict[int, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.hashes)

    def add(self, keys: Sequence[int], stratum: int) -> int:
        """Add a row; it belongs with every row that has one of its keys. The first key decides where a group goes."""
        row = len(self.hashes)
        self.hashes.append(keys[0])
        self.strata.append(stratum)
        self._parents.append(row)
        for key in keys:
            self.join(self._first.setdefault(key, row), row)
        return row

    def join(self, one: int, other: int) -> None:
        """Make one group of the groups of two rows, led by whichever row came first."""
        first, second = sorted((self.group(one), self.group(other)))
        self._parents[second] = first

    def group(self, row: int) -> int:
        """Return the first row of the group that a row belongs to."""
        while self._parents[row] != row:
            self._parents[row] = self._parents[self._parents[row]]
            row = self._parents[row]
        return row


def _read(records: Iterable[Record], seed: int, progress: Progress) -> _Rows:
    rows = _Rows()
    strata: dict[tuple[str, str], int] = {}
    for number, record in enumerate(records, 1):
        label = record.label if isinstance(record, Conversation) else ""
        row = rows.add(
            [_hash(seed, key) for key in _keys(record)], strata.setdefault((record.task, label), len(strata))
        )
        if record.meta.get("aug_of"):
            rows.made.add(row)
        if (given := record.meta.get("split", "").lower()) in _GIVEN:
            rows.given[row] = _GIVEN[given]
        if number % _TOLD_EVERY == 0:
            progress(number, 0)
    progress(len(rows), len(rows))
    return rows


def _keys(record: Record) -> Iterator[str]:
    if group := record.meta.get("group"):
        yield f"group\x1d{group}"
    yield f"question\x1d{question_key(record)}"


def _hash(seed: int, key: str) -> int:
    digest = hashlib.blake2b(f"{seed}\x1d{key}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest)


@dataclass
class _Stratum:
    """The rows of one task and label so far."""

    rows: int = 0
    test: int = 0
    validation: int = 0


class _Assignment:
    """Goes through the rows once, in order: what comes later cannot change what was decided."""

    def __init__(self, rows: _Rows, fixed: list[str], shares: tuple[float, float, float], min_test: int) -> None:
        self._rows, self._fixed = rows, fixed
        self._groups = [rows.group(row) for row in range(len(rows))]
        self._sizes = array("L", bytes(array("L").itemsize * len(rows)))
        for group in self._groups:
            self._sizes[group] += 1
        self._min_test = min(min_test, int(MOST_TEST * len(rows))) if shares[2] else 0
        self._test = max(shares[2], self._min_test / max(1, len(rows)))
        self._validation = shares[1]
        self._strata: dict[int, _Stratum] = {}
        self._chosen: dict[int, str] = {}  # first row of a group -> letter; x where fixed rows disagree
        for row, letter in enumerate(fixed):
            if letter and letter != LEFT_OUT:
                known = self._chosen.setdefault(self._groups[row], letter)
                self._chosen[self._groups[row]] = letter if known == letter else LEFT_OUT

    def letters(self) -> str:
        found = [self._letter(row) for row in range(len(self._rows))]
        self._top_up(found)
        return "".join(found)

    def _letter(self, row: int) -> str:
        group = self._groups[row]
        stratum = self._strata.setdefault(self._rows.strata[group], _Stratum())
        made = row in self._rows.made
        if not made:
            stratum.rows += 1
        if group not in self._chosen:
            self._chosen[group] = self._choose(group, stratum)
        letter = self._fixed[row] or self._chosen[group]
        if made and letter != TRAIN:
            return LEFT_OUT
        stratum.test += letter == TEST
        stratum.validation += letter == VALIDATION
        return letter

    def _choose(self, group: int, stratum: _Stratum) -> str:
        """Return where a group goes: where its stratum is owed rows, else where its hash says, if there is room."""
        score = self._rows.hashes[group] / 2**64
        owed_test = self._test * stratum.rows - stratum.test
        owed_validation = self._validation * stratum.rows - stratum.validation
        stray_test = max(1.0, _STRAY * self._test * stratum.rows)
        stray_validation = max(1.0, _STRAY * self._validation * stratum.rows)
        if self._fits(group, self._test):
            if owed_test >= stray_test:
                return TEST
            if score < self._test and owed_test > -stray_test / 2:
                return TEST
        if self._fits(group, self._validation):
            if owed_validation >= stray_validation:
                return VALIDATION
            if self._test <= score < self._test + self._validation and owed_validation > -stray_validation / 2:
                return VALIDATION
        return TRAIN

    def _fits(self, group: int, share: float) -> bool:
        """Say whether a group is small enough for a part: half the data in one group must not become the test."""
        return share > 0 and self._sizes[group] <= max(1.0, 2 * share * len(self._rows))

    def _top_up(self, found: list[str]) -> None:
        """Move groups with the lowest hashes from training to the test until that has its least rows."""
        missing = self._min_test - found.count(TEST)
        if missing <= 0:
            return
        fixed = {self._groups[row] for row, letter in enumerate(self._fixed) if letter}
        free = [group for group, letter in self._chosen.items() if letter == TRAIN and group not in fixed]
        moved: set[int] = set()
        for group in sorted(free, key=lambda each: self._rows.hashes[each]):
            if missing <= 0:
                break
            if self._fits(group, self._test):
                moved.add(group)
                missing -= self._sizes[group]
        for row, group in enumerate(self._groups):
            if group in moved:
                found[row] = LEFT_OUT if row in self._rows.made else TEST
