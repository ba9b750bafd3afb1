"""Parquet and Arrow: rows in batches, with values that JSON can hold.

Dates become ISO texts and decimals their digits; NaN, which is how pandas writes "no value" into these files, becomes null.
"""

import math
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from core.data.containers.row import CHUNK, MEGABYTE, ROW_LIMIT, Row, Wanted
from core.data.containers.source import DAMAGED, Source
from core.data.problems import Problems
from core.data.strict_json import columns_of
from core.errors import DataError, problem

if TYPE_CHECKING:
    import pyarrow

_BATCH = 256  # rows that become Python objects at once; chosen by us: 256 of the longest useful rows are 256 MB


def columnar(source: Source, problems: Problems, wanted: Wanted | None = None) -> Iterator[Row]:
    """Yield the rows of a Parquet or Arrow source. `wanted` is asked with the number of the row, from 0.

    Raises:
        DataError: `data.columnar`, if the file is damaged or of a kind that cannot be read.
    """
    import pyarrow

    try:
        yield from _rows(source, problems, wanted)
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError, *DAMAGED) as error:
        raise DataError(problem("data.columnar", source.name, reason=_short(str(error)))) from error


def count(source: Source) -> int:
    """Return how many rows a Parquet or Arrow source has, from its description where it has one."""
    import pyarrow
    from pyarrow.parquet import ParquetFile

    try:
        if source.suffix == ".parquet":
            with source.binary() as stream, ParquetFile(stream) as file:
                return file.metadata.num_rows
        return sum(len(batch) for batch, _ in _arrow(source))
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError, *DAMAGED) as error:
        raise DataError(problem("data.columnar", source.name, reason=_short(str(error)))) from error


def _rows(source: Source, problems: Problems, wanted: Wanted | None) -> Iterator[Row]:
    import pyarrow

    number = 0
    for batch, share in _parquet(source) if source.suffix == ".parquet" else _arrow(source):
        _check_names(batch.schema.names, source.name)
        for start in range(0, len(batch), _BATCH):
            part = batch.slice(start, _BATCH)
            places = [each for each in range(len(part)) if wanted is None or wanted(number + each)]
            if len(places) < len(part):
                part = part.take(pyarrow.array(places, pyarrow.int64()))
            numbers = [number + each + 1 for each in places]
            yield from _part(part, numbers, source, problems)
            number += min(_BATCH, len(batch) - start)
        source.progress(source.done + int(source.size * share), source.total)
    source.progress(source.done + source.size, source.total)


def _part(part: "pyarrow.RecordBatch", numbers: list[int], source: Source, problems: Problems) -> Iterator[Row]:
    try:
        found = part.to_pylist()
    except (ValueError, OverflowError):  # a text that is not UTF-8, a date before the year 1
        found = [_single(part.slice(place, 1)) for place in range(len(part))]
    for number, values in zip(numbers, found, strict=True):
        row = {}
        for column, value in values.items():
            try:
                row[column] = _value(value)
            except _Odd as odd:
                problems.add(odd.code, f"{source.name}:{number}", column=column, **odd.values)
                break
        else:
            yield Row(number, row, 0, source.file)


def _single(row: "pyarrow.RecordBatch") -> dict[str, Any]:
    """Return the values of one row; one that cannot be had is the error that says so."""
    values: dict[str, Any] = {}
    for name, column in zip(row.schema.names, row.columns, strict=True):
        try:
            values[name] = column[0].as_py()
        except (ValueError, OverflowError) as error:
            values[name] = error
    return values


def _parquet(source: Source) -> Iterator[tuple["pyarrow.RecordBatch", float]]:
    """Yield batches, each with the share of the rows that are then read."""
    from pyarrow.parquet import ParquetFile

    options = {"pre_buffer": False, "buffer_size": CHUNK}  # else whole row groups are held
    with source.binary() as stream, ParquetFile(source.path or stream, **options) as file:
        total, done = max(file.metadata.num_rows, 1), 0
        for batch in file.iter_batches(batch_size=_BATCH, use_threads=False):
            done += len(batch)
            yield batch, done / total


def _arrow(source: Source) -> Iterator[tuple["pyarrow.RecordBatch", float]]:
    """Yield the batches of an IPC file, or of an IPC stream such as `datasets` saves."""
    import pyarrow
    from pyarrow import ipc

    with source.binary() as stream:
        is_file = stream.read(6) == b"ARROW1"
        stream.seek(0)
        if is_file:  # may be one batch as long as the file, so that its memory is the file's own
            with ipc.open_file(pyarrow.memory_map(str(source.path)) if source.path else stream) as file:
                for number in range(file.num_record_batches):
                    batch = file.get_batch(number)
                    batch.validate(full=True)  # a damaged file would have us read outside of its memory
                    yield batch, (number + 1) / file.num_record_batches
        else:
            with ipc.open_stream(stream) as batches:
                for batch in batches:
                    batch.validate(full=True)
                    yield batch, 0.0 if source.packed else min(1.0, stream.tell() / max(source.size, 1))


class _Odd(Exception):
    def __init__(self, code: str, **values: Any) -> None:
        self.code, self.values = code, values
        super().__init__(code)


def _value(value: Any) -> Any:
    """Return what JSON can hold of a value.

    Raises:
        _Odd: for infinity, for bytes that are no text, for a text over 32 MB, and for what could not be read.
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        if len(value) > ROW_LIMIT:
            raise _Odd("data.cell_too_long", size=len(value) // MEGABYTE, limit=ROW_LIMIT // MEGABYTE)
        return value
    if isinstance(value, float):
        if math.isinf(value):
            raise _Odd("data.infinite")
        return None if math.isnan(value) else value
    if isinstance(value, dict):
        return {str(key): _value(each) for key, each in value.items()}
    if isinstance(value, list):
        if value and isinstance(value[0], tuple):  # a map column
            return {str(key): _value(each) for key, each in value}
        return [_value(each) for each in value]
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise _Odd("data.binary") from error
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta | Decimal):
        return str(value)
    if isinstance(value, ValueError | OverflowError):
        raise _Odd("data.cell", reason=str(value))
    return str(value)


def _check_names(names: list[str], name: str) -> None:
    twice = sorted(each for each, times in Counter(names).items() if times > 1)
    if twice:
        raise DataError(problem("data.csv_name_twice", f"{name}:1", columns=columns_of(dict.fromkeys(twice))))


def _short(text: str) -> str:
    return text.split("\n", 1)[0][:200].rstrip(".")
