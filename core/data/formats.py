"""Rows to conversations: LLaMA-Factory's `alpaca` (columns) and `sharegpt` (a list of messages)."""

import json
from collections.abc import Sequence
from typing import Any, cast

from core.data.entry import COLUMNS, DatasetEntry
from core.data.problems import Problems
from core.data.readers import Row, columns_of, read_rows
from core.placeholders import blanks_in
from core.records import Conversation, Message, Role


class _RowError(Exception):
    """One row cannot be used; carries the code and values of the problem."""

    def __init__(self, code: str, **values: Any) -> None:
        self.code, self.values = code, values
        super().__init__(code)


def conversations(entry: DatasetEntry, *, allow_blanks: bool = False) -> list[Conversation]:
    """Read, convert and check a data set.

    Raises:
        DataError: with every problem, each with file:line; unfilled {{blanks}} are one unless `allow_blanks`.
    """
    found, problems = convert(entry, read_rows(entry.file))
    problems.stop_if_any()
    if not allow_blanks:
        unfilled = unfilled_blanks(entry, found)
        unfilled.stop_if_any()
    return found


def convert(entry: DatasetEntry, rows: Sequence[Row]) -> tuple[list[Conversation], Problems]:
    """Return the rows that could be converted and the problems of the others."""
    problems = Problems(entry.file.name)
    found: list[Conversation] = []
    one = _sharegpt if entry.formatting == "sharegpt" else _alpaca
    _require_named_columns(entry, rows, problems)
    for row in rows:
        where = f"{entry.file.name}:{row.place}"
        try:
            messages = one(entry, row.values)
            found.append(Conversation(messages, where, _keywords(row.values.get(entry.columns["keywords"]), entry)))
        except _RowError as error:
            problems.add(error.code, where, **error.values)
    return found, problems


def unfilled_blanks(entry: DatasetEntry, found: Sequence[Conversation]) -> Problems:
    """Return one problem if any message has a {{blank}}: which blanks, in how many rows, and the first place."""
    problems = Problems(entry.file.name)
    with_blanks = [
        (each.where, blanks) for each in found if (blanks := blanks_in("\n".join(m.content for m in each.messages)))
    ]
    if with_blanks:
        names = ", ".join(sorted({name for _, blanks in with_blanks for name in blanks}))
        problems.add("data.unfilled_blank", with_blanks[0][0], blanks=names, rows=len(with_blanks), name=entry.name)
    return problems


def _require_named_columns(entry: DatasetEntry, rows: Sequence[Row], problems: Problems) -> None:
    """A column that the entry names and no row has is a mistake in the entry; a default one is just not there."""
    for key in ("query", "history", "system", "keywords"):
        column = entry.columns[key]
        if column != COLUMNS[key] and rows and not any(column in row.values for row in rows):
            problems.add("data.missing_column", entry.file.name, column=column, has=columns_of(rows[0].values))


def _alpaca(entry: DatasetEntry, values: dict[str, Any]) -> tuple[Message, ...]:
    columns = entry.columns
    question = _text(_column(values, columns["prompt"]), columns["prompt"])
    answer = _text(_column(values, columns["response"]), columns["response"])
    query = _text(values.get(columns["query"]), columns["query"])
    asked = "\n".join(part for part in (question, query) if part.strip())
    _not_empty("data.empty_question", asked, columns["prompt"])
    _not_empty("data.empty_answer", answer, columns["response"])
    messages: list[Message] = []
    for number, pair in enumerate(_history(values.get(columns["history"]), columns["history"]), 1):
        for role, text in zip(("user", "assistant"), pair, strict=True):
            content = _text(text, columns["history"])
            _not_empty("data.empty_message", content, columns["history"], number=number)
            messages.append(Message(cast(Role, role), content))
    return (*_system(entry, values), *messages, Message("user", asked), Message("assistant", answer))


def _sharegpt(entry: DatasetEntry, values: dict[str, Any]) -> tuple[Message, ...]:
    column = entry.columns["messages"]
    given = _list(_column(values, column), column)
    messages = [_message(entry, each, number) for number, each in enumerate(given, 1)]
    if messages and messages[0].role != "system":
        messages = [*_system(entry, values), *messages]
    turns = messages[1:] if messages and messages[0].role == "system" else messages
    if not turns:
        raise _RowError("data.no_messages", column=column)
    for index, turn in enumerate(turns):
        expected = ("user", "assistant")[index % 2]
        if turn.role != expected:
            number = index + 1 + len(messages) - len(turns)
            raise _RowError("data.role_order", number=number, role=turn.role, expected=expected)
    if turns[-1].role == "user":
        raise _RowError("data.ends_with_user", number=len(messages))
    for number, message in enumerate(messages, 1):
        code = "data.empty_answer" if message.role == "assistant" else "data.empty_question"
        if message.role != "system":
            _not_empty(code, message.content, column, number=number)
    return tuple(message for message in messages if message.content.strip())


def _message(entry: DatasetEntry, given: Any, number: int) -> Message:
    tags = entry.tags
    if not isinstance(given, dict):
        raise _RowError("data.wrong_type", column=entry.columns["messages"], wanted="{…}", value=_shown(given))
    for key in (tags["role_tag"], tags["content_tag"]):
        if key not in given:
            raise _RowError("data.missing_tag", number=number, tag=key, has=columns_of(given))
    roles = {tags["user_tag"]: "user", tags["assistant_tag"]: "assistant", tags["system_tag"]: "system"}
    name = given[tags["role_tag"]]
    if name in (tags["observation_tag"], tags["function_tag"]):
        raise _RowError("data.tool_role", number=number, role=name)
    if not isinstance(name, str) or name not in roles:
        raise _RowError("data.unknown_role", number=number, role=_shown(name), known=", ".join(roles))
    return Message(cast(Role, roles[name]), _text(given[tags["content_tag"]], tags["content_tag"]))


def _system(entry: DatasetEntry, values: dict[str, Any]) -> tuple[Message, ...]:
    column = entry.columns["system"]
    text = _text(values.get(column), column)
    return (Message("system", text),) if text.strip() else ()


def _history(value: Any, column: str) -> list[Any]:
    if value is None or value == "":
        return []
    pairs = _list(value, column)
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise _RowError("data.wrong_type", column=column, wanted='[["…", "…"], …]', value=_shown(value))
    return pairs


def _keywords(value: Any, entry: DatasetEntry) -> tuple[str, ...]:
    column = entry.columns["keywords"]
    if value is None or value == "":
        return ()
    words = _decoded(value)
    if isinstance(words, str):
        words = [words]
    if not isinstance(words, list):
        raise _RowError("data.wrong_type", column=column, wanted='["…", …]', value=_shown(value))
    return tuple(word for word in (_text(each, column) for each in words) if word)


def _column(values: dict[str, Any], column: str) -> Any:
    if column not in values:
        raise _RowError("data.missing_column", column=column, has=columns_of(values))
    return values[column]


def _list(value: Any, column: str) -> list[Any]:
    found = _decoded(value)
    if not isinstance(found, list):
        raise _RowError("data.wrong_type", column=column, wanted="[…]", value=_shown(value))
    return found


def _decoded(value: Any) -> Any:
    """Decode a list that a CSV cell holds as JSON; anything else is returned as it is."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _text(value: Any, column: str) -> str:
    """Return text as it is, numbers and booleans as JSON writes them, and "" for null."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    raise _RowError("data.wrong_type", column=column, wanted='"…"', value=_shown(value))


def _not_empty(code: str, text: str, column: str, **values: Any) -> None:
    if not text.strip():
        raise _RowError(code, column=column, **values)


def _shown(value: Any, length: int = 60) -> str:
    shown = json.dumps(value, ensure_ascii=False)
    return shown if len(shown) <= length else shown[: length - 1] + "…"
