"""What a data set was before: its versions, and the split that belongs to each.

A version is the part of an entry that says what the rows are: file, SHA-1, reading, number of rows, split. A fix or an
augmentation never touches the file it started from; it writes another one and the entry points to that, with the old
content in its `versions`. Undoing is pointing back.
"""

import hashlib
import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.data.reading import Reading
from core.errors import DataError, problem

TRAIN, VALIDATION, TEST, LEFT_OUT = "tvex"
LETTERS = {"train": TRAIN, "validation": VALIDATION, "test": TEST}
CONTENT = (  # keys of an entry that a new version replaces; the others (description, unknown ones) stay
    "file_name", "file_sha1", "formatting", "columns", "tags", "ranking", "format", "options", "recognised", "kind", "rows",
    "parts", "made_by", "made",
)  # fmt: skip


@dataclass(frozen=True)
class Parts:
    """How a set is split: `file` has one letter a row in reading order, t(rain), v(alidation), (t)e(st) or x (left out).

    `train`, `validation` and `test` count them; `shares` are the three fractions that were asked for; `grouped` says what
    was kept together.
    """

    file: Path
    train: int
    validation: int
    test: int
    seed: int
    shares: tuple[float, float, float]
    grouped: str = ""

    def letters(self) -> str:
        """Return the letters of all rows.

        Raises:
            DataError: if the file is gone or is not the one that was written.
        """
        try:
            letters = self.file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(problem("data.parts_missing", self.file.name)) from error
        if counted(letters) != (self.train, self.validation, self.test) or set(letters) - set("tvex"):
            raise DataError(problem("data.parts_missing", self.file.name))
        return letters


@dataclass(frozen=True)
class Version:
    """What a data set was. `made_by` says what made it (a file, a fix, an augmentation), `made` when (ISO, UTC)."""

    file: Path
    sha1: str
    reading: Reading
    rows: int = 0
    made_by: str = ""
    made: str = ""
    parts: Parts | None = None


def counted(letters: str) -> tuple[int, int, int]:
    """Return the numbers of training, validation and test rows."""
    return letters.count(TRAIN), letters.count(VALIDATION), letters.count(TEST)


def carried(name: str, parts: Parts | None, rows: int, letters: Callable[[], str] | None) -> str:
    """Return the letters of a new version of `rows` rows, "" where the set is whole or its split cannot be carried over.

    Raises:
        DataError: if `letters` gives more or fewer than there are rows.
    """
    if parts is None:
        return ""
    given = letters() if letters else parts.letters()
    if letters and len(given) != rows:
        raise DataError(problem("data.parts_count", name, letters=len(given), rows=rows))
    return given if len(given) == rows else ""


def replaced(values: Mapping[str, Any], content: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry's values with new content, the present one kept as its newest old version."""
    kept = {key: each for key, each in values.items() if key not in CONTENT}
    return {**content, **kept, "versions": [*values.get("versions", []), content_of(values)]}


def reverted(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry's values as they were one version ago; there must be one."""
    kept = {key: each for key, each in values.items() if key not in (*CONTENT, "versions")}
    *older, last = values["versions"]
    return {**last, **kept, **({"versions": older} if older else {})}


def content_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of an entry's values that a version is."""
    return {key: values[key] for key in CONTENT if key in values}


def write_parts(
    folder: Path, stem: str, letters: str, seed: int, shares: Sequence[float], grouped: str
) -> tuple[Path, dict[str, Any]]:
    """Write the letters of a split into `folder` and return the file with what an entry says of it.

    The file is named after its content, so that whoever reads an entry meets the letters that belong to it, however many
    splits are made meanwhile.
    """
    file = folder / f"{stem}.{hashlib.sha1(letters.encode()).hexdigest()[:8]}.parts"
    aside = file.with_name(f".{file.name}.{uuid.uuid4().hex}")
    try:
        with aside.open("w", encoding="ascii") as out:
            out.write(letters + "\n")
            out.flush()
            os.fsync(out.fileno())
        os.replace(aside, file)
    finally:
        aside.unlink(missing_ok=True)
    train, validation, test = counted(letters)
    numbers = {"train": train, "validation": validation, "test": test, "seed": seed}
    return file, {**numbers, "shares": [float(each) for each in shares], "grouped": grouped}
