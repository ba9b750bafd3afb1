"""LLaMA-Factory's `alpaca`: a column for the question, one for the answer, and some beside them.

The same reader serves its preference sets (`chosen`, `rejected`), its KTO sets (`kto_tag`), and running text, which is an
entry without an answer column. What is named in `options` is read; a name of "" is a column that is not read.
"""

from collections.abc import Mapping
from typing import Any

from core.data.entry import COLUMNS
from core.data.formats.reader import Read
from core.data.formats.values import (
    blank,
    boolean,
    column,
    json_text,
    listed,
    not_empty,
    text,
    words_of,
    wrong_type,
)
from core.records import Conversation, Message, Preference, Text, UnpairedPreference


class Alpaca:
    """Reads rows by the columns of an entry. `strict` False lets empty texts pass, for whoever looks for them."""

    def __init__(self, options: Mapping[str, str], strict: bool = True) -> None:
        self.columns = {**COLUMNS, **{key: name for key, name in options.items() if key in COLUMNS}}
        self.strict = strict
        beside = ("history", "system", "keywords", "tools")
        self.beside = tuple(self.columns[key] for key in beside if self.columns[key])

    def conversation(self, values: dict[str, Any], where: str) -> Conversation:
        plain = self._plain(values, where)
        if plain is not None:
            return plain
        columns = self.columns
        asked, answer = self._asked(values), text(column(values, columns["response"]), columns["response"])
        if self.strict:
            not_empty("data.empty_question", asked, columns["prompt"])
            not_empty("data.empty_answer", answer, columns["response"])
        messages = (*self._before(values), Message("user", asked), Message("assistant", answer))
        keywords = words_of(values.get(columns["keywords"]), columns["keywords"])
        return Conversation(messages, where, keywords, self._tools(values))

    def preference(self, values: dict[str, Any], where: str) -> Preference:
        question = self._question(values)
        chosen, rejected = (self._answer(values, self.columns[key]) for key in ("chosen", "rejected"))
        return Preference(messages=question, chosen=chosen, rejected=rejected, where=where, tools=self._tools(values))

    def unpaired(self, values: dict[str, Any], where: str) -> UnpairedPreference:
        messages = (*self._question(values), *self._answer(values, self.columns["response"]))
        tag = self.columns["kto_tag"]
        desirable = boolean(column(values, tag), tag)
        return UnpairedPreference(messages=messages, desirable=desirable, where=where, tools=self._tools(values))

    def running_text(self, values: dict[str, Any], where: str) -> Text:
        name = self.columns["prompt"]
        found = text(column(values, name), name)
        if self.strict:
            not_empty("data.empty_text", found, name)
        return Text(text=found, where=where)

    def _plain(self, values: dict[str, Any], where: str) -> Conversation | None:
        """Return what most rows are, a filled question and answer and nothing beside them; None for all others."""
        columns = self.columns
        question, answer = values.get(columns["prompt"]), values.get(columns["response"])
        if not (type(question) is type(answer) is str) or question.isspace() or not answer or answer.isspace():
            return None
        query = values.get(columns["query"])
        if query:
            if type(query) is not str:
                return None
            if not query.isspace():
                question = f"{question}\n{query}" if question else query
        if not question:
            return None
        for name in self.beside:
            if values.get(name):
                return None
        return Conversation((Message("user", question), Message("assistant", answer)), where)

    def _asked(self, values: dict[str, Any]) -> str:
        columns = self.columns
        question = text(column(values, columns["prompt"]), columns["prompt"])
        query = text(values.get(columns["query"]), columns["query"])
        return "\n".join(part for part in (question, query) if not blank(part))

    def _question(self, values: dict[str, Any]) -> tuple[Message, ...]:
        asked = self._asked(values)
        if self.strict:
            not_empty("data.empty_question", asked, self.columns["prompt"])
        return (*self._before(values), Message("user", asked))

    def _answer(self, values: dict[str, Any], name: str) -> tuple[Message, ...]:
        answer = text(column(values, name), name)
        if self.strict:
            not_empty("data.empty_answer", answer, name)
        return (Message("assistant", answer),)

    def _before(self, values: dict[str, Any]) -> list[Message]:
        """Return the system message and the earlier turns."""
        messages: list[Message] = []
        system, history = self.columns["system"], self.columns["history"]
        prompt = text(values.get(system), system)
        if not blank(prompt):
            messages.append(Message("system", prompt))
        for number, (asked, answer) in enumerate(pairs(values.get(history), history), 1):
            for each in (asked, answer):
                if self.strict:
                    not_empty("data.empty_message", text(each, history), history, number=number)
            messages += [Message("user", text(asked, history)), Message("assistant", text(answer, history))]
        return messages

    def _tools(self, values: dict[str, Any]) -> str:
        name = self.columns["tools"]
        return json_text(values.get(name), name, list)


def pairs(value: Any, name: str) -> list[Any]:
    """Return a list of [question, answer] lists; none where the column is empty."""
    if value is None or value == "":
        return []
    found = listed(value, name)
    if not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in found):
        raise wrong_type(name, '[["…", "…"], …]', value)
    return found


def reader(options: Mapping[str, str], strict: bool) -> Read:
    """Return the function that reads rows with these columns."""
    alpaca = Alpaca(options, strict)
    read: dict[bool, Any] = {True: alpaca.conversation, False: alpaca.running_text}
    if alpaca.columns["chosen"] and alpaca.columns["rejected"]:
        return alpaca.preference
    if alpaca.columns["kto_tag"]:
        return alpaca.unpaired
    return read[bool(alpaca.columns["response"])]
