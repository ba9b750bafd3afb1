"""Records appended to a file as JSON, one a line, by processes that may be killed at any moment."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


def append(file: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Append records with one write and hand them to the disk. What a kill had cut off before stays a line of its own."""
    text = "".join(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n" for record in records)
    if not text:
        return
    with file.open("ab+") as opened:
        if opened.seek(0, os.SEEK_END) and (opened.seek(-1, os.SEEK_END), opened.read(1))[1] != b"\n":
            text = "\n" + text
        opened.write(text.encode())
        opened.flush()
        os.fsync(opened.fileno())


def read(file: Path) -> list[dict[str, Any]]:
    """Return the records of a file, none where there is no file. Lines that were cut off are left out."""
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return []
    found = []
    for line in data.split(b"\n"):
        try:
            record = json.loads(line) if line else None
        except ValueError:
            continue
        if isinstance(record, dict):
            found.append(record)
    return found
