"""Conversations that are not written as roles: podcasts with speakers, interviews, and turns in pairs."""

from collections.abc import Mapping
from typing import Any

from core.data.formats.reader import Read
from core.data.formats.roles import check_filled, check_order, role_of
from core.data.formats.turns import content_text, merged
from core.data.formats.values import RowError, column, listed, text, wrong_type
from core.data.readers import columns_of
from core.records import Conversation, Message

ASKED = ("question", "user", "human", "q", "prompt", "input", "instruction")
TOLD = ("answer", "assistant", "gpt", "bot", "model", "a", "response", "output")


def podcast_reader(options: Mapping[str, str], strict: bool) -> Read:
    """Return the function that makes the speaker `assistant` the assistant and everybody else the user.

    Turns of one side in a row are joined. What the assistant says before anybody asked, and what is asked last without an
    answer, is left out.
    """
    name, speaker = options.get("messages", "conversations"), options.get("assistant", "")
    role_tag, content_tag = options.get("role_tag", "from"), options.get("content_tag", "text")

    def read(values: dict[str, Any], where: str) -> Conversation:
        turns: list[Message] = []
        for number, each in enumerate(listed(column(values, name), name), 1):
            said = (
                _tagged(each, name, role_tag, number),
                content_text(_tagged(each, name, content_tag, number), content_tag),
            )
            role = role_of(str(said[0]))
            if role == "system":
                turns.append(Message("system", said[1]))
            elif said[1].strip():
                turns.append(Message("assistant" if said[0] == speaker else "user", said[1]))
        found = merged(turns)
        first = 1 if found and found[0].role == "system" else 0
        while len(found) > first and found[first].role == "assistant":
            found.pop(first)
        while found and found[-1].role == "user":
            found.pop()
        if strict:
            check_order(found, name)
        return Conversation(tuple(found), where)

    return read


def interview_reader(options: Mapping[str, str], strict: bool) -> Read:
    """Return the function that makes one conversation of a list of questions with answers.

    An element may also be one turn, `{"user": "…"}`. Rows of one `group` stay together in a split.
    """
    name = options.get("messages", "interview")

    def read(values: dict[str, Any], where: str) -> Conversation:
        messages: list[Message] = []
        for number, each in enumerate(listed(column(values, name), name), 1):
            if not isinstance(each, dict):
                raise wrong_type(name, '[{"question": "…", "answer": "…"}]', each)
            if len(each) == 1 and (one := role_of(next(iter(each)))):
                messages.append(Message(one, text(next(iter(each.values())), name)))
                continue
            for role, names in (("user", ASKED), ("assistant", TOLD)):
                key = next((key for key in each if key.strip().lower() in names), None)
                if key is None:
                    raise RowError("data.missing_tag", number=number, tag=names[0], has=columns_of(each))
                messages.append(Message(role, text(each[key], key)))  # type: ignore[arg-type]
        if strict:
            check_order(messages, name)
            check_filled(messages, name)
        group = values.get("group")
        return Conversation(tuple(messages), where, meta={"group": group} if isinstance(group, str) and group else {})

    return read


def alternating_reader(options: Mapping[str, str], strict: bool) -> Read:
    """Return the function that reads a list of texts in turns, the user first."""
    name = options.get("messages", "conversations")

    def read(values: dict[str, Any], where: str) -> Conversation:
        given = listed(column(values, name), name)
        roles = ("user", "assistant")
        messages = tuple(Message(roles[place % 2], text(each, name)) for place, each in enumerate(given))  # type: ignore[arg-type]
        if strict:
            check_order(messages, name)
            check_filled(messages, name)
        return Conversation(messages, where)

    return read


def _tagged(given: Any, name: str, tag: str, number: int) -> Any:
    if not isinstance(given, dict):
        raise wrong_type(name, "{…}", given)
    if tag not in given:
        raise RowError("data.missing_tag", number=number, tag=tag, has=columns_of(given))
    return given[tag]
