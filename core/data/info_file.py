"""A JSON object on disk that several processes change: read afresh, changed under a lock, written aside and renamed."""

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from core.data.readers import read_object


def read(file: Path) -> dict[str, Any]:
    """Return the object, {} where there is no file yet.

    Raises:
        DataError: if it is not valid JSON, with line and column.
    """
    return read_object(file) if file.is_file() else {}


@contextmanager
def changing(file: Path) -> Iterator[dict[str, Any]]:
    """Give the object to change, and write it if the block ends well; nobody else changes it meanwhile."""
    with FileLock(file.with_name(f".{file.name}.lock")):
        values = read(file)
        yield values
        aside = file.with_name(f".{file.name}.{uuid.uuid4().hex}")
        try:
            aside.write_text(json.dumps(values, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
            flush(aside)
            os.replace(aside, file)
        finally:
            aside.unlink(missing_ok=True)  # only there when writing failed


def flush(file: Path) -> None:
    """Wait until the disk has a file."""
    with file.open("rb") as stream:
        os.fsync(stream.fileno())
