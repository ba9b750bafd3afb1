"""Rows to records: one reader for each way in which training data is written.

A `Reading` names the format and what it needs to know (columns, tags, choices); `converter` makes of it the function that
reads one row. The readers are strict: what cannot be learnt from raises, so that a person hears of it. `strict` False lets
empty texts and broken orders pass, for the doctor, who looks for them and mends them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from core.data import readers
from core.data.entry import COLUMNS, DatasetEntry
from core.data.formats.fits import Fit, Question, Recognition
from core.data.formats.recognise import questions_of, recognise
from core.data.formats.registry import FORMATS, reader_of
from core.data.formats.spread import of_spread, spread, spreads
from core.data.formats.values import RowError
from core.data.problems import Problems
from core.data.readers import Row
from core.data.reading import Reading
from core.data.versions import LETTERS
from core.errors import DataError, problem
from core.placeholders import blanks_in
from core.progress import Progress, silent
from core.records import Conversation, Record, kind_of

__all__ = [
    "FORMATS",
    "Fit",
    "Question",
    "Recognition",
    "RowError",
    "conversations",
    "converter",
    "entry_records",
    "named_columns",
    "of_spread",
    "questions_of",
    "recognise",
    "records",
    "spread",
    "spreads",
    "usable",
]
R = TypeVar("R", bound=Record)


def converter(reading: Reading, file_name: str, *, strict: bool = True) -> Callable[[Row], Record]:
    """Return the function that makes a record of a row, or raises RowError with why it cannot. Rows are `spread` before.

    Raises:
        DataError: `data.unknown_format` if nothing of that name can be read.
    """
    read = reader_of(of_spread(reading), strict)

    def one(row: Row) -> Record:
        if row.line or row.file:
            return read(row.values, f"{row.file or file_name}:{row.place}")
        return read(row.values, f"{file_name}:{row.number}")

    return one


def records(
    rows: Iterable[Row], reading: Reading, file_name: str, problems: Problems, *, strict: bool = True
) -> Iterator[Record]:
    """Give the record of each row; the rows that cannot be one go to `problems`, with file:line."""
    one = converter(reading, file_name, strict=strict)
    unseen = named_columns(reading)
    first: Row | None = None
    for row in spread(rows, reading):
        if unseen:
            first = first or row
            unseen = [name for name in unseen if name not in row.values]
        try:
            record = one(row)
        except RowError as error:
            problems.add(error.code, f"{row.file or file_name}:{row.place}", **error.values)
        else:
            yield record
    for name in unseen if first else ():
        has = readers.columns_of(first.values) if first else ""
        problems.add("data.missing_column", file_name, column=name, has=has)


def entry_records(
    entry: DatasetEntry,
    problems: Problems,
    progress: Progress = silent,
    part: str | None = None,
    *,
    strict: bool = True,
) -> Iterator[Record]:
    """Read and convert a registered set as a stream; `part` is "train", "validation" or "test" of a split one.

    A set without a split is whole, whatever `part` says.
    """
    rows = readers.iter_rows(entry.file, problems, progress)
    if part is not None and entry.parts is not None:
        rows = _rows_of(rows, entry.parts.letters(), LETTERS[part], entry.name)
    yield from records(rows, entry.reading, entry.file.name, problems, strict=strict)


def conversations(entry: DatasetEntry, *, allow_blanks: bool = False, part: str | None = None) -> list[Conversation]:
    """Read, convert and check a data set that is learnt as conversations.

    Raises:
        DataError: with every problem, each with file:line; unfilled {{blanks}} are one unless `allow_blanks`, and so
            are all rows of another kind (preferences, running text …) together.
    """
    return usable(entry, Conversation, allow_blanks=allow_blanks, part=part)


def usable(entry: DatasetEntry, *kinds: type[R], allow_blanks: bool = False, part: str | None = None) -> list[R]:
    """Return the rows of a data set, all of which must be of one of these kinds.

    Raises:
        DataError: as `conversations`.
    """
    problems = Problems(entry.file.name)
    found: list[R] = []
    others: list[Record] = []
    for record in entry_records(entry, problems, part=part):
        if isinstance(record, kinds):
            found.append(record)
        else:
            others.append(record)
    if others:
        told = {"kind": kind_of(others[0]), "rows": len(others), "name": entry.name}
        problems.add("data.not_chat", others[0].where, **told)
    problems.stop_if_any()
    if not found:
        raise DataError(problem("data.no_rows", entry.file.name))
    if not allow_blanks:
        _unfilled_blanks(entry, [each for each in found if isinstance(each, Conversation)]).stop_if_any()
    return found


def _unfilled_blanks(entry: DatasetEntry, found: Sequence[Conversation]) -> Problems:
    """Return one problem if any message has a {{blank}}: which blanks, in how many rows, and the first place."""
    problems = Problems(entry.file.name)
    with_blanks = [
        (each.where, blanks) for each in found if (blanks := blanks_in("\n".join(m.content for m in each.messages)))
    ]
    if with_blanks:
        names = ", ".join(sorted({name for _, blanks in with_blanks for name in blanks}))
        problems.add("data.unfilled_blank", with_blanks[0][0], blanks=names, rows=len(with_blanks), name=entry.name)
    return problems


def _rows_of(rows: Iterable[Row], letters: str, wanted: str, name: str) -> Iterator[Row]:
    """Give the rows whose letter is the wanted one; there must be a letter for each row."""
    count = 0
    for count, row in enumerate(rows, 1):
        if count > len(letters):
            break
        if letters[count - 1] == wanted:
            yield row
    if count != len(letters):
        raise DataError(problem("data.parts_differ", name, letters=len(letters)))


def named_columns(reading: Reading) -> list[str]:
    """Return the columns that a reading names and not every set has: one that no row has is a mistake in the entry."""
    if reading.format not in ("alpaca", "sharegpt"):
        return []
    named = {key: reading.options.get(key, "") for key in ("query", "history", "system", "keywords", "tools")}
    return [name for key, name in named.items() if name and name != COLUMNS[key]]
