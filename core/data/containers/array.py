"""A JSON array, streamed: its elements are found by their brackets and decoded one by one, so that each has its line.

A decoder would need the whole array. numpy finds the brackets that stand outside of strings in a piece of 1 MB at a time:
quotation marks are counted, and where their count is even, a bracket is a bracket.
"""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from core.data.containers.row import MEGABYTE, ROW_LIMIT, Broken, Missing, Row, Wanted
from core.data.containers.source import Source
from core.data.problems import Problems
from core.data.strict_json import StrictJSON, is_object, report_syntax, sure_object, text_of

_INTERESTING = np.zeros(256, bool)
_INTERESTING[list(b'"[]{}')] = True


class Brackets:
    """Finds where elements begin and end. It is fed piece by piece and remembers where it stands between them."""

    def __init__(self) -> None:
        self._escaped = False  # the next byte follows a backslash
        self._inside = 0  # 1 inside of a string
        self._depth = 1  # behind the opening bracket of the array

    def feed(self, data: bytes) -> list[int]:
        """Return the positions where the depth becomes 2 (an element begins) or falls to 1 or less (it, or all, ends)."""
        if self._escaped:
            data = b"_" + data[1:]
        self._escaped = bool((len(data) - len(data.rstrip(b"\\"))) % 2)
        if (
            b"\\" in data
        ):  # left to right: first the escaped backslashes, so that what is left before a quote escapes it
            data = data.replace(b"\\\\", b"__").replace(b'\\"', b"__")
        raw = np.frombuffer(data, np.uint8)
        spots = np.flatnonzero(_INTERESTING[raw])
        kinds = raw[spots]
        quotes = kinds == ord('"')
        inside = (np.cumsum(quotes) + self._inside) & 1
        if len(inside):
            self._inside = int(inside[-1])
        real = ~quotes & (inside == 0)
        spots, kinds = spots[real], kinds[real]
        step = np.where((kinds & 0x06) == 0x02, 1, -1)  # [ is 5B and { is 7B, ] is 5D and } is 7D
        depth = np.cumsum(step) + self._depth
        if len(depth):
            self._depth = int(depth[-1])
        return spots[((step > 0) & (depth == 2)) | ((step < 0) & (depth <= 1))].tolist()


def array(
    source: Source, problems: Problems, wanted: Wanted | None = None, start: int = 0, within: str = ""
) -> Iterator[Row]:
    """Yield the rows of a source whose array begins at byte `start`, `within` a key of an object that is known to be valid.

    An element that is not valid is reported and left out. Where commas or brackets of the array itself are wrong, elements
    can no longer be told apart, and reading ends with that report.
    """
    yield from _Array(source, problems, start, within).rows(wanted)


class _Array:
    """Reads one array; its attributes say how far it is."""

    def __init__(self, source: Source, problems: Problems, start: int = 0, within: str = "") -> None:
        self._source, self._problems = source, problems
        self._start, self._within = start, within
        self._strict = StrictJSON(problems)
        self._number = 0
        self._at = self._line_at = 0  # the byte that is looked at, and where its line begins
        self._line = 1
        self._comma = False  # an element was read, so that a comma or the end must follow
        self._usual, self._usual_lines = b"]", 0  # what stands between two elements most of the time; at first nothing
        self._closed, self._rest = b"", b""  # the bracket that ended the array, and what stands behind it

    def rows(self, wanted: Wanted | None) -> Iterator[Row]:
        file = self._source.file
        try:
            for between, element in self._pieces():
                if between == self._usual and self._comma and element is not None:
                    self._at += len(between)
                    if self._usual_lines:
                        self._line += self._usual_lines
                        self._line_at = self._at - len(between) + between.rfind(b"\n") + 1
                elif not self._between(between, element):
                    return
                if element is None:
                    return self._end()
                self._number += 1
                self._comma = True
                if wanted is None or wanted(self._at):
                    values = sure_object(element)
                    if values is None:
                        values = self._careful(element)
                    if values is not None:
                        yield Row(self._number, values, self._line, file, self._at, len(element), self._within)
                self._pass(element)
        except Broken as error:
            self._problems.add(error.code, f"{self._source.name}:{self._line}", **error.values)

    def _pieces(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield what stands before each element, and the element; the last has None, or what there is of an unclosed one."""
        chunks = self._source.chunks()
        chunk = self._opened(chunks)
        brackets = Brackets()
        between, within = b"", False
        held = _Held()
        while chunk:
            last = 0
            for spot in brackets.feed(chunk):
                if within:
                    yield between, held.all(chunk[last : spot + 1])
                    last = spot + 1
                else:
                    between = held.all(chunk[last:spot])
                    last = spot
                    if chunk[spot] in b"]}":
                        self._closed = chunk[spot : spot + 1]
                        self._rest = _first_words(chunk[spot + 1 :], chunks)
                        yield between, None
                        return
                within = not within
            held.add(chunk[last:])
            chunk = next(chunks, b"")
        yield (between, held.all(b"")) if within else (held.all(b""), None)

    def _opened(self, chunks: Iterator[bytes]) -> bytes:
        """Pass over the opening bracket and return what follows it."""
        for chunk in chunks:
            if (before := self._start - self._at) >= len(chunk):
                self._pass(chunk)
                continue
            start = before if before > 0 else len(chunk) - len(chunk.lstrip())
            self._pass(chunk[: start + 1])
            if start < len(chunk):
                return chunk[start + 1 :] or next(chunks, b"")
        return b""

    def _pass(self, data: bytes) -> None:
        lines = data.newlines if isinstance(data, Missing) else data.count(b"\n")
        size = data.size if isinstance(data, Missing) else len(data)
        if lines:
            self._line += lines
            self._line_at = self._at + data.rfind(b"\n") + 1
        self._at += size

    def _careful(self, element: bytes) -> dict[str, Any] | None:
        """Decode an element that the fast decoder would not vouch for, or report what is wrong with it."""
        name, problems = self._source.name, self._problems
        where = f"{name}:{self._line} (#{self._number})"
        if isinstance(element, Missing):
            problems.add("data.row_too_long", where, size=element.size // MEGABYTE, limit=ROW_LIMIT // MEGABYTE)
            return None
        text = text_of(element, name, self._line, problems)
        if text is None:
            return None
        before = problems.count
        try:
            value, end = self._strict.value(text, 0, where)
            if text[end:].strip():
                raise json.JSONDecodeError("Extra data", text, end)
        except (ValueError, RecursionError) as error:
            self._report(error, text)
            return None
        return value if is_object(value, where, problems) and problems.count == before else None

    def _between(self, data: bytes, element: bytes | None) -> bool:
        """Read what stands between elements: a comma, and values that are no objects. Return whether reading can go on."""
        if isinstance(data, Missing):
            size, limit = data.size // MEGABYTE, ROW_LIMIT // MEGABYTE
            self._problems.add("data.row_too_long", f"{self._source.name}:{self._line}", size=size, limit=limit)
            return False
        text = text_of(data, self._source.name, self._line, self._problems)
        if text is None:
            return False
        plain = self._comma and text.strip() == ","
        position, line, counted = 0, self._line, 0
        try:
            while (position := _skip(text, position)) < len(text):
                if self._comma:
                    if text[position] != ",":
                        raise json.JSONDecodeError("Expecting ',' or ']'", text, position)
                    self._comma, position = False, position + 1
                else:
                    line, counted = line + text.count("\n", counted, position), position
                    position = self._scalar(text, position, line)
            if self._comma and (element is not None or not self._closed):
                raise json.JSONDecodeError("Expecting ',' or ']'", text, position)
            if not self._comma and element is None and (self._number or not self._closed):
                raise json.JSONDecodeError("Expecting value", text, position)
        except (ValueError, RecursionError) as error:
            self._report(error, text)
            return False
        if plain:
            self._usual, self._usual_lines = data, data.count(b"\n")
        self._pass(data)
        return True

    def _scalar(self, text: str, position: int, line: int) -> int:
        """Report a value that is no object and return the position behind it."""
        self._number += 1
        self._comma = True
        where = f"{self._source.name}:{line} (#{self._number})"
        value, end = self._strict.value(text, position, where)
        is_object(value, where, self._problems)
        return end

    def _end(self) -> None:
        """Check that the array was closed by its own bracket and that nothing follows."""
        if self._closed == b"}":
            self._report(json.JSONDecodeError("Expecting ',' or ']'", "}", 0), "}")
        elif self._rest.strip() and not self._within:
            text = "]" + self._rest.decode(errors="replace")
            start = _skip(text, 1)
            self._report(json.JSONDecodeError("Extra data behind the array", text, start), text)

    def _report(self, error: Exception, text: str) -> None:
        report_syntax(self._problems, error, self._source.name, text, 0, self._line, self._at - self._line_at)


class _Held:
    """The pieces of what is not complete yet. Over 32 MB they are let go, and only counted."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = self._newlines = 0

    def add(self, piece: bytes) -> None:
        self._size += len(piece)
        self._newlines += piece.count(b"\n")
        if self._size <= ROW_LIMIT:
            self._pieces.append(piece)
        else:
            self._pieces.clear()

    def all(self, piece: bytes) -> bytes:
        """Return everything that was held, with a last piece, and hold nothing more."""
        if not self._size:
            return piece if len(piece) <= ROW_LIMIT else Missing(len(piece), piece.count(b"\n"))
        self.add(piece)
        whole = b"".join(self._pieces) if self._size <= ROW_LIMIT else Missing(self._size, self._newlines)
        self._pieces, self._size, self._newlines = [], 0, 0
        return whole


def _first_words(chunk: bytes, chunks: Iterator[bytes]) -> bytes:
    """Return what stands behind the array, up to the end of the piece that has its first words; of spaces the lines only."""
    passed = b""
    for following in chunks:
        if chunk.strip():
            break
        passed += b"\n" * chunk.count(b"\n")
        chunk = following
    return passed + chunk


def _skip(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t\r\n":
        position += 1
    return position
