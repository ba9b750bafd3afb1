"""What a row holds, value by value: text, lists and JSON that a table's cell holds as text, or why it cannot be used."""

import ast
import json
from typing import Any

from core.data.readers import columns_of

SHOWN = 60  # characters of a value in a message; chosen by us: one line


class RowError(Exception):
    """One row cannot be used; carries the code and values of the problem."""

    def __init__(self, code: str, **values: Any) -> None:
        self.code, self.values = code, values
        super().__init__(code)


def column(values: dict[str, Any], name: str) -> Any:
    """Return the value of a column that must be there."""
    if name not in values:
        raise RowError("data.missing_column", column=name, has=columns_of(values))
    return values[name]


def text(value: Any, name: str) -> str:
    """Return text as it is, numbers and booleans as JSON writes them, and "" for null."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    raise wrong_type(name, '"…"', value)


def blank(found: str) -> bool:
    """Tell whether a text has nothing but spaces."""
    return not found or found.isspace()


def not_empty(code: str, found: str, name: str, **values: Any) -> None:
    if blank(found):
        raise RowError(code, column=name, **values)


def listed(value: Any, name: str) -> list[Any]:
    """Return a list, also one that a cell holds as text."""
    found = decoded(value)
    if not isinstance(found, list):
        raise wrong_type(name, "[…]", value)
    return found


def decoded(value: Any) -> Any:
    """Decode a list or an object that a cell holds as JSON, or as Python writes it; anything else stays as it is."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("[", "{"):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        pass
    try:
        return json.loads(json.dumps(ast.literal_eval(value.strip())))  # as JSON has it: keys are texts, no sets
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return value


def several(value: Any) -> list[str] | None:
    """Return the texts of a list, also of one that a cell holds as text; None for anything else, such as "[1, 2]"."""
    found = decoded(value)
    if not isinstance(found, list) or not all(each is None or isinstance(each, str | int | float) for each in found):
        return None
    if found is not value and not (found and all(isinstance(each, str) for each in found)):
        return None
    return [text(each, "") for each in found]


def words_of(value: Any, name: str) -> tuple[str, ...]:
    """Return a list of words; one word may stand alone."""
    if value is None or value == "":
        return ()
    words = decoded(value)
    if isinstance(words, str):
        words = [words]
    if not isinstance(words, list):
        raise wrong_type(name, '["…", …]', value)
    return tuple(word for word in (text(each, name) for each in words) if word)


def boolean(value: Any, name: str) -> bool:
    """Return true or false; a cell may hold them as a word or as 1 and 0."""
    if isinstance(value, str):
        value = {"true": True, "1": True, "false": False, "0": False}.get(value.strip().lower(), value)
    if value in (0, 1):
        return bool(value)
    raise wrong_type(name, "true | false", value)


def json_text(value: Any, name: str, wanted: type) -> str:
    """Return JSON as text in one spelling, "" where there is none; a list without elements counts as none.

    Several collections write an empty list of tools in every row.
    """
    if value is None or value == "":
        return ""
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, wanted):
        raise wrong_type(name, "[…]" if wanted is list else "{…}", value)
    return json.dumps(found, ensure_ascii=False) if found or wanted is dict else ""


def wrong_type(name: str, wanted: str, value: Any) -> RowError:
    return RowError("data.wrong_type", column=name, wanted=wanted, value=shown(value))


def shown(value: Any, length: int = SHOWN) -> str:
    found = json.dumps(value, ensure_ascii=False, default=str)
    return found if len(found) <= length else found[: length - 1] + "…"
