"""Rows to a file: JSON, JSONL, CSV or Parquet, written as a stream."""

import csv
import json
import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

TABLE = ("instruction", "input", "output", "system", "history", "tools", "keywords")
_BATCH = 5000  # rows that are held for one row group of a Parquet file; chosen by us: some ten megabytes


def jsonl(rows: Iterable[dict[str, Any]], target: Path) -> None:
    with target.open("wb") as out:
        for row in rows:
            out.write(orjson.dumps(row) + b"\n")


def json_array(rows: Iterable[dict[str, Any]], target: Path) -> None:
    """Write one JSON array with a row a line."""
    with target.open("wb") as out:
        before = b"[\n"
        for row in rows:
            out.write(before + orjson.dumps(row))
            before = b",\n"
        out.write(b"\n]\n" if before == b",\n" else b"[]\n")


def csv_table(rows: Iterable[dict[str, Any]], target: Path) -> None:
    """Write alpaca's columns; every cell is quoted, so that line breaks and spaces stay as they are."""
    with target.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, TABLE, restval="", quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def parquet(rows: Iterable[dict[str, Any]], target: Path) -> None:
    """Write messages with the tools as JSON text, in groups of rows."""
    import pyarrow
    import pyarrow.parquet

    text = pyarrow.string()
    function = pyarrow.struct([("name", text), ("arguments", text)])
    call = pyarrow.struct([("id", text), ("type", text), ("function", function)])
    message = pyarrow.struct(
        [
            ("role", text),
            ("content", text),
            ("tool_calls", pyarrow.list_(call)),
            ("name", text),
            ("weight", pyarrow.int8()),
        ]
    )
    schema = pyarrow.schema([("messages", pyarrow.list_(message)), ("tools", text), ("keywords", pyarrow.list_(text))])
    with pyarrow.parquet.ParquetWriter(target, schema) as out:
        for batch in _batches(rows):
            out.write_table(pyarrow.Table.from_pylist([_with_tools_as_text(row) for row in batch], schema))


def flush(target: Path) -> None:
    """Make sure that a file, or all files of a folder, are on the disk before they get their name."""
    for file in target.rglob("*") if target.is_dir() else (target,):
        if file.is_file():
            with file.open("rb") as stream:
                os.fsync(stream.fileno())


def _batches(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, _BATCH)):
        yield batch


def _with_tools_as_text(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "tools": json.dumps(row["tools"], ensure_ascii=False)} if "tools" in row else row
