"""Where each row of a file lies, so that any page of a million rows is shown at once.

The index is built in one pass over the rows and kept beside other things that can be made again. It belongs to one state of
the file: its size and time of change stand in it, and another state gets another index.
"""

import codecs
import csv
import hashlib
import io
import json
import uuid
from array import array
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from core.data.containers.row import Broken, Row
from core.data.containers.sniff import PLAIN, sniff
from core.data.containers.source import Source, encoding_of
from core.data.containers.table import header_of
from core.data.problems import Problems
from core.data.readers import iter_rows
from core.data.strict_json import sure_object
from core.errors import DataError, problem
from core.progress import Progress, silent

if TYPE_CHECKING:
    import numpy as np  # else loaded when it is needed, which the first page and most commands do not

_VERSION = 1
_COPIED = -1  # stands where the bytes before the text are counted, if the rows lie in a copy in UTF-8


class RowIndex:
    """The places of the usable rows of a JSON, JSONL, CSV or TSV file, in the order in which they are read.

    Broken rows have no place in it: row `n` of the index is the n-th row that `iter_rows` yields, counted from 0.
    """

    def __init__(self, file: Path, text: Path, table: "np.ndarray") -> None:
        self._file, self._text = file, text
        self._state = (int(table[0, 1]), int(table[0, 2]))
        self._skipped = max(int(table[0, 3]), 0)
        self._places = table[1:]  # (rows, 4): number, line, first byte, bytes

    @classmethod
    def of(cls, file: Path, cache: Path, progress: Progress = silent) -> "RowIndex":
        """Return the index of a file, from the folder `cache` if it is there and the file has not changed since.

        Raises:
            DataError: if the file cannot be read at all, or is of a kind whose rows have no place of their own.
        """
        if (found := _load(file, cache)) is None:
            for _ in recorded(iter_rows(file, Problems(file.name), progress), file, cache):
                pass
            found = _load(file, cache)
        if found is None:
            raise DataError(problem("data.file_changed", file.name))
        return found

    def __len__(self) -> int:
        return len(self._places)

    def rows(self, start: int, count: int) -> list[Row]:
        """Return up to `count` rows from the `start`-th on (from 0), decoded from their own bytes alone.

        Raises:
            DataError: `data.file_changed`, if the file is no longer the one that was indexed.
        """
        places = self._places[max(start, 0) : max(start, 0) + max(count, 0)].tolist()
        if not places:
            return []
        if _state(self._file) != self._state:
            raise DataError(problem("data.file_changed", self._file.name))
        source = Source.of(self._text)
        kind = sniff(source)
        delimiter, header = header_of(source) if kind in ("csv", "tsv") else ("", [])
        found = []
        with self._text.open("rb") as stream:
            for number, line, at, size in places:
                data = _read(stream, at + self._skipped, size)
                values = _cells(data, delimiter, header) if header else sure_object(data) or json.loads(data)
                found.append(Row(number, values, line, "", at, size))
        return found


def recorded(rows: Iterable[Row], file: Path, cache: Path) -> Iterator[Row]:
    """Pass on the rows of a file that are read anyway, and keep their index once the last was read.

    Raises:
        DataError: `data.suffix`, before the first row, for a kind whose rows have no place of their own.
    """
    if file.suffix.lower() not in PLAIN:
        raise DataError(problem("data.suffix", file.name, suffix=file.suffix or "-", supported=", ".join(PLAIN)))
    size, changed = _state(file)
    numbers = array("q", (_VERSION, size, changed, _prepare(file, cache)))
    for row in rows:
        numbers.extend((row.number, row.line, row.at, row.size))
        yield row
    if _state(file) == (size, changed):
        import numpy as np

        aside = _place(file, cache).with_suffix(f".{uuid.uuid4().hex}")
        with aside.open("wb") as stream:
            np.save(stream, np.frombuffer(numbers, np.int64).reshape(-1, 4))
        aside.replace(_place(file, cache))


def _load(file: Path, cache: Path) -> RowIndex | None:
    import numpy as np

    state = _state(file)
    try:
        table = np.load(_place(file, cache), mmap_mode="r")
    except (OSError, ValueError, EOFError):  # not there, or cut off: it is made again
        return None
    if table.ndim != 2 or table.shape[1] != 4 or tuple(table[0, :3].tolist()) != (_VERSION, *state):
        return None
    text = _copy(file, cache) if table[0, 3] == _COPIED else file
    return RowIndex(file, text, table) if text.exists() else None


def _prepare(file: Path, cache: Path) -> int:
    """Return how many bytes stand before the text; a file that is not in UTF-8 is copied in UTF-8 first."""
    cache.mkdir(parents=True, exist_ok=True)
    with file.open("rb") as stream:
        encoding = encoding_of(stream.read(16))
    if encoding is None:
        return 0
    if encoding == "utf-8-sig":
        return len(codecs.BOM_UTF8)
    aside = _copy(file, cache).with_suffix(f".{uuid.uuid4().hex}")
    with aside.open("wb") as stream, suppress(Broken):  # where it is damaged, the rows end too, and reading reports it
        for chunk in Source.of(file).chunks():
            stream.write(chunk)
    aside.replace(_copy(file, cache))
    return _COPIED


def _place(file: Path, cache: Path) -> Path:
    return cache / f"{hashlib.sha1(str(file.resolve()).encode()).hexdigest()}.npy"


def _copy(file: Path, cache: Path) -> Path:
    return _place(file, cache).with_suffix(file.suffix.lower())


def _state(file: Path) -> tuple[int, int]:
    try:
        status = file.stat()
    except OSError as error:
        raise DataError(problem("data.unreadable", file.name, reason=error.strerror or str(error))) from error
    return status.st_size, status.st_mtime_ns


def _read(stream: BinaryIO, at: int, size: int) -> bytes:
    stream.seek(at)
    return stream.read(size)


def _cells(data: bytes, delimiter: str, header: list[str]) -> dict[str, Any]:
    reader = csv.reader(io.StringIO(data.decode(), newline=""), delimiter=delimiter, strict=True)
    return dict(zip(header, next(reader), strict=True))
