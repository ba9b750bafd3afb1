"""LLaMA-Factory's `sharegpt`: a column with a list of messages, whose keys and role names the tags give.

OpenAI's messages are the same with other tags; there, calls of tools stand in `tool_calls`. The turns must keep their order.
The format `messages` is the lenient sibling: it knows every usual role name, and does what was chosen with a leading
assistant turn and with turns of one side that follow each other.
"""

from collections.abc import Mapping
from typing import Any

from core.data.entry import COLUMNS
from core.data.formats.passages import with_passages
from core.data.formats.reader import Read
from core.data.formats.roles import check_filled, check_order
from core.data.formats.turns import Turns, merged
from core.data.formats.values import blank, boolean, column, decoded, json_text, listed, text, words_of, wrong_type
from core.records import Conversation, Message, Preference, UnpairedPreference


class ShareGPT:
    """Reads rows by the columns and tags of an entry. `strict` False lets broken orders and empty texts pass."""

    def __init__(self, options: Mapping[str, str], strict: bool = True, any_role: bool = False) -> None:
        self.columns = {**COLUMNS, **{key: name for key, name in options.items() if key in COLUMNS}}
        self.turns = Turns(options, self.columns["messages"], any_role)
        self.strict = strict
        self.leading = options.get("leading", "refuse")
        self.repeated = options.get("repeated", "refuse")
        self.tagged = any_role and options.get("documents") == "tagged"

    def conversation(self, values: dict[str, Any], where: str) -> Conversation:
        messages = self._messages(values)
        keywords = words_of(values.get(self.columns["keywords"]), self.columns["keywords"])
        found = Conversation(messages, where, keywords, self._tools(values))
        return with_passages(found) if self.tagged else found

    def unpaired(self, values: dict[str, Any], where: str) -> UnpairedPreference:
        tag = self.columns["kto_tag"]
        desirable = boolean(column(values, tag), tag)
        messages = self._messages(values)
        return UnpairedPreference(messages=messages, desirable=desirable, where=where, tools=self._tools(values))

    def preference(self, values: dict[str, Any], where: str) -> Preference:
        messages = self._messages(values, answered=False)
        chosen, rejected = (self._answer(values, self.columns[key]) for key in ("chosen", "rejected"))
        return Preference(messages=messages, chosen=chosen, rejected=rejected, where=where, tools=self._tools(values))

    def _messages(self, values: dict[str, Any], answered: bool = True) -> tuple[Message, ...]:
        name = self.columns["messages"]
        messages = self.turns.messages(listed(column(values, name), name))
        if messages and messages[0].role != "system" and self.columns["system"]:
            messages = (*self._system(values), *messages)
        if self.leading == "drop" or self.repeated == "join":
            messages = self._mended(messages)
        if self.strict:
            check_order(messages, name, answered=answered)
            check_filled(messages, name)
        if messages and messages[0].role == "system" and blank(messages[0].content):
            return messages[1:]
        return messages

    def _mended(self, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        """Do what was chosen with a leading assistant turn and with turns of one side in a row."""
        system = [message for message in messages[:1] if message.role == "system"]
        turns = list(messages[len(system) :])
        if self.repeated == "join":
            turns = merged(turns)
        while self.leading == "drop" and turns and turns[0].role == "assistant":
            turns.pop(0)
        return (*system, *turns)

    def _answer(self, values: dict[str, Any], name: str) -> tuple[Message, ...]:
        """Return a better or worse answer: one message, a list of them, or the text alone."""
        given = decoded(column(values, name))
        if isinstance(given, str):
            messages: tuple[Message, ...] = (Message("assistant", given),)
        elif isinstance(given, dict | list):
            messages = self.turns.messages(given if isinstance(given, list) else [given])
        else:
            raise wrong_type(name, "{…}", given)
        if self.strict:
            check_order((Message("user", "-"), *messages), name)
            check_filled(messages, name)
        return messages

    def _system(self, values: dict[str, Any]) -> tuple[Message, ...]:
        name = self.columns["system"]
        found = text(values.get(name), name)
        return () if blank(found) else (Message("system", found),)

    def _tools(self, values: dict[str, Any]) -> str:
        name = self.columns["tools"]
        return json_text(values.get(name), name, list)


def reader(options: Mapping[str, str], strict: bool) -> Read:
    """Return the function that reads rows with these columns and tags, as LLaMA-Factory would."""
    return _chosen(ShareGPT(options, strict))


def messages_reader(options: Mapping[str, str], strict: bool) -> Read:
    """Return the function that reads any role names and mends the order as `leading` and `repeated` say."""
    return _chosen(ShareGPT(options, strict, any_role=True))


def _chosen(sharegpt: ShareGPT) -> Read:
    if sharegpt.columns["chosen"] and sharegpt.columns["rejected"]:
        return sharegpt.preference
    return sharegpt.unpaired if sharegpt.columns["kto_tag"] else sharegpt.conversation
