"""`{"data": [row, row]}`: a JSON object whose one list of objects holds the rows, found without decoding them.

Beside the list the object may hold whatever is not a list of objects: a version, a licence, a list of tags. With two such
lists (train and test in one file) nobody could tell which is meant, and the file is refused.
"""

from typing import NamedTuple

from core.data.containers.array import Brackets
from core.data.containers.row import MEGABYTE, Broken
from core.data.containers.source import Source
from core.data.problems import Problems
from core.data.strict_json import StrictJSON

KEYS = ("data", "rows", "examples", "train", "records", "items", "samples", "dataset")  # chosen by us: no row has them
_OTHERS = MEGABYTE  # bytes beside the lists; chosen by us: more is no wrapper
_BLANKS = 64  # bytes in which a list and its first object begin; chosen by us: nobody indents deeper


class Wrapped(NamedTuple):
    """The key whose list holds the rows, and the first byte of the list, counted in UTF-8 behind a byte-order mark."""

    key: str
    start: int


def wrapped(source: Source) -> Wrapped | None:
    """Return where the rows of an object stand, or None if it is not sure that they do; nothing is reported."""
    try:
        found = _parts(source.quiet())
    except Broken:
        return None
    if found is None:
        return None
    text, lists = found
    problems = Problems(source.name)
    values = StrictJSON(problems).whole(text, source.name)
    if problems or not isinstance(values, dict):
        return None
    holding = [key for key, value in values.items() if type(value) is list and value and value[0] in lists]
    return Wrapped(holding[0], lists[0]) if len(lists) == len(holding) == 1 and holding[0].lower() in KEYS else None


def _parts(source: Source) -> tuple[str, list[int]] | None:
    """Return the object with `[first byte]` for each list and object in it, and the first bytes of the lists of objects."""
    brackets, outside, lists = Brackets(), bytearray(), []
    at, began, signs = 0, -1, b""  # of the value that is passed over: its first byte, and its first two signs
    opened = closed = False
    for chunk in source.chunks():
        last = 0
        if not opened and (opened := bool(chunk.strip())):
            last = len(chunk) - len(chunk.lstrip()) + 1
            outside += chunk[last - 1 : last]
        if (closed and chunk.strip()) or outside[:1] not in (b"", b"{"):
            return None
        for spot in brackets.feed(b" " * last + chunk[last:]) if opened and not closed else ():
            if began >= 0:
                lists += [began] if _signs(signs + chunk[last:spot]) == b"[{" else []
                outside += b"[%d]" % began
                began, last, signs = -1, spot + 1, b""
            elif chunk[spot] in b"]}":
                closed = True
                if chunk[spot + 1 :].strip():
                    return None
                outside += chunk[last : spot + 1]
                break
            else:
                outside += chunk[last:spot]
                began, last = at + spot, spot
        if began >= 0:
            signs = _signs(signs + chunk[last : last + _BLANKS])
        elif opened and not closed:
            outside += chunk[last:]
        if len(outside) > _OTHERS:
            return None
        at += len(chunk)
    return (outside.decode(errors="replace"), lists) if closed else None


def _signs(data: bytes) -> bytes:
    """Return the first two bytes that are not blank."""
    return b"".join(data[:_BLANKS].split())[:2]
