"""What every part of the report is made of: sections, tables, definition lists. Texts are escaped here, cells are HTML."""

from collections.abc import Sequence

from core.evaluate.changes import shown


def section(title: str, *parts: str, id: str = "") -> str:
    """Return a part of the report under its title, "" when there is nothing in it."""
    inside = "".join(parts)
    name = f' id="{id}"' if id else ""
    return f"<section{name}><h2>{shown(title)}</h2>{inside}</section>" if inside else ""


def part(title: str, inside: str, level: int = 3) -> str:
    return f"<h{level}>{shown(title)}</h{level}>{inside}" if inside else ""


def paragraph(text: str, kind: str = "") -> str:
    name = f' class="{kind}"' if kind else ""
    return f"<p{name}>{shown(text)}</p>" if text else ""


def told(text: str) -> str:
    """Return what a person or a model wrote as a block whose direction of writing cannot reach beyond it."""
    return f'<div class="text" dir="auto">{shown(text)}</div>'


def table(
    headers: Sequence[str], rows: Sequence[Sequence[str]], caption: str, *, numbers: Sequence[int] = (), kind: str = ""
) -> str:  # fmt: skip
    """Return a table; headers and cells are HTML, `numbers` are the columns to align right. "" without rows."""
    if not rows:
        return ""
    sides = [' class="number"' if column in numbers else "" for column in range(len(headers))]
    head = "".join(f'<th scope="col"{side}>{text}</th>' for text, side in zip(headers, sides, strict=True))
    body = "".join(f"<tr>{''.join(_cells(row, sides))}</tr>" for row in rows)
    return (
        f'<div class="scroll"><table class="{kind}"><caption>{shown(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def facts(pairs: Sequence[tuple[str, str]]) -> str:
    """Return labels and values as a definition list; pairs without a value are left out."""
    items = "".join(f"<div><dt>{shown(label)}</dt><dd>{shown(value)}</dd></div>" for label, value in pairs if value)
    return f"<dl>{items}</dl>" if items else ""


def _cells(row: Sequence[str], sides: Sequence[str]) -> list[str]:
    first, *rest = row
    return [
        f'<th scope="row"{sides[0]}>{first}</th>',
        *(f"<td{s}>{cell}</td>" for s, cell in zip(sides[1:], rest, strict=True)),
    ]
