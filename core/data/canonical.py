"""The canonical form: one JSON object a row that holds everything a record has.

It is what fixes and augmentation write, and what every other format is exported from. Reading what was written gives the
same record, its `where` apart.
"""

from typing import Any

from core.data.formats.canonical import from_dict
from core.records import Conversation, Message, Preference, Prompt, Record, Text, Tokenised, UnpairedPreference

__all__ = ["from_dict", "message_dict", "to_dict"]


def to_dict(record: Record) -> dict[str, Any]:
    """Return the row of a record; what is empty is left out."""
    row: dict[str, Any] = {}
    if isinstance(record, Conversation | Preference | UnpairedPreference):
        row["messages"] = [message_dict(message) for message in record.messages]
    if isinstance(record, Conversation | Preference | UnpairedPreference):
        row["tools"] = record.tools
    if isinstance(record, Conversation):
        docs = [{"text": doc.text, "title": doc.title, "is_oracle": doc.is_oracle} for doc in record.docs]
        row |= {"label": record.label, "keywords": list(record.keywords), "docs": docs}
    optional = {key: each for key, each in row.items() if each or key == "messages"}
    return {**optional, **_of_kind(record), **({"task": record.task} if record.task else {}), **_meta(record)}


def message_dict(message: Message) -> dict[str, Any]:
    """Return a message with OpenAI's keys, the arguments of calls as text, and `train` where it is not learnt."""
    row: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        row["tool_calls"] = [
            {**({"id": call.id} if call.id else {}), "type": "function",
             "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]  # fmt: skip
    if message.name:
        row["name"] = message.name
    if not message.train:
        row["train"] = False
    return row


def _of_kind(record: Record) -> dict[str, Any]:
    if isinstance(record, Preference):
        return {key: [message_dict(each) for each in getattr(record, key)] for key in ("chosen", "rejected")}
    if isinstance(record, UnpairedPreference):
        return {"kto_tag": record.desirable}
    if isinstance(record, Prompt):  # not `messages`: those without an answer are a mistake more often
        return {"prompt": [message_dict(each) for each in record.messages]}
    if isinstance(record, Text):
        return {"text": record.text}
    if isinstance(record, Tokenised):
        return {"input_ids": list(record.input_ids), "labels": list(record.labels)}
    return {}


def _meta(record: Record) -> dict[str, Any]:
    return {"meta": dict(record.meta)} if record.meta else {}
