"""What the columns of a file mean, from its first rows. Where two readings are possible, the person is asked."""

from collections.abc import Sequence
from typing import Any

from core.data.entry import COLUMNS, TAGS, Formatting
from core.data.readers import Row, columns_of
from core.errors import DataError, problem

_LOOKED_AT = 200  # rows; chosen by us: enough to meet every role, cheap for any file
_PAIRS = (
    ("instruction", "output"),
    ("instruction", "response"),
    ("prompt", "response"),
    ("prompt", "completion"),
    ("query", "response"),
    ("question", "answer"),
    ("input", "output"),
)
_LISTS = ("messages", "conversations", "conversation")
_MESSAGES = (("role", "content"), ("from", "value"))
_ROLES = {
    "user_tag": ("user", "human", "prompter"),
    "assistant_tag": ("assistant", "gpt", "bot", "model"),
    "system_tag": ("system", "developer"),
}


def detect(
    rows: Sequence[Row], name: str, formatting: Formatting | None = None
) -> tuple[Formatting, dict[str, str], dict[str, str]]:
    """Return formatting, columns and tags; only what differs from LLaMA-Factory's defaults is listed.

    A `formatting` that the person chose leaves only its readings.

    Raises:
        DataError: `data.unknown_columns` with the columns seen, or `data.ambiguous_columns` if they can be read in two ways.
    """
    first = rows[:_LOOKED_AT]
    lists = [found for column in _LISTS if formatting != "alpaca" and (found := _message_list(first, column))]
    pairs = [pair for pair in _PAIRS if all(column in row.values for row in first for column in pair)]
    if _PAIRS[0] in pairs:  # LLaMA-Factory's own names leave no doubt; `input` beside them is the query
        pairs = [_PAIRS[0]]
    if formatting == "sharegpt":
        pairs = []
    readings = [" + ".join(pair) for pair in pairs] + [columns["messages"] for columns, _ in lists]
    if not readings:
        raise DataError(problem("data.unknown_columns", name, has=columns_of(rows[0].values)))
    if len(readings) > 1:
        raise DataError(problem("data.ambiguous_columns", name, readings="; ".join(readings)))
    if lists:
        columns, tags = lists[0]
        return "sharegpt", _differing({**columns, **_beside(first, ("system",))}, COLUMNS), _differing(tags, TAGS)
    question, answer = pairs[0]
    beside = _beside(first, ("system", "history"))
    return "alpaca", _differing({"prompt": question, "response": answer, **beside}, COLUMNS), {}


def _beside(rows: Sequence[Row], names: Sequence[str]) -> dict[str, str]:
    """Return the columns of these names that there are; unlike the others they are read only where an entry lists them."""
    return {name: name for name in names if any(name in row.values for row in rows)}


def _message_list(rows: Sequence[Row], column: str) -> tuple[dict[str, str], dict[str, str]] | None:
    """Return columns and tags if the column holds lists of messages, with the role names that the rows use."""
    messages = [each for row in rows for each in _listed(row.values.get(column))]
    for role_tag, content_tag in _MESSAGES:
        if messages and all(isinstance(each, dict) and role_tag in each and content_tag in each for each in messages):
            used = {each[role_tag] for each in messages if isinstance(each[role_tag], str)}
            roles = {tag: next((name for name in names if name in used), names[0]) for tag, names in _ROLES.items()}
            return {"messages": column}, {"role_tag": role_tag, "content_tag": content_tag, **roles}
    return None


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _differing(values: dict[str, str], defaults: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in values.items() if defaults[key] != value}
