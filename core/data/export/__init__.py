"""Records to files in other formats, whole or not at all: what a format cannot carry is told before a file appears.

Every format carries who says what; what else a record has and a format has no place for is in its `leaves_out`. The files
are written aside and renamed when they are complete. Nothing that is there already is replaced.
"""

import os
import shutil
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.data import canonical
from core.data.export import closed_book, factory, rows, writers
from core.data.export.rows import CannotCarry
from core.errors import DataError, problem
from core.progress import Progress, silent
from core.records import Kind, Record, kind_of

__all__ = ["FORMATS", "Format", "export"]
_TOLD_EVERY = 1000  # rows between two calls of a progress listener
_SIDE = ("docs", "label", "task", "meta")


@dataclass(frozen=True)
class Format:
    """`kinds` are the records that it can hold, `leaves_out` what it has no place for beside the messages themselves."""

    suffix: str
    kinds: tuple[Kind, ...]
    row: Callable[[Record], dict[str, Any]]
    write: Callable[[Iterable[dict[str, Any]], Path], None]
    leaves_out: tuple[str, ...] = _SIDE


_ALL: tuple[Kind, ...] = ("chat", "preference", "unpaired", "text", "prompt", "tokenised")
FORMATS = {
    "canonical": Format(".jsonl", _ALL, canonical.to_dict, writers.jsonl, ()),
    "messages": Format(".jsonl", ("chat",), rows.messages, writers.jsonl),
    "alpaca": Format(".json", ("chat",), rows.alpaca, writers.json_array),
    "format2": Format(".json", ("chat",), rows.alpaca, writers.json_array),
    "format3": Format(".json", ("chat",), rows.with_task_sentence, writers.json_array),
    "sharegpt": Format(".json", ("chat",), rows.sharegpt, writers.json_array, (*_SIDE, "ids and names of tools")),
    "prompt_completion": Format(".jsonl", ("chat",), rows.prompt_completion, writers.jsonl),
    "preference": Format(".jsonl", ("preference",), rows.preference, writers.jsonl, ("task", "meta")),
    "kto": Format(".jsonl", ("unpaired",), rows.unpaired, writers.jsonl, ("task", "meta")),
    "text": Format(".jsonl", ("text",), rows.running_text, writers.jsonl, ("task", "meta")),
    "csv": Format(".csv", ("chat",), rows.table, writers.csv_table),
    "parquet": Format(".parquet", ("chat",), rows.messages, writers.parquet),
    "llama_factory": Format("", ("chat", "preference", "unpaired", "text"), rows.factory, writers.jsonl,
                            (*_SIDE, "ids and names of tools")),
}  # fmt: skip


def export(
    records: Iterable[Record],
    format: str,
    target: Path,
    progress: Progress = silent,
    *,
    task_sentence: str | None = None,
) -> list[Path]:
    """Write records to `target` (a folder for `llama_factory`), and return the files that were written.

    `target` gets the format's ending if it has another one. `format2` and `format3` are closed-book: passages are taken
    off the questions, and the task sentence, which is `task_sentence` or what all questions begin with, is taken off too or
    written as the instruction. `progress` counts rows; the total is not known.

    Raises:
        DataError: if there is no such format, a row cannot be carried by it (all are counted), there are no rows, or
            something stands at `target` already. Nothing is written then.
    """
    if format not in FORMATS:
        raise DataError(problem("data.unknown_export", format, known=", ".join(FORMATS)))
    chosen = FORMATS[format]
    target = target if target.suffix == chosen.suffix else target.with_name(target.name + chosen.suffix)
    if target.exists():
        raise DataError(problem("data.export_exists", str(target)))
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    aside.mkdir()
    try:
        told = Told(format, chosen)
        records = _counted(records, progress)
        if format in ("format2", "format3"):
            records = closed_book.questions(records, format, aside / "questions", task_sentence)
        if format == "llama_factory":
            factory.write(told.rows_with_kind(records), aside / "whole", target.name)
        else:
            chosen.write(told.rows(records), aside / "whole")
        told.stop_if_any(target.name)
        writers.flush(aside / "whole")
        os.replace(aside / "whole", target)
    finally:
        shutil.rmtree(aside)
    return sorted(file for file in target.rglob("*") if file.is_file()) if target.is_dir() else [target]


class Told:
    """Makes rows and keeps count of the records that the format cannot carry, with the first place of each reason."""

    def __init__(self, name: str, format: Format) -> None:
        self._name, self._format = name, format
        self._count: Counter[str] = Counter()
        self._first: dict[str, str] = {}
        self._rows = 0

    def rows(self, records: Iterable[Record]) -> Iterator[dict[str, Any]]:
        return (row for _, row in self.rows_with_kind(records))

    def rows_with_kind(self, records: Iterable[Record]) -> Iterator[tuple[Kind, dict[str, Any]]]:
        for record in records:
            kind = kind_of(record)
            self._rows += 1
            try:
                if kind not in self._format.kinds:
                    raise CannotCarry("kind")
                yield kind, self._format.row(record)
            except CannotCarry as error:
                self._count[error.what] += 1
                self._first.setdefault(error.what, record.where)

    def stop_if_any(self, name: str) -> None:
        """Raise for the records that could not be carried, or if there were none at all."""
        if self._count:
            values = [(what, self._first[what], count) for what, count in self._count.most_common()]
            raise DataError(
                *(problem(f"data.lacks_{what}", where, rows=count, format=self._name) for what, where, count in values)
            )
        if not self._rows:
            raise DataError(problem("data.no_rows", name))


def _counted(records: Iterable[Record], progress: Progress) -> Iterator[Record]:
    for count, record in enumerate(records, 1):
        if count % _TOLD_EVERY == 0:
            progress(count, 0)
        yield record
