"""Which column is what, said by a person: for files that no reading fits, and for a set that was read wrongly.

Two small forms, for columns of texts and for a column of messages; plain HTML, because each file has its own columns.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from core.data.entry import COLUMNS, TAGS
from core.data.reading import Reading
from core.errors import DataError, problem
from core.wording import Translator

_COLUMNS = {
    "alpaca": ("prompt", "query", "response", "system", "history"),
    "sharegpt": ("messages", "system", "tools"),
}
_TAGS = ("role_tag", "content_tag", "user_tag", "assistant_tag", "system_tag")
_NEEDED = {"alpaca": "prompt", "sharegpt": "messages"}


def forms(columns: Sequence[str], now: Reading | None, t: Translator) -> str:
    """Return both forms, folded; `now` fills in how a registered set is read at present."""
    inside = "".join(_form(shape, columns, now, t) for shape in _COLUMNS)
    title = escape(t("mapping.title"))
    return f'<details class="mapping"><summary>{title}</summary>{inside}</details>'


def picked(shape: str, answers: Mapping[str, Any], columns: Sequence[str], name: str) -> dict[str, Any]:
    """Return what a filled-in form says, for adding the file with it.

    Raises:
        DataError: if the column that cannot be missing is, or one is named that the file does not have.
    """
    given = {key: str(answers.get(key) or "").strip() for key in _COLUMNS.get(shape, ())}
    unknown = [each for each in given.values() if each and each not in columns]
    if unknown or not given.get(_NEEDED.get(shape, "")):
        raise DataError(problem("mapping.missing", name, column=", ".join(unknown) or "–", has=", ".join(columns)))
    tags = {key: str(answers.get(key) or "").strip() for key in _TAGS if shape == "sharegpt"}
    return {"formatting": shape, "columns": given, "tags": {key: each for key, each in tags.items() if each}}


def _form(shape: str, columns: Sequence[str], now: Reading | None, t: Translator) -> str:
    options = now.options if now is not None and now.format == shape else {**COLUMNS, **TAGS}
    selects = "".join(_select(key, options.get(key, ""), columns, t) for key in _COLUMNS[shape])
    tags = "".join(_text(key, options.get(key, TAGS[key]), t) for key in _TAGS) if shape == "sharegpt" else ""
    return (
        f'<section class="reading" data-reading="own"><h4>{escape(t(f"mapping.{shape}"))}</h4>'
        f'<p class="why">{escape(t(f"mapping.{shape}_help"))}</p><div class="mapping-fields">{selects}{tags}</div>'
        f'<div class="foot"><button type="button" class="small" data-pick="own:{shape}">'
        f"{escape(t('readings.use'))}</button></div></section>"
    )


def _select(key: str, chosen: str, columns: Sequence[str], t: Translator) -> str:
    listed = "".join(
        f'<option value="{escape(each)}"{" selected" if each == chosen else ""}>{escape(each)}</option>'
        for each in columns
    )
    label = escape(t(f"mapping.{key}"))
    return f'<label>{label}<select data-key="{key}"><option value="">–</option>{listed}</select></label>'


def _text(key: str, value: str, t: Translator) -> str:
    return (
        f'<label>{escape(t(f"mapping.{key}"))}<input type="text" data-key="{key}" value="{escape(value)}" '
        f'autocomplete="off" spellcheck="false"></label>'
    )
