"""Rows in the canonical form, which holds everything a record has; `core.data.canonical` writes them."""

from collections.abc import Mapping
from typing import Any

from core.data.formats.reader import Read
from core.data.formats.roles import check_filled, check_order
from core.data.formats.turns import Turns
from core.data.formats.values import RowError, boolean, json_text, listed, not_empty, text, words_of, wrong_type
from core.data.readers import columns_of
from core.records import (
    Conversation,
    Document,
    Message,
    Preference,
    Prompt,
    Record,
    Text,
    Tokenised,
    UnpairedPreference,
)

_TURNS = Turns(
    {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}, "messages"
)


def reader(options: Mapping[str, str], strict: bool) -> Read:
    """Return the function that reads canonical rows; there are no options."""

    def read(values: dict[str, Any], where: str) -> Record:
        return from_dict(values, where, strict)

    return read


def from_dict(values: Mapping[str, Any], where: str = "", strict: bool = True) -> Record:
    """Return the record of a row.

    Raises:
        RowError: if a value cannot be used, or with `strict` if the turns are out of order or empty.
    """
    about: dict[str, Any] = {"where": where, "task": text(values.get("task"), "task"), "meta": _strings(values)}
    if "input_ids" in values:
        ids = _numbers(values["input_ids"], "input_ids")
        return Tokenised(input_ids=ids, labels=_numbers(values.get("labels"), "labels"), **about)
    if "text" in values:
        found = text(values["text"], "text")
        if strict:
            not_empty("data.empty_text", found, "text")
        return Text(text=found, **about)
    if "prompt" in values:
        return Prompt(messages=_messages(values, "prompt", values), **about)
    messages = _messages(values, "messages", values)
    about["tools"] = json_text(values.get("tools"), "tools", list)
    if "chosen" in values:
        return _preference(values, messages, about, strict)
    if messages and messages[-1].role in ("user", "tool") and "kto_tag" not in values:
        about.pop("tools")
        return Prompt(messages=messages, **about)
    if strict:
        check_order(messages, "messages")
        check_filled(messages, "messages")
    if "kto_tag" in values:
        return UnpairedPreference(messages=messages, desirable=boolean(values["kto_tag"], "kto_tag"), **about)
    beside: dict[str, Any] = {
        "keywords": words_of(values.get("keywords"), "keywords"),
        "label": text(values.get("label"), "label"),
    }
    return Conversation(messages=messages, docs=_documents(values), **about, **beside)


def _preference(
    values: Mapping[str, Any], messages: tuple[Message, ...], about: dict[str, Any], strict: bool
) -> Preference:
    chosen, rejected = _messages(values, "chosen", values), _messages(values, "rejected", values)
    if strict:
        check_order(messages, "messages", answered=False)
        for name, answer in (("chosen", chosen), ("rejected", rejected)):
            check_order((Message("user", "-"), *answer), name)
            check_filled(answer, name)
    return Preference(messages=messages, chosen=chosen, rejected=rejected, **about)


def _messages(values: Mapping[str, Any], name: str, row: Mapping[str, Any]) -> tuple[Message, ...]:
    if name not in values:
        raise RowError("data.missing_column", column=name, has=columns_of(row))
    return _TURNS.messages(listed(values[name], name))


def _documents(values: Mapping[str, Any]) -> tuple[Document, ...]:
    given = values.get("docs")
    if not given:
        return ()
    found = listed(given, "docs")
    if not all(isinstance(each, dict) for each in found):
        raise wrong_type("docs", "[{…}]", given)
    return tuple(
        Document(text(each.get("text"), "docs"), text(each.get("title"), "docs"), each.get("is_oracle") is True)
        for each in found
    )


def _strings(values: Mapping[str, Any]) -> dict[str, str]:
    given = values.get("meta")
    if not given:
        return {}
    if not isinstance(given, dict):
        raise wrong_type("meta", "{…}", given)
    return {str(key): text(each, "meta") for key, each in given.items()}


def _numbers(value: Any, name: str) -> tuple[int, ...]:
    found = listed(value, name)
    if not all(type(each) is int for each in found):
        raise wrong_type(name, "[1, 2, …]", value)
    return tuple(found)
