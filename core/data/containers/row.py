"""One row of a file, before anybody says what its columns mean, and the limits that every container keeps."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

MEGABYTE = 1_000_000
ROW_LIMIT = 32 * MEGABYTE  # bytes; chosen by us: the longest useful examples have 1 MB, and a row is held several times
CHUNK = 1 << 20  # bytes that are read at once

Wanted = Callable[[int], bool]  # whether the row that begins at this byte is to be decoded; the others are passed over


@dataclass(slots=True)
class Row:
    """One row. `number` is its physical line, or its place (from 1) in a JSON array, where `line` is the physical line.

    `file` names the file when a folder or archive was read. `at` and `size` tell the bytes that hold the row, counted in
    UTF-8 behind a byte-order mark; they are -1 and 0 where a row has no bytes of its own, as in Parquet. `within` is the key
    of the object whose list the row stands in, as in `{"data": [row, row]}`.
    """

    number: int
    values: dict[str, Any]
    line: int = 0
    file: str = ""
    at: int = field(default=-1, repr=False, compare=False)
    size: int = field(default=0, repr=False, compare=False)
    within: str = field(default="", repr=False, compare=False)

    @property
    def place(self) -> str:
        """What stands after `file:` in a message: `37`, or `37 (#12)` for the twelfth element of an array."""
        return f"{self.line} (#{self.number})" if self.line else str(self.number)


class Missing(bytes):
    """Stands for a line or element that is too long to be held: no bytes, but how many there were, and their lines."""

    def __new__(cls, size: int, newlines: int = 0) -> "Missing":
        self = super().__new__(cls)
        self.size, self.newlines = size, newlines
        return self

    size: int
    newlines: int


class Broken(Exception):
    """The bytes end or stop making sense; whoever reads knows the line and makes a problem of it."""

    def __init__(self, code: str, **values: Any) -> None:
        self.code = code
        self.values = values
        super().__init__(code)
