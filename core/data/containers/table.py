"""CSV and TSV with a header, streamed. A row's number is the line it begins in; cells may hold line breaks."""

import csv
import re
from collections import Counter
from collections.abc import Iterator

from core.data.containers.lines import split
from core.data.containers.row import MEGABYTE, ROW_LIMIT, Broken, Missing, Row, Wanted
from core.data.containers.source import Source
from core.data.problems import Problems
from core.data.strict_json import columns_of, decoded, excerpt

_SEPARATORS = {".tsv": "\t,;"}
_USUAL_SEPARATORS = ",;\t"  # a German Excel writes semicolons
_LONE_RETURN = re.compile("(?<=\r)(?!\n)")  # the line ends of an old Macintosh
_INDEX = "Unnamed: 0"  # pandas writes its index under an empty name, and reads it back under this one


def table(source: Source, problems: Problems, wanted: Wanted | None = None) -> Iterator[Row]:
    """Yield the rows of a table. A row with too many or too few cells is reported, and reading goes on.

    Behind a quotation mark that is not closed rows can no longer be told apart, and reading ends with that report.
    """
    csv.field_size_limit(max(csv.field_size_limit(), 2 * ROW_LIMIT))  # so that our own limit is met first
    fed = _Feed(source, problems)
    delimiter = separator(source)
    header: list[str] = []
    try:
        for cells in csv.reader(fed.texts(), delimiter=delimiter, strict=True):
            number, start, size, usable = fed.row()
            if not cells or not usable:
                continue
            if not header:
                header = names(cells, f"{source.name}:{number}", problems)
                if not header:
                    return
            elif len(cells) != len(header):
                shown = {"cells": len(cells), "columns": len(header), "excerpt": excerpt(delimiter.join(cells), 0)}
                problems.add("data.csv_cells", f"{source.name}:{number}", **shown)
            elif wanted is None or wanted(start):
                yield Row(number, dict(zip(header, cells, strict=True)), 0, source.file, start, size)
    except csv.Error as error:
        if not fed.stopped:
            problems.add("data.csv", f"{source.name}:{fed.first}", reason=str(error))
    except Broken as error:
        problems.add(error.code, f"{source.name}:{fed.number + 1}", **error.values)


def header_of(source: Source) -> tuple[str, list[str]]:
    """Return the separator and the names of the columns of a table that can be read."""
    fed, delimiter = _Feed(source, Problems(source.name)), separator(source)
    for cells in csv.reader(fed.texts(), delimiter=delimiter, strict=True):
        if cells:
            return delimiter, names(cells, source.name, Problems(source.name))
    return delimiter, []


def separator(source: Source) -> str:
    """Return what separates the cells of the header: the first of the usual characters that stands in it."""
    first = source.head().decode(errors="replace").lstrip("\r\n").split("\n", 1)[0]
    usual = _SEPARATORS.get(source.suffix, _USUAL_SEPARATORS)
    return next((each for each in usual if each in first), usual[0])


def names(cells: list[str], where: str, problems: Problems) -> list[str]:
    """Return the names of the columns, or report what is wrong with them and return nothing."""
    found = [cell.strip() for cell in cells]
    if found[0] == "" and len(found) > 1:
        found[0] = _INDEX
    twice = sorted(name for name, times in Counter(found).items() if name and times > 1)
    if not all(found):
        problems.add(
            "data.csv_no_name", where, position=found.index("") + 1, has=columns_of(dict.fromkeys(filter(None, found)))
        )
    if twice:
        problems.add("data.csv_name_twice", where, columns=columns_of(dict.fromkeys(twice)))
    return found if all(found) and not twice else []


class _Feed:
    """Gives a csv.reader its lines, and knows which lines and bytes the row that it made of them has."""

    def __init__(self, source: Source, problems: Problems) -> None:
        self._source, self._problems = source, problems
        self._fresh, self._usable = True, True
        self._start = self._at = 0
        self.number = 0  # lines given so far
        self.first = 1  # the line in which the row begins
        self.stopped = False  # reading cannot go on, and that was reported

    def texts(self) -> Iterator[str]:
        for line in split(self._source, self._problems):
            if isinstance(line, Missing):
                self.number += 1
                self._at += line.size + 1
                if self._fresh:
                    continue
                self.stopped = True
                return
            text = self._text(line) + "\n"
            if text.find("\r") in (-1, len(text) - 2):
                self._begin(len(line) + 1)
                yield text
            else:
                for piece in _LONE_RETURN.split(text):
                    self._begin(len(piece.encode(errors="replace")))
                    yield piece
            if self._at - self._start > ROW_LIMIT:
                values = {"size": (self._at - self._start) // MEGABYTE, "limit": ROW_LIMIT // MEGABYTE}
                self._problems.add("data.row_too_long", f"{self._source.name}:{self.first}", **values)
                self.stopped = True
                return

    def row(self) -> tuple[int, int, int, bool]:
        """Return line, first byte, bytes and whether it is usable, of the row that was just made; the next one begins."""
        usable, self._fresh, self._usable = self._usable, True, True
        return self.first, self._start, self._at - self._start, usable

    def _begin(self, size: int) -> None:
        self.number += 1
        if self._fresh:
            self.first, self._start, self._fresh = self.number, self._at, False
        self._at += size

    def _text(self, line: bytes) -> str:
        where = f"{self._source.name}:{self.number + 1}"
        text = decoded(line, where, self._problems)
        if text is None:
            self._usable = False
            return line.decode("latin-1")  # keeps the cells apart; the row is not used
        if "\0" in text:
            self._problems.add("data.nul", where, column=text.index("\0") + 1)
            self._usable = False
        return text
