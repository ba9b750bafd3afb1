"""Pairs of a better and a worse answer in the forms that LLaMA-Factory does not have.

`chosen` and `rejected` name columns that hold whole conversations, or the answers to a `prompt`, which may be text or
messages; `answers` names a column that holds both as a list, the better one first. `template` "parse" takes texts that are
in a chat format apart.
"""

from collections.abc import Mapping
from typing import Any

from core.data.entry import COLUMNS
from core.data.formats.reader import Read
from core.data.formats.rendered import parsed
from core.data.formats.roles import check_filled, check_order
from core.data.formats.turns import Turns, is_messages
from core.data.formats.values import RowError, blank, column, decoded, json_text, listed, text, wrong_type
from core.records import Message, Preference

_OPENAI = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}


class Pairs:
    def __init__(self, options: Mapping[str, str], strict: bool = True) -> None:
        self.options, self.strict = options, strict
        self.columns = {**COLUMNS, "prompt": "", "query": "", **options}
        self.turns = Turns({**_OPENAI, **options}, self.columns["chosen"], any_role=True)

    def read(self, values: dict[str, Any], where: str) -> Preference:
        chosen, rejected = self._both(values)
        asked = self._asked(values)
        shared = 0
        if not asked:  # the question is what both conversations begin with
            while shared < min(len(chosen), len(rejected)) and chosen[shared] == rejected[shared]:
                shared += 1
            asked = chosen[:shared]
            while asked and asked[-1].role == "assistant":  # both answers are the same, or begin so
                asked, shared = asked[:-1], shared - 1
        elif chosen[: len(asked)] == asked and rejected[: len(asked)] == asked:
            shared = len(asked)  # the question stands beside the conversations that repeat it
        better, worse = chosen[shared:], rejected[shared:]
        if self.strict:
            self._check(asked, better, worse)
        name = self.columns["tools"]
        tools = json_text(values.get(name), name, list)
        return Preference(messages=asked, chosen=better, rejected=worse, where=where, tools=tools)

    def _both(self, values: dict[str, Any]) -> tuple[tuple[Message, ...], tuple[Message, ...]]:
        if "answers" in self.options:
            name = self.options["answers"]
            answers = listed(column(values, name), name)
            if len(answers) != 2:
                raise wrong_type(name, '["…", "…"]', answers)
            better, worse = (self._messages(each, name, "assistant") for each in answers)
            return better, worse
        names = self.columns["chosen"], self.columns["rejected"]
        better, worse = (self._messages(column(values, name), name, "assistant") for name in names)
        return better, worse

    def _asked(self, values: dict[str, Any]) -> tuple[Message, ...]:
        for name in (self.options.get("messages", ""), self.columns["prompt"]):
            given = decoded(values.get(name)) if name else None
            if is_messages(given):
                return self._with_system(values, self._messages(given, name, "user"))
        names = [name for name in (self.columns["prompt"], self.columns["query"]) if name]
        given = values.get(self.columns["prompt"])
        if self.options.get("template") == "parse" and isinstance(given, str) and parsed(given):
            return self._with_system(values, self._messages(given, self.columns["prompt"], "user"))
        asked = "\n".join(part for part in (text(values.get(name), name) for name in names) if not blank(part))
        return self._with_system(values, (Message("user", asked),)) if asked else ()

    def _with_system(self, values: dict[str, Any], messages: tuple[Message, ...]) -> tuple[Message, ...]:
        name = self.columns["system"]
        found = text(values.get(name), name)
        return messages if blank(found) or messages[0].role == "system" else (Message("system", found), *messages)

    def _messages(self, given: Any, name: str, role: str) -> tuple[Message, ...]:
        found = decoded(given)
        found = [found] if isinstance(found, dict) else found
        if is_messages(found):
            return self.turns.messages(found)
        if self.options.get("template") == "parse" and isinstance(given, str) and (turns := parsed(given)):
            return tuple(turns)
        return (Message(role, text(given, name)),)  # type: ignore[arg-type]

    def _check(self, asked: tuple[Message, ...], better: tuple[Message, ...], worse: tuple[Message, ...]) -> None:
        if not asked:
            raise RowError("data.no_shared_question")
        check_order(asked, "prompt", answered=False)
        for name, answer in (("chosen", better), ("rejected", worse)):
            check_order((Message("user", "-"), *answer), name)
            check_filled(answer, name)


def reader(options: Mapping[str, str], strict: bool) -> Read:
    """Return the function that reads pairs of answers."""
    return Pairs(options, strict).read
