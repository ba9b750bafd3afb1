"""Rows without turns: questions without answers, token ids, and what cannot be learnt here."""

from collections.abc import Mapping
from typing import Any

from core.data.formats.canonical import from_dict
from core.data.formats.reader import Read
from core.data.formats.roles import check_filled, check_order
from core.data.formats.turns import Turns, is_messages
from core.data.formats.values import RowError, column, decoded, not_empty, text
from core.records import Message, Prompt, Record, Tokenised

_OPENAI = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}


def prompt_reader(options: Mapping[str, str], strict: bool) -> Read:
    """Return the function that reads a question without an answer: text, or messages that end with the user's."""
    name, turns = options.get("prompt", "prompt"), Turns(_OPENAI, options.get("prompt", "prompt"), any_role=True)

    def read(values: dict[str, Any], where: str) -> Prompt:
        given = decoded(column(values, name))
        if is_messages(given):
            messages = turns.messages(given)
            if strict:
                check_order(messages, name, answered=False)
                check_filled(messages, name)
            return Prompt(messages=messages, where=where)
        asked = text(values[name], name)
        if strict:
            not_empty("data.empty_question", asked, name)
        return Prompt(messages=(Message("user", asked),), where=where)

    return read


def tokenised_reader(options: Mapping[str, str], strict: bool) -> Read:
    """Return the function that passes token ids through."""

    def read(values: dict[str, Any], where: str) -> Record:
        record = from_dict({key: decoded(values.get(key)) for key in ("input_ids", "labels")}, where)
        if isinstance(record, Tokenised) and len(record.input_ids) != len(record.labels):
            raise RowError("data.token_lengths", ids=len(record.input_ids), labels=len(record.labels))
        return record

    return read


def stepwise_reader(options: Mapping[str, str], strict: bool) -> Read:
    """Return the function that says of every row that answers judged step by step are not supported."""

    def read(values: dict[str, Any], where: str) -> Record:
        raise RowError("data.stepwise")

    return read
