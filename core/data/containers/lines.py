"""JSONL: one object a line, streamed.

Lines end with a line feed and nothing else: `str.splitlines` would break valid rows at U+2028 and U+0085.
"""

from collections.abc import Iterator
from typing import Any

from core.data.containers.row import MEGABYTE, ROW_LIMIT, Broken, Missing, Row, Wanted
from core.data.containers.source import Source
from core.data.problems import Problems
from core.data.strict_json import StrictJSON, decoded, is_object, sure_object


def lines(source: Source, problems: Problems, wanted: Wanted | None = None) -> Iterator[Row]:
    """Yield the rows of a JSONL source; empty lines hold none. Bad lines go to `problems`, and reading goes on."""
    file, name = source.file, source.name
    strict = StrictJSON(problems)
    number = at = 0
    try:
        for line in split(source, problems):
            number += 1
            start, at = at, at + len(line) + 1
            if wanted is not None and not wanted(start):
                continue
            values = sure_object(line)
            if values is None:
                if isinstance(line, Missing):
                    at = start + line.size + 1
                    continue
                values = careful(line, name, number, strict, problems)
                if values is None:
                    continue
            yield Row(number, values, 0, file, start, len(line))
    except Broken as error:
        problems.add(error.code, f"{name}:{number + 1}", **error.values)


def split(source: Source, problems: Problems) -> Iterator[bytes]:
    """Yield the lines of a source without their line feeds; a line over 32 MB is reported and yielded as `Missing`."""
    tail, number, dropped = b"", 0, 0
    for chunk in source.chunks():
        if dropped:
            end = chunk.find(b"\n")
            if end < 0:
                dropped += len(chunk)
                continue
            yield _missing(source.name, number, dropped + end, problems)
            chunk, dropped = chunk[end + 1 :], 0
        parts = (tail + chunk if tail else chunk).split(b"\n")
        tail = parts.pop()
        if parts and len(parts[0]) > ROW_LIMIT:
            parts[0] = _missing(source.name, number + 1, len(parts[0]), problems)
        number += len(parts)
        yield from parts
        if len(tail) > ROW_LIMIT:
            number += 1
            tail, dropped = b"", len(tail)
    if dropped:
        yield _missing(source.name, number, dropped, problems)
    elif tail:
        yield tail


def careful(line: bytes, name: str, number: int, strict: StrictJSON, problems: Problems) -> dict[str, Any] | None:
    """Decode a line that the fast decoder would not vouch for, or report what is wrong with it."""
    where = f"{name}:{number}"
    text = decoded(line, where, problems)
    if text is None or not text.strip():
        return None
    before = problems.count
    value = strict.whole(text, name, number)
    return value if problems.count == before and is_object(value, where, problems) else None


def _missing(name: str, number: int, size: int, problems: Problems) -> Missing:
    problems.add("data.row_too_long", f"{name}:{number}", size=size // MEGABYTE, limit=ROW_LIMIT // MEGABYTE)
    return Missing(size)
