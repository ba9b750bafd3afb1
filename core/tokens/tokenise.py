"""A data set as token ids: from the disk where it was tokenised before, else made now and kept.

One process reads the rows; where there is much to do, others render and encode them (see `processes`).
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np

from core.data.entry import DatasetEntry
from core.data.formats import RowError, converter, named_columns, spread
from core.data.problems import Problems
from core.data.readers import Row, iter_rows
from core.errors import DataError, problem
from core.progress import Progress, silent
from core.records import Conversation, Preference, Record, Text, UnpairedPreference, kind_of
from core.tokens import keeping
from core.tokens.encoder import KINDS, NO_RECORD, Block, Encoder
from core.tokens.key import key_of, state
from core.tokens.processes import Processes
from core.tokens.store import TokenSet, Writer, opened
from core.tokens.wire import packed
from core.workspace import require_space

_BLOCK_ROWS, _BLOCK_SIGNS = 256, 200_000  # rows, or characters of their texts, that are encoded together
_ALONE_SECONDS = (
    1.0  # that this process encodes by itself before others are started, which takes them about half a second
)
_MOST_PROCESSES = 32  # measured: one process reads and packs 100,000 rows/s of 120 words, of which each encodes 2,200
_SPACE = 3  # bytes on the disk for a byte of the file: a token takes 5, and has two letters or more


def tokenised(
    cache: Path, entry: DatasetEntry, folder: Path, system_prompt: str | None, progress: Progress = silent,
    *, processes: int | None = None,
) -> TokenSet:  # fmt: skip
    """Return the rows of a set as token ids, tokenised with the tokenizer and template in `folder`.

    Rows that cannot be rendered, or are not to be trained on, are in it and say so. Running text has the tokens of its whole
    length.

    Args:
        cache: the workspace's; the set is kept below it.
        progress: told bytes of the file, only where there is something to do.
        processes: how many to encode with besides this one; None takes as many as there are cores, once it takes long.

    Raises:
        DataError: if nothing of the file can be read, or it is changed meanwhile.
        ModelError: if the tokenizer cannot be used.
        Cancelled: from `progress`; nothing is left behind.
    """
    target = cache / "tokens" / key_of(entry, folder, system_prompt)
    if found := opened(target):
        keeping.used(target)
        return found
    size = sum(bytes for _, bytes, _ in state(entry.file))
    with keeping.alone(target, progress, size) as aside:
        if found := opened(target):  # somebody else made it while we waited
            return found
        if target.exists():
            keeping.remove(target)  # damaged
        require_space(aside, _SPACE * size, entry.name)
        _make(aside, entry, Encoder(folder, system_prompt), (folder, system_prompt), progress, processes)
        aside.rename(target)
    keeping.clear(target.parent, target)
    made = opened(target)
    if made is None:
        raise DataError(problem("tokens.not_kept", entry.name, folder=str(target.parent)))
    return made


@dataclass
class _Batch:
    """Rows that are encoded together, with what is known of them before that."""

    records: list[Record | None] = field(default_factory=list)
    places: list[tuple[int, int]] = field(default_factory=list)  # number, line
    tasks: list[int] = field(default_factory=list)
    kinds: list[int] = field(default_factory=list)
    refused: list[bool] = field(default_factory=list)
    signs: int = 0
    read: int = 0  # bytes of the file that were read when the last of them came

    def completed(self, block: Block) -> Block:
        """Fill in what the encoder does not know."""
        places = np.array(self.places, np.int64).reshape(-1, 2)
        block.rows["number"], block.rows["line"] = places[:, 0], places[:, 1]
        block.rows["task"], block.rows["kind"], block.rows["refused"] = self.tasks, self.kinds, self.refused
        return block


def _make(
    aside: Path, entry: DatasetEntry, encoder: Encoder, asked: tuple[Path, str | None], progress: Progress,
    processes: int | None,
) -> None:  # fmt: skip
    before = state(entry.file)
    size = sum(bytes for _, bytes, _ in before)
    reader = _Reader(entry)
    writer = Writer(aside)
    try:
        for batch, block in _encoded(reader, encoder, asked, size, processes):
            writer.add(batch.completed(block))
            progress(min(batch.read, size), size)
        if state(entry.file) != before:
            raise DataError(problem("data.file_changed", entry.file.name))
        writer.finish([*reader.tasks], readable=reader.readable, own_control=encoder.has_own_control_tokens)
    finally:
        writer.close()


class _Reader:
    """Reads the rows of a set in batches. Rows that a training refuses are among them, as far as they are rows."""

    def __init__(self, entry: DatasetEntry) -> None:
        self.tasks: dict[str, int] = {}
        self.readable = True
        self._entry = entry
        self._read = 0

    def batches(self) -> Iterator[_Batch]:
        problems = Problems(self._entry.file.name)
        rows = spread(iter_rows(self._entry.file, problems, self._note), self._entry.reading)
        strict, lenient = (converter(self._entry.reading, self._entry.file.name, strict=yes) for yes in (True, False))
        missing = named_columns(self._entry.reading)
        batch, any_rows = _Batch(), False
        for row in rows:
            any_rows = True
            missing = [name for name in missing if name not in row.values]
            self._take(batch, row, strict, lenient)
            if len(batch.places) >= _BLOCK_ROWS or batch.signs >= _BLOCK_SIGNS:
                batch.read = self._read
                yield batch
                batch = _Batch()
        self.readable = not problems and not (missing and any_rows)
        if batch.places:
            batch.read = self._read
            yield batch

    def _take(self, batch: _Batch, row: Row, strict: Callable[[Row], Record], lenient: Callable[[Row], Record]) -> None:
        record, refused = None, True
        try:
            record, refused = strict(row), False
        except RowError:
            with suppress(RowError):
                record = lenient(row)
        has_tokens = isinstance(record, Conversation | Text | Preference | UnpairedPreference)
        batch.records.append(record if has_tokens else None)
        batch.places.append((row.number, row.line))
        batch.kinds.append(NO_RECORD if record is None else KINDS.index(kind_of(record)))
        batch.tasks.append(self.tasks.setdefault(record.task if record else "", len(self.tasks)))
        batch.refused.append(refused)
        batch.signs += row.size or 800  # a row without a place of its own, as in Parquet, is taken for an ordinary one

    def _note(self, done: int, total: int) -> None:
        self._read = done


def _encoded(
    reader: _Reader, encoder: Encoder, asked: tuple[Path, str | None], size: int, processes: int | None
) -> Iterator[tuple[_Batch, Block]]:
    """Yield the batches with their arrays: encoded here, and by processes from the moment on that it pays."""
    batches = reader.batches()
    began = time.monotonic()
    for batch in batches if processes is None else ():
        yield batch, encoder.block(batch.records)
        spent = time.monotonic() - began
        if spent > _ALONE_SECONDS and spent * (size - batch.read) / max(batch.read, 1) > _ALONE_SECONDS:
            break
    count = _cores() if processes is None else processes
    if not count:
        yield from ((batch, encoder.block(batch.records)) for batch in batches)
        return
    first = next(batches, None)
    if first is None:
        return
    with Processes(count, *asked) as started:
        yield from started.encode(_packets(chain([first], batches)))


def _packets(batches: Iterable[_Batch]) -> Iterator[tuple[_Batch, bytes]]:
    for batch in batches:
        data = packed(batch.records)
        batch.records = []
        yield batch, data


def _cores() -> int:
    """Return how many processes to start: one a core, none where there is only one."""
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(found, _MOST_PROCESSES) if found > 1 else 0
