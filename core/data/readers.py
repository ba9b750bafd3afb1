"""Files to rows, with the place of each row and nothing skipped silently.

Files are read as bytes, because the usual readers lose what a person needs to mend a file: `datasets` fills missing
columns with nothing and reports a bad line without its number, and `str.splitlines` breaks valid JSONL at U+2028. What a
file holds is told from its content: a `.json` file may be an array or one object a line, and `container` says which.
"""

import codecs
import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from core.data.problems import Problems
from core.data.strict_json import EXCERPT, StrictJSON, excerpt, report_syntax
from core.errors import DataError, problem

SUFFIXES = (".json", ".jsonl", ".csv")
Container = Literal["json", "jsonl", "csv"]
_MARKS = (  # longest first: UTF-32's mark begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True)
class Row:
    """One row. `number` is its physical line, or its place (from 1) in a JSON array, where `line` is the physical line."""

    number: int
    values: dict[str, Any]
    line: int = 0

    @property
    def place(self) -> str:
        """What stands after `file:` in a message: `37`, or `37 (#12)` for the twelfth element of an array."""
        return f"{self.line} (#{self.number})" if self.line else str(self.number)


def read_rows(file: Path) -> list[Row]:
    """Read a JSON, JSONL or CSV file.

    Raises:
        DataError: with every problem found, each with file:line; 20 are listed, the rest counted.
    """
    data = _bytes(file)
    problems = Problems(file.name)
    read = {"json": _array, "jsonl": _lines, "csv": _table}[_container(file, data)]
    rows = list(read(data, file.name, problems))
    problems.stop_if_any()
    if not rows:
        raise DataError(problem("data.no_rows", file.name))
    return rows


def container(file: Path) -> Container:
    """Return what the file holds, whatever its name says: a JSON array, one JSON object a line, or a table."""
    return _container(file, _bytes(file))


def read_object(file: Path) -> dict[str, Any]:
    """Read one JSON object that fills the file, such as a registry.

    Raises:
        DataError: with line, column and an excerpt.
    """
    text = _text(_utf8(file.read_bytes(), file.name), file.name)
    problems = Problems(file.name)
    value = StrictJSON(problems).whole(text, file.name)
    if not problems and not isinstance(value, dict):
        problems.add("data.not_an_object", file.name, kind=_kind(value))
    problems.stop_if_any()
    return value


def _bytes(file: Path) -> bytes:
    """Return the content as UTF-8 without a mark."""
    if file.suffix.lower() not in SUFFIXES:
        raise DataError(problem("data.suffix", file.name, suffix=file.suffix or "-", supported=", ".join(SUFFIXES)))
    try:
        data = file.read_bytes()
    except OSError as error:
        raise DataError(problem("data.unreadable", file.name, reason=error.strerror or str(error))) from error
    data = _utf8(data, file.name)
    if not data.strip():
        raise DataError(problem("data.empty_file", file.name))
    return data


def _utf8(data: bytes, name: str) -> bytes:
    """Return the data in UTF-8 without a byte-order mark; UTF-16 is told by its mark or by its zero bytes."""
    encoding = next((encoding for mark, encoding in _MARKS if data.startswith(mark)), None)
    if encoding is None and len(data) >= 2 and 0 in data[:2]:  # JSON and CSV begin with an ASCII character
        encoding = "utf-16-le" if data[1] == 0 else "utf-16-be"
    if encoding == "utf-8-sig":
        return data[len(codecs.BOM_UTF8) :]
    if encoding is None:
        return data
    try:
        return data.decode(encoding).encode()
    except UnicodeError as error:
        raise DataError(problem("data.encoding", name, encoding=encoding.upper(), reason=str(error))) from error


def _text(data: bytes, name: str) -> str:
    """Decode UTF-8, or raise with every line that is not."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        problems = Problems(name)
        for number, line in enumerate(data.split(b"\n"), 1):
            _decode_line(line, f"{name}:{number}", problems)
        problems.stop_if_any()
        raise


def _decode_line(line: bytes, where: str, problems: Problems) -> str | None:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        shown = line.decode("latin-1")[max(0, error.start - 40) : error.start + 40]
        problems.add("data.not_utf8", where, column=error.start + 1, byte=f"{line[error.start]:02X}", excerpt=shown)
        return None


def _container(file: Path, data: bytes) -> Container:
    if file.suffix.lower() == ".csv":
        return "csv"
    start = data.lstrip()
    if start.startswith(b"["):
        return "json"
    first, _, rest = start.partition(b"\n")
    one_a_line = first.startswith(b"{") and (first.rstrip().endswith(b"}") or rest.lstrip().startswith(b"{"))
    return "jsonl" if one_a_line or file.suffix.lower() == ".jsonl" else "json"


def _lines(data: bytes, name: str, problems: Problems) -> Iterator[Row]:
    """Read JSONL. Lines end with a line feed and nothing else; empty ones hold no row."""
    strict = StrictJSON(problems)
    for number, line in enumerate(data.split(b"\n"), 1):
        where = f"{name}:{number}"
        text = _decode_line(line, where, problems)
        if text is None or not text.strip():
            continue
        before = problems.count
        value = strict.whole(text, name, number)
        if problems.count == before and _is_object(value, where, problems):
            yield Row(number, value)


def _array(data: bytes, name: str, problems: Problems) -> Iterator[Row]:
    """Read a JSON array element by element, so that each has its line."""
    text = _text(data, name)
    strict = StrictJSON(problems)
    position = _skip(text, 0)
    if text[position] != "[":
        value = strict.whole(text, name)
        if not problems:
            problems.add("data.not_an_array", name, kind=_kind(value), has=columns_of(value))
        return
    position, line, counted = _skip(text, position + 1), 1, 0
    number = 0
    try:
        while text[position : position + 1] != "]" or number:
            number += 1
            line, counted = line + text.count("\n", counted, position), position
            where = f"{name}:{line} (#{number})"
            value, position = strict.value(text, position, where)
            if _is_object(value, where, problems):
                yield Row(number, value, line)
            position = _skip(text, position)
            if text[position : position + 1] == "]":
                break
            if text[position : position + 1] != ",":
                raise json.JSONDecodeError("Expecting ',' or ']'", text, position)
            position = _skip(text, position + 1)
        rest = _skip(text, position + 1)
        if rest < len(text):
            raise json.JSONDecodeError("Extra data behind the array", text, rest)
    except (ValueError, RecursionError) as error:
        report_syntax(problems, error, name, text, position)


def _table(data: bytes, name: str, problems: Problems) -> Iterator[Row]:
    """Read CSV with a header. A row's number is the line it begins in; cells may hold line breaks."""
    text = _text(data, name)
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    header_line = text.lstrip("\r\n").split("\n", 1)[0]
    delimiter = next((each for each in ",;\t" if each in header_line), ",")  # a German Excel writes semicolons
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] = []
    line = 1
    try:
        for cells in reader:
            number, line = line, reader.line_num + 1
            where = f"{name}:{number}"
            if not cells:
                continue
            if not header:
                header = _header(cells, where, problems)
            elif len(cells) != len(header):
                values = {"cells": len(cells), "columns": len(header), "excerpt": excerpt(delimiter.join(cells), 0)}
                problems.add("data.csv_cells", where, **values)
            else:
                yield Row(number, dict(zip(header, cells, strict=True)))
    except csv.Error as error:
        problems.add("data.csv", f"{name}:{line}", reason=str(error))


def _header(cells: list[str], where: str, problems: Problems) -> list[str]:
    names = [cell.strip() for cell in cells]
    if not all(names):
        problems.add("data.csv_no_name", where, position=names.index("") + 1, has=", ".join(filter(None, names)))
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        problems.add("data.csv_name_twice", where, columns=", ".join(twice))
    return names


def _is_object(value: Any, where: str, problems: Problems) -> bool:
    if not isinstance(value, dict):
        problems.add("data.not_an_object", where, kind=_kind(value))
    return isinstance(value, dict)


def columns_of(value: Any) -> str:
    """Return the keys of a row for a message, at most 80 characters."""
    names = ", ".join(value) if isinstance(value, dict) and value else "-"
    return names if len(names) <= EXCERPT else names[: EXCERPT - 1] + "…"


def _kind(value: Any) -> str:
    kinds = {dict: "object", list: "array", str: "string", bool: "boolean", int: "number", float: "number"}
    return kinds.get(type(value), "null")


def _skip(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t\r\n":
        position += 1
    return position
