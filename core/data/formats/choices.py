"""`columns`: question and answer columns like alpaca's, with the choices that a person made about them.

`answers`    what a list of answers becomes: first, longest, all (a line each)
`reasoning`  strip what comes before the final answer (`<ANSWER>:`, `</think>`), or keep it
`task`       a leading `[TASK]` tag names the task: strip it from the question, or keep it there
`stop`       strip a `<STOP>` at the end of an answer, or keep it
`same_input` drop an input that repeats the instruction, or keep it
`template`   parse a prompt that is already in a chat format, or keep it as one text
`of_messages` "yes": prompt and completion may be messages that a cell holds as JSON
`documents`  "tagged": the question brings its passages in `<DOCUMENT>` tags

Prompt and completion may also be lists of messages; then only the completion is learnt.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from core.data.formats.alpaca import Alpaca
from core.data.formats.passages import with_passages
from core.data.formats.reader import Read
from core.data.formats.rendered import parsed
from core.data.formats.roles import check_filled, check_order
from core.data.formats.tags import STOP, final_answer, split_task
from core.data.formats.turns import Turns, is_messages
from core.data.formats.values import RowError, boolean, column, decoded, json_text, several, text
from core.records import Conversation, Message, Record, UnpairedPreference

_OPENAI = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}


class Choices:
    """Reads rows by columns and choices; see the head of this file."""

    def __init__(self, options: Mapping[str, str], strict: bool = True) -> None:
        self.options, self.strict = options, strict
        self.tag = options.get("kto_tag", "")
        self.alpaca = Alpaca({**options, "kto_tag": ""}, strict)
        columns = self.alpaca.columns
        self.prompt, self.query, self.response = columns["prompt"], columns["query"], columns["response"]
        self.of_messages = options.get("of_messages") == "yes"
        self.turns = Turns({**_OPENAI, **options}, self.prompt, any_role=True)

    def read(self, values: dict[str, Any], where: str) -> Record:
        record = self._conversation(values, where)
        if not self.tag:
            return record
        desirable = boolean(column(values, self.tag), self.tag)
        return UnpairedPreference(
            messages=record.messages, desirable=desirable, where=where, tools=record.tools, task=record.task
        )

    def _conversation(self, values: dict[str, Any], where: str) -> Conversation:
        question, answer = values.get(self.prompt), values.get(self.response)
        if self.of_messages:  # else a text that looks like a list is a text
            question, answer = decoded(question), decoded(answer)
        if is_messages(question) or is_messages(answer):
            return self._of_messages(question, answer, values, where)
        values = dict(values)
        if self.response in values:
            values[self.response] = self._answer(values[self.response])
        if self.options.get("same_input") == "drop" and values.get(self.query) == values.get(self.prompt):
            values[self.query] = None
        task = self._without_tag(values)
        record = self.alpaca.conversation(values, where)
        if self.options.get("template") == "parse":
            record = self._untemplated(record)
        if self.options.get("documents") == "tagged":
            record = with_passages(record)
        return replace(record, task=task) if task else record

    def _of_messages(self, question: Any, answer: Any, values: dict[str, Any], where: str) -> Conversation:
        """Join a prompt and a completion of which one or both are messages; the prompt's own answers are context.

        What is wanted or not (`kto_tag`) says nothing about them, so there they stay as they are.
        """
        asked = _as_messages(self.turns, question, "user", self.prompt)
        told = _as_messages(self.turns, answer, "assistant", self.response)
        if not self.tag:
            asked = tuple(replace(each, train=each.role != "assistant") for each in asked)
        messages = (*asked, *told)
        if self.strict:
            check_order(messages, self.prompt)
            check_filled(messages, self.prompt)
        name = self.alpaca.columns["tools"]
        return Conversation(messages, where, tools=json_text(values.get(name), name, list))

    def _answer(self, value: Any) -> Any:
        answers = several(value) if self.options.get("answers") else None
        given = value if answers is None else chosen_answer(answers, self.options["answers"])
        if not isinstance(given, str):
            return given
        if self.options.get("stop") == "strip":
            given = given.rstrip().removesuffix(STOP).rstrip() if given.rstrip().endswith(STOP) else given
        return final_answer(given) if self.options.get("reasoning") == "strip" else given

    def _without_tag(self, values: dict[str, Any]) -> str:
        """Return the task of a row; where it was chosen, its tag is taken off the question."""
        if "task" not in self.options:
            return ""
        for name in (self.prompt, self.query):
            given = values.get(name)
            if isinstance(given, str) and given:
                task, rest = split_task(given)
                if task and self.options["task"] == "strip":
                    values[name] = rest
                return task
        return ""

    def _untemplated(self, record: Conversation) -> Conversation:
        """Return the turns that stand in the question, which is the last message but one."""
        asked = parsed(record.messages[-2].content)
        if asked is None:
            return record
        answer = parsed(record.answer)
        told = Message("assistant", answer[-1].content if answer else record.answer)
        turns = [each for each in asked if each.content.strip()]
        messages = (*record.messages[:-2], *(replace(each, train=each.role != "assistant") for each in turns), told)
        if self.strict:
            check_order(messages, self.prompt)
        return replace(record, messages=messages)


def chosen_answer(answers: list[str], choice: str) -> str:
    """Return one text for several answers: the first, the longest, or all with a line each; "" where there are none."""
    filled = [each for each in answers if each.strip()]
    if not filled:
        return ""
    return {"first": filled[0], "longest": max(filled, key=len), "all": "\n".join(filled)}[choice]


def reader(options: Mapping[str, str], strict: bool) -> Read:
    """Return the function that reads rows with these columns and choices.

    Raises:
        RowError: never here; each row raises for itself.
    """
    return Choices(options, strict).read


def _as_messages(turns: Turns, given: Any, role: str, name: str) -> tuple[Message, ...]:
    if isinstance(given, list):
        return turns.messages(given)
    if given is None:
        raise RowError("data.missing_column", column=name, has="-")
    return (Message(role, text(given, name)),)  # type: ignore[arg-type]
