"""Every row of an evaluation as a table that a spreadsheet opens.

UTF-8 with a byte order mark, without which Excel reads Chinese as Latin letters. A cell that begins with a sign that a
spreadsheet would compute gets an apostrophe before it, so that an answer such as `=HYPERLINK(…)` is text; the apostrophe is
the one thing in the file that nobody said. Everything else is unchanged, also where it is longer than a spreadsheet shows.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from core.evaluate.rows import Row

# OWASP, "CSV Injection"; Excel set to Chinese or Japanese computes the full-width signs too.
_COMPUTED = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_ABOUT = ("item", "source", "row", "where", "kind", "tag", "under", "question", "expected")


def write_csv(rows: Sequence[Row], file: Path) -> Path:
    """Write the rows, one a line, complete or not at all, and return the file."""
    aside = file.with_name(file.name + ".part")
    with aside.open("w", encoding="utf-8-sig", errors="replace", newline="") as opened:
        opened.writelines(lines(rows))
    return aside.replace(file)


def lines(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the lines of the table, its heading first: the item, then each contestant's answer and values."""
    answered = list(dict.fromkeys(who for row in rows for who in row.answers))
    metrics = {who: list(dict.fromkeys(m for row in rows for m in row.values.get(who, ()))) for who in answered}
    heading = [*_ABOUT]
    for who in answered:
        heading += [who, f"{who}: tokens", f"{who}: ended", *(f"{who}: {metric}" for metric in metrics[who])]
    yield _line(heading)
    for row in rows:
        item = row.item
        cells: list[str | float | None] = [item.key, item.source, item.row, item.where, item.kind, item.tag, item.under]
        cells += [item.question, item.expected]
        for who in answered:
            answer = row.answers.get(who)
            cells += [answer.text, answer.tokens, int(answer.ended)] if answer else [None, None, None]
            cells += [row.value(who, metric) for metric in metrics[who]]
        yield _line(cells)


def harmless(text: str) -> str:
    """Return text that no spreadsheet computes: with an apostrophe before it where it begins as a formula does."""
    return f"'{text}" if text.startswith(_COMPUTED) else text


def _line(cells: Sequence[str | float | None]) -> str:
    line = io.StringIO()
    # A null byte ends a cell early in some spreadsheets; Unicode has a picture of it.
    shown = (harmless(each.replace("\0", "␀")) if isinstance(each, str) else each for each in cells)
    csv.writer(line).writerow(shown)
    return line.getvalue()
