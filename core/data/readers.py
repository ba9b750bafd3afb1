"""Files to rows, with the place of each row and nothing skipped silently.

Files are read as bytes, because the usual readers lose what a person needs to mend a file: `datasets` fills missing
columns with nothing and reports a bad line without its number, and `str.splitlines` breaks valid JSONL at U+2028. What a
file holds is told from its content: a `.json` file may be an array or one object a line, and `container` says which.
Rows are streamed: a file may be larger than the memory. How each kind is read stands in `core.data.containers`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.data.containers.folder import files_of, folder_sources, zip_sources
from core.data.containers.lines import lines
from core.data.containers.row import MEGABYTE, ROW_LIMIT, Broken, Row, Wanted
from core.data.containers.sniff import PLAIN, SUFFIXES, Container, sniff
from core.data.containers.source import Source
from core.data.containers.table import table
from core.data.containers.texts import text_file
from core.data.problems import Problems
from core.data.strict_json import StrictJSON, columns_of, kind_of_json, text_of
from core.errors import DataError, problem
from core.progress import Progress, silent

__all__ = [
    "PLAIN",
    "SUFFIXES",
    "Container",
    "Row",
    "columns_of",
    "container",
    "files_of",
    "iter_rows",
    "read_object",
    "read_rows",
    "sample_rows",
]


def iter_rows(path: Path, problems: Problems, progress: Progress = silent) -> Iterator[Row]:
    """Yield the rows of a file or folder as they are read. Broken rows go to `problems`, and reading goes on.

    `progress` counts the bytes of the file on the disk and may raise `Cancelled`.

    Raises:
        DataError: if nothing can be read: no such file, a kind that is not supported, a bomb.
    """
    if path.is_dir():
        for each in folder_sources(path, progress):
            yield from _member(each, problems)
    else:
        yield from _rows(Source.of(path, progress=progress), problems)


def read_rows(file: Path) -> list[Row]:
    """Read a whole file; for files that fit into memory.

    Raises:
        DataError: with every problem found, each with file:line; 20 are listed, the rest counted.
    """
    problems = Problems(file.name)
    rows = list(iter_rows(file, problems))
    problems.stop_if_any()
    if not rows:
        raise DataError(problem("data.no_rows", file.name))
    return rows


def sample_rows(path: Path, first: int = 200, others: int = 200) -> list[Row]:
    """Return the first rows and others spread evenly over the rest, in their order. Only these are decoded.

    Rows that are broken are left out.

    Raises:
        DataError: if nothing can be read; with what is wrong, if every row that was looked at is broken.
    """
    problems = Problems(path.name)
    if path.is_dir():
        rows = list(_samples(list(folder_sources(path)), problems, first, others))
    else:
        rows = list(_sample(Source.of(path), problems, first, others))
    if not rows:
        problems.stop_if_any()
        raise DataError(problem("data.no_rows", path.name))
    return rows


def container(path: Path) -> Container:
    """Return what a path holds, whatever its name says: a JSON array, one JSON object a line, a table, a folder …

    Raises:
        DataError: if it is of no kind that can be read.
    """
    if path.is_dir():
        return "folder"
    source = Source.of(path)
    found = sniff(source)
    return "gzip" if source.packed else found


def read_object(file: Path) -> dict[str, Any]:
    """Read one JSON object that fills the file, such as a registry.

    Raises:
        DataError: with line, column and an excerpt.
    """
    problems = Problems(file.name)
    value = _whole(Source.of(file), problems)
    if not problems and not isinstance(value, dict):
        problems.add("data.not_an_object", file.name, kind=kind_of_json(value))
    problems.stop_if_any()
    return value


def _rows(source: Source, problems: Problems, wanted: Wanted | None = None) -> Iterator[Row]:
    """Yield the rows of one source.

    Raises:
        DataError: if the source as a whole cannot be read.
    """
    kind = sniff(source)
    if source.suffix == ".json" or kind == "json":
        return _json(source, kind, problems, wanted)
    if kind == "jsonl":
        return lines(source, problems, wanted)
    if kind in ("csv", "tsv"):
        return table(source, problems, wanted)
    if kind == "text":
        return text_file(source, problems)
    if kind == "zip":
        return _archive(source, problems)
    from core.data.containers.columnar import columnar  # loads pyarrow

    return columnar(source, problems, wanted)


def _json(source: Source, kind: Container, problems: Problems, wanted: Wanted | None) -> Iterator[Row]:
    """Yield the rows of an array, of an object that wraps one, or of one object a line; `.json` files are any of these."""
    from core.data.containers.array import array  # loads numpy, which the first page does not need
    from core.data.containers.wrapped import wrapped

    if source.head().lstrip().startswith(b"["):
        return array(source, problems, wanted)
    if inside := wrapped(source):
        return array(source, problems, wanted, inside.start, inside.key)
    return lines(source, problems, wanted) if kind == "jsonl" else _no_array(source, problems)


def _member(source: Source, problems: Problems) -> Iterator[Row]:
    """Yield the rows of one file of many; one that cannot be read is reported, and the others go on."""
    try:
        yield from _rows(source, problems)
    except DataError as error:
        if error.problems[0].code == "data.bomb":
            raise
        problems.add_all(error.problems)


def _archive(source: Source, problems: Problems) -> Iterator[Row]:
    with zip_sources(source) as members:
        for each in members:
            if each.suffix == ".zip":
                problems.add("data.zip_in_zip", each.name)
            else:
                yield from _member(each, problems)


def _sample(source: Source, problems: Problems, first: int, others: int) -> Iterator[Row]:
    """Yield the first rows of one source and others spread over it; of an archive the same of each member."""
    kind = sniff(source)
    if kind == "zip":
        with zip_sources(source) as members:
            yield from _samples([each for each in members if each.suffix != ".zip"], problems, first, others)
        return
    if kind in ("parquet", "arrow"):
        from core.data.containers.columnar import count

        length = count(source)
    else:
        length = source.length()
    yield from _rows(source, problems, Spread(first, others, length))


def _samples(sources: list[Source], problems: Problems, first: int, others: int) -> Iterator[Row]:
    """Yield a sample of many sources: of each its share, at least one row; of very many sources of some."""
    step = max(1, len(sources) // max(first + others, 1))
    total = max(sum(each.size for each in sources), 1)
    for each in sources[::step]:
        share = each.size / total
        try:
            yield from _sample(each, problems, max(1, round(first * share)), round(others * share))
        except DataError as error:
            problems.add_all(error.problems)


class Spread:
    """Says which rows belong to a sample: the first ones, and then those behind evenly spaced places."""

    def __init__(self, first: int, others: int, length: int) -> None:
        self._first, self._others, self._length = first, others, length
        self._next = self._step = 0.0

    def __call__(self, at: int) -> bool:
        if self._first > 0:
            self._first -= 1
            self._step = max((self._length - at) / (self._others + 1), 1.0)
            self._next = at + self._step
            return True
        if at < self._next or self._others <= 0:
            return False
        self._others -= 1
        self._next = max(self._next + self._step, at + 1)
        return True


def _no_array(source: Source, problems: Problems) -> Iterator[Row]:
    """Report what a JSON file holds instead of an array."""
    before = problems.count
    value = _whole(source, problems)
    if problems.count == before:
        problems.add("data.not_an_array", source.name, kind=kind_of_json(value), has=columns_of(value))
    return iter(())


def _whole(source: Source, problems: Problems) -> Any:
    """Decode a source that is one JSON value, or report why it cannot be read and return None."""
    pieces: list[bytes] = []
    size = 0
    try:
        for chunk in source.chunks():
            size += len(chunk)
            if size > ROW_LIMIT:
                values = {"size": max(source.size, size) // MEGABYTE, "limit": ROW_LIMIT // MEGABYTE}
                problems.add("data.row_too_long", f"{source.name}:1", **values)
                return None
            pieces.append(chunk)
    except Broken as error:
        lines_read = sum(each.count(b"\n") for each in pieces)
        problems.add(error.code, f"{source.name}:{lines_read + 1}", **error.values)
        return None
    text = text_of(b"".join(pieces), source.name, 1, problems)
    return None if text is None else StrictJSON(problems).whole(text, source.name)
