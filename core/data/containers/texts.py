"""A text or Markdown file: one row, which is the whole file."""

from collections.abc import Iterator

from core.data.containers.row import MEGABYTE, ROW_LIMIT, Broken, Row
from core.data.containers.source import Source
from core.data.problems import Problems
from core.data.strict_json import text_of


def text_file(source: Source, problems: Problems) -> Iterator[Row]:
    """Yield one row with the column `text`, or report why there is none."""
    name = source.name
    data = bytearray()
    try:
        for chunk in source.chunks():
            data += chunk
            if len(data) > ROW_LIMIT:
                size = max(source.size, len(data)) // MEGABYTE
                problems.add("data.row_too_long", f"{name}:1", size=size, limit=ROW_LIMIT // MEGABYTE)
                return
    except Broken as error:
        problems.add(error.code, f"{name}:{data.count(10) + 1}", **error.values)
        return
    whole = text_of(data, name, 1, problems)
    if whole is None:
        return
    if "\0" in whole:
        place = whole.index("\0")
        column = place - whole.rfind("\n", 0, place)
        problems.add("data.nul", f"{name}:{whole.count(chr(10), 0, place) + 1}", column=column)
        return
    if not whole.strip():
        problems.add("data.empty_file", name)
        return
    yield Row(1, {"text": whole}, 0, source.file)
