"""Tokenised data on the disk: a folder of flat arrays, complete or absent, read in place.

KEY/
  input_ids.npy   int32, the tokens of all rows, one row after another
  learnt.npy      bool, which of them are learnt
  offsets.npy     int64, where each row begins, and the end
  rows.npy        `core.tokens.encoder.ROW`, a few facts about each row
  about.json      tasks, failures, and a checksum of each array, by which a damaged file is told
"""

import json
import os
import weakref
import zlib
from dataclasses import asdict, dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import IO, Any

import numpy as np

from core.errors import DataError, ModelError, Problem, StudioError
from core.render.tokenizer import IGNORE_INDEX, Example
from core.tokens.encoder import ROW, Block

ABOUT = "about.json"
FAILURES = 20  # that are kept with their words; of the others only the row is known
_ARRAYS: dict[str, np.dtype[Any]] = {
    "input_ids": np.dtype("<i4"), "learnt": np.dtype("?"), "offsets": np.dtype("<i8"), "rows": ROW,
}  # fmt: skip
_PIECE = 1 << 22  # bytes that are checked at once
_KINDS_OF_ERROR: dict[str, type[StudioError]] = {"ModelError": ModelError, "DataError": DataError}


@dataclass(frozen=True)
class About:
    """What is known of a tokenised set beside its arrays.

    `readable` tells that every row of the file could be read; `names` are the control tokens that stand in the texts, and
    `own_control` whether the tokenizer has some that are not of a known family.
    """

    tasks: list[str] = field(default_factory=list)
    readable: bool = True
    own_control: bool = False
    names: list[str] = field(default_factory=list)
    failures: list[tuple[int, str, dict[str, Any]]] = field(default_factory=list)  # row, kind of error, problem


class TokenSet:
    """A tokenised data set. Rows are those of the file in reading order, whatever part of a split they belong to."""

    def __init__(self, folder: Path, about: About) -> None:
        self.folder = folder
        self.about = about
        self.rows: np.ndarray = np.load(folder / "rows.npy", mmap_mode="r")  # of dtype ROW
        self.offsets: np.ndarray = np.load(folder / "offsets.npy", mmap_mode="r")
        self._ids, self._learnt = _Flat(folder / "input_ids.npy"), _Flat(folder / "learnt.npy")

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def lengths(self) -> np.ndarray:
        """The tokens of each row."""
        return np.diff(self.offsets).astype(np.int32)

    def example(self, start: int, length: int) -> Example:
        """Return `length` tokens from the `start`-th of the whole set on."""
        ids, learnt = self._ids.read(start, length), self._learnt.read(start, length)
        return Example(ids.tolist(), np.where(learnt, ids, IGNORE_INDEX).tolist())

    def row(self, number: int) -> Example:
        """Return all tokens of a row."""
        start, end = self.offsets[number : number + 2].tolist()
        return self.example(start, end - start)

    def place(self, row: int) -> str:
        """Return what stands after `file:` in a message about a row, as `core.data.containers.row.Row.place` has it."""
        number, line = int(self.rows["number"][row]), int(self.rows["line"][row])
        return f"{line} (#{number})" if line else str(number)

    def error(self, row: int) -> StudioError | None:
        """Return why a row could not be rendered, if that is among the failures whose words are kept."""
        found = next(((kind, values) for at, kind, values in self.about.failures if at == row), None)
        return _KINDS_OF_ERROR.get(found[0], DataError)(Problem(**found[1])) if found else None


class _Flat:
    """A one-dimensional array on the disk, read in pieces.

    What was read of a memory map counts as the memory of the process until the system wants it back: after a pass over the
    data that would be all of it. What is read from a file does not.
    """

    def __init__(self, file: Path) -> None:
        mapped: np.memmap = np.load(file, mmap_mode="r")
        self._dtype, self._begin = mapped.dtype, mapped.offset
        self._file = os.open(file, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)

    def read(self, start: int, count: int) -> np.ndarray:
        size = self._dtype.itemsize
        return np.frombuffer(os.pread(self._file, count * size, self._begin + start * size), self._dtype)


def opened(folder: Path) -> TokenSet | None:
    """Return the tokenised set in a folder, checked against its checksums; None if it is not there or damaged."""
    try:
        states = [(folder / name).stat() for name in (ABOUT, *(f"{name}.npy" for name in _ARRAYS))]
        return _opened(folder, tuple((each.st_size, each.st_mtime_ns, each.st_ino) for each in states))
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None


@lru_cache(maxsize=16)
def _opened(folder: Path, states: tuple[tuple[int, int, int], ...]) -> TokenSet:
    """Check and open a set, once for each state of its files."""
    values = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    checks = values.pop("checks")
    for name, dtype in _ARRAYS.items():
        array: np.memmap = np.load(folder / f"{name}.npy", mmap_mode="r")
        found = [len(array), _checksum(folder / f"{name}.npy", array.offset)]
        if array.dtype != dtype or array.ndim != 1 or found != checks[name]:
            raise ValueError(f"{name}: {found} is not {checks[name]}")
    return TokenSet(folder, About(**values))


def _checksum(file: Path, begin: int) -> int:
    check = 0
    with file.open("rb") as stream:
        stream.seek(begin)
        while piece := stream.read(_PIECE):
            check = zlib.crc32(piece, check)
    return check


class Writer:
    """Writes a tokenised set into a folder, a block at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._arrays = {name: _Growing(folder / f"{name}.npy", dtype) for name, dtype in _ARRAYS.items()}
        self._tokens = 0
        self._names: dict[str, None] = {}
        self._failures: list[tuple[int, str, dict[str, Any]]] = []
        self._arrays["offsets"].add(np.zeros(1, np.int64))

    def add(self, block: Block) -> None:
        """Append the rows of a block."""
        first = len(self._arrays["rows"])
        kept = block.failures[: max(0, FAILURES - len(self._failures))]
        self._failures += [(first + number, kind, problem.to_dict()) for number, kind, problem in kept]
        self._names |= dict.fromkeys(block.names)
        self._arrays["input_ids"].add(block.ids)
        self._arrays["learnt"].add(block.learnt)
        self._arrays["rows"].add(block.rows)
        self._arrays["offsets"].add(self._tokens + np.cumsum(block.lengths))
        self._tokens += len(block.ids)

    def finish(self, tasks: list[str], *, readable: bool, own_control: bool) -> None:
        """Complete the files; the one that says so is written last."""
        self.close()
        about = About(tasks, readable, own_control, [*self._names], self._failures)
        checks = {name: [len(array), array.check] for name, array in self._arrays.items()}
        text = json.dumps({**asdict(about), "checks": checks}, ensure_ascii=False)
        (self._folder / ABOUT).write_text(text, encoding="utf-8")

    def close(self) -> None:
        for array in self._arrays.values():
            array.close()


class _Growing:
    """A one-dimensional .npy file whose length is written when it is known; numpy leaves room for that in its header."""

    def __init__(self, file: Path, dtype: np.dtype[Any]) -> None:
        self._dtype = dtype
        self._stream: IO[bytes] = file.open("wb")
        self._count = self.check = 0
        self._header()

    def __len__(self) -> int:
        return self._count

    def add(self, values: np.ndarray) -> None:
        data = values.astype(self._dtype, copy=False).tobytes()
        self._stream.write(data)
        self._count += len(values)
        self.check = zlib.crc32(data, self.check)

    def close(self) -> None:
        if not self._stream.closed:
            self._stream.seek(0)
            self._header()
            self._stream.close()

    def _header(self) -> None:
        descr = np.lib.format.dtype_to_descr(self._dtype)
        values = {"descr": descr, "fortran_order": False, "shape": (self._count,)}
        np.lib.format.write_array_header_1_0(self._stream, values)
