"""One record as one row of a format. Each function raises `CannotCarry` with what the format has no place for."""

import json
from collections.abc import Sequence
from typing import Any

from core.data.canonical import message_dict
from core.data.formats.turns import call_text
from core.records import Conversation, Message, Preference, Record, Text, UnpairedPreference


class CannotCarry(Exception):
    """`what` names the reason: it is the end of the error's code, `data.lacks_<what>`."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(what)


def alpaca(record: Record) -> dict[str, Any]:
    """Return LLaMA-Factory's default columns; earlier turns become `history`."""
    assert isinstance(record, Conversation)
    _filled(record.messages)
    system, turns = _plain_turns(record)
    pairs = [[asked.content, told.content] for asked, told in zip(turns[::2], turns[1::2], strict=True)]
    question, answer = pairs.pop()
    row: dict[str, Any] = {"instruction": question, "input": "", "output": answer}
    optional = {"system": system, "history": pairs, "tools": record.tools, "keywords": list(record.keywords)}
    return row | {key: each for key, each in optional.items() if each}


def with_task_sentence(record: Record) -> dict[str, Any]:
    """Return alpaca's columns with the first line of the question, the task sentence, as the instruction."""
    row = alpaca(record)
    sentence, _, question = row["instruction"].partition("\n")
    return {**row, "instruction": sentence, "input": question}


def table(record: Record) -> dict[str, Any]:
    """Return alpaca's columns as cells: lists are written as JSON."""
    row = alpaca(record)
    lists: dict[str, Any] = {
        key: json.dumps(row[key], ensure_ascii=False) for key in ("history", "keywords") if key in row
    }
    return {**row, **lists}


def messages(record: Record) -> dict[str, Any]:
    """Return OpenAI's form; a turn that is not learnt has the weight 0."""
    assert isinstance(record, Conversation)
    _filled(record.messages)
    row: dict[str, Any] = {"messages": [_weighted(message) for message in record.messages]}
    return row | _beside(record.tools) | ({"keywords": list(record.keywords)} if record.keywords else {})


def sharegpt(record: Record) -> dict[str, Any]:
    """Return FastChat's and LLaMA-Factory's form; the system prompt stands beside, because FastChat knows no such turn."""
    assert isinstance(record, Conversation)
    _filled(record.messages)
    first = record.messages[0]
    system = first.content if first.role == "system" else ""
    _unnamed(record.messages[:1] if system else ())
    turns = record.messages[1:] if system else record.messages
    row: dict[str, Any] = {"conversations": [_shared(message) for message in turns]}
    optional = {"system": system, "tools": record.tools, "keywords": list(record.keywords)}
    return row | {key: each for key, each in optional.items() if each}


def prompt_completion(record: Record) -> dict[str, Any]:
    """Return one question and its answer as two texts."""
    assert isinstance(record, Conversation)
    _filled(record.messages)
    system, turns = _plain_turns(record)
    if system:
        raise CannotCarry("system")
    if record.tools:
        raise CannotCarry("tools")
    if len(turns) != 2:
        raise CannotCarry("turns")
    row: dict[str, Any] = {"prompt": turns[0].content, "completion": turns[1].content}
    return row | ({"keywords": list(record.keywords)} if record.keywords else {})


def preference(record: Record) -> dict[str, Any]:
    """Return TRL's form: prompt, chosen and rejected as messages."""
    assert isinstance(record, Preference)
    parts = {"prompt": record.messages, "chosen": record.chosen, "rejected": record.rejected}
    for part in parts.values():
        _filled(part)
    row = {key: [_weighted(message) for message in part] for key, part in parts.items()}
    return row | _beside(record.tools)


def unpaired(record: Record) -> dict[str, Any]:
    """Return TRL's form: prompt and completion as messages, and whether the completion is wanted."""
    assert isinstance(record, UnpairedPreference)
    _filled(record.messages)
    last = max(place for place, message in enumerate(record.messages) if message.role == "user") + 1
    asked, told = (
        [_weighted(message) for message in part] for part in (record.messages[:last], record.messages[last:])
    )
    return {"prompt": asked, "completion": told, "label": record.desirable} | _beside(record.tools)


def running_text(record: Record) -> dict[str, Any]:
    assert isinstance(record, Text)
    if not record.text.strip():
        raise CannotCarry("empty")
    return {"text": record.text}


def factory(record: Record) -> dict[str, Any]:
    """Return a row that LLaMA-Factory's `sharegpt` reads, or its column of running text."""
    if isinstance(record, Conversation):
        return sharegpt(record)
    if isinstance(record, Text):
        return running_text(record)
    assert isinstance(record, Preference | UnpairedPreference)
    row = sharegpt(Conversation(record.messages, tools=record.tools))
    if isinstance(record, UnpairedPreference):
        return {**row, "kto_tag": record.desirable}
    for key, answer in (("chosen", record.chosen), ("rejected", record.rejected)):
        _filled(answer)
        if len(answer) != 1:
            raise CannotCarry("turns")
        row[key] = _shared(answer[0])
    return row


def _plain_turns(record: Conversation) -> tuple[str, tuple[Message, ...]]:
    """Return the system prompt and turns that are texts of a user and an assistant, all of which are learnt."""
    _unnamed(record.messages)
    _learnt(record.messages)
    if any(message.tool_calls or message.role == "tool" for message in record.messages):
        raise CannotCarry("tool_calls")
    first = record.messages[0]
    system = first.content if first.role == "system" else ""
    turns = record.messages[1:] if first.role == "system" else record.messages
    if len(turns) % 2 or any(turn.role != ("user", "assistant")[place % 2] for place, turn in enumerate(turns)):
        raise CannotCarry("order")
    return system, turns


def _shared(message: Message) -> dict[str, Any]:
    _learnt((message,))
    if message.tool_calls:
        if message.content:
            raise CannotCarry("words_with_calls")
        return {"from": "function_call", "value": call_text(message.tool_calls)}
    if message.role != "tool":
        _unnamed((message,))
    names = {"user": "human", "assistant": "gpt", "tool": "observation", "system": "system"}
    return {"from": names[message.role], "value": message.content}


def _weighted(message: Message) -> dict[str, Any]:
    row = message_dict(message)
    if row.pop("train", True) is False:
        row["weight"] = 0
    return row


def _beside(tools: str) -> dict[str, Any]:
    return {"tools": json.loads(tools)} if tools else {}


def _filled(messages: Sequence[Message]) -> None:
    """Check that no message is without words, because readers refuse those; a call and a tool's result may be."""
    if not messages:
        raise CannotCarry("order")
    for message in messages:
        if not message.content.strip() and not (message.tool_calls or message.role == "tool"):
            raise CannotCarry("empty")


def _learnt(messages: Sequence[Message]) -> None:
    if not all(message.train for message in messages):
        raise CannotCarry("untrained")


def _unnamed(messages: Sequence[Message]) -> None:
    if any(message.name for message in messages):
        raise CannotCarry("names")
