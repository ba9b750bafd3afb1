"""A list of messages, whatever its keys and role names: ShareGPT's, OpenAI's and what is written like them."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from core.data.entry import TAGS
from core.data.formats.roles import CALLS, role_of
from core.data.formats.values import RowError, decoded, json_text, shown, text, wrong_type
from core.data.readers import columns_of
from core.records import Message, Role, ToolCall

TAG_PAIRS = (  # keys for who speaks and what, the usual ones first
    ("role", "content"), ("from", "value"), ("from", "text"), ("from", "content"), ("role", "text"), ("role", "value"),
    ("speaker", "text"), ("speaker", "content"), ("speaker", "value"),
)  # fmt: skip


class Turns:
    """Makes messages of a list by an entry's tags. `any_role` knows the usual role names besides those of the tags."""

    def __init__(self, options: Mapping[str, str], column: str, any_role: bool = False) -> None:
        tags = {**TAGS, **{key: name for key, name in options.items() if key in TAGS}}
        self.column, self.any_role = column, any_role
        self.role_tag, self.content_tag = tags["role_tag"], tags["content_tag"]
        self.roles: dict[str, Role] = {
            tags["user_tag"]: "user",
            tags["assistant_tag"]: "assistant",
            tags["observation_tag"]: "tool",
            tags["system_tag"]: "system",
        }
        if self.role_tag == "role":
            self.roles = {"tool": "tool", **self.roles}  # OpenAI's name for an observation
        self.calls = (tags["function_tag"],)

    def messages(self, given: list[Any]) -> tuple[Message, ...]:
        return tuple([self.message(each, number) for number, each in enumerate(given, 1)])

    def message(self, given: Any, number: int) -> Message:
        """Return one message; `number` is its place in the list, from 1."""
        if not isinstance(given, dict):
            raise wrong_type(self.column, "{…}", given)
        calls = given.get("tool_calls")
        for key in (self.role_tag, self.content_tag):
            if key not in given and not (calls and key == self.content_tag):
                raise RowError("data.missing_tag", number=number, tag=key, has=columns_of(given))
        name, content = given[self.role_tag], given.get(self.content_tag)
        if name in self.calls or (self.any_role and name in CALLS):
            return Message("assistant", "", tool_calls(content, number))
        role = self._role(name, number)
        if type(content) is not str:
            content = content_text(content, self.content_tag)
        if len(given) == 2:
            return Message(role, content)
        speaker = given.get("name")
        return Message(
            role,
            content,
            tool_calls(calls, number) if calls and role == "assistant" else (),
            speaker if isinstance(speaker, str) else "",
            learnt(given),
        )

    def _role(self, name: Any, number: int) -> Role:
        role = self.roles.get(name) if isinstance(name, str) else None
        if role is None and self.any_role and isinstance(name, str):
            role = role_of(name)
        if role is None:
            known = ", ".join(dict.fromkeys(self.roles))
            raise RowError("data.unknown_role", number=number, role=shown(name), known=known)
        return role


def tags_of(given: Any) -> tuple[str, str] | None:
    """Return the keys for who speaks and what in a list of messages, None if it is none; a call may be without words."""
    if not isinstance(given, list) or not given or not all(isinstance(each, dict) for each in given):
        return None
    for role, content in TAG_PAIRS:
        called = role == "role"
        if all(
            isinstance(each.get(role), str)
            and each[role].strip()
            and (content in each or (called and "tool_calls" in each))
            for each in given
        ):
            return role, content
    return None


def is_messages(value: Any) -> bool:
    """Tell whether a value is a list of messages: objects that all say who speaks."""
    if not isinstance(value, list) or not value or not all(isinstance(each, dict) for each in value):
        return False
    return any(all(pair[0] in each for each in value) for pair in TAG_PAIRS)


def content_text(content: Any, name: str) -> str:
    """Return the text of a message: a string, null, or a list of parts `{type, text}` or `{type, value}`.

    Raises:
        RowError: for a part that is not text, such as an image.
    """
    if not isinstance(content, list):
        return text(content, name)
    parts = []
    for part in content:
        found = part.get("text", part.get("value")) if isinstance(part, dict) else part
        if not isinstance(found, str) or (
            isinstance(part, dict) and part.get("type", "text") not in ("text", "input_text")
        ):
            raise wrong_type(name, '[{"type": "text", "text": "…"}]', part)
        parts.append(found)
    return "".join(parts)


def learnt(given: Mapping[str, Any]) -> bool:
    """Tell whether a turn is learnt: `train` (ours) or `weight` (OpenAI's, 0 or 1) can say that it is not."""
    if given.get("train") is False:
        return False
    weight = given.get("weight")
    return weight is None or isinstance(weight, bool) or weight != 0


def tool_calls(given: Any, number: int) -> tuple[ToolCall, ...]:
    """Return the calls of a message: OpenAI's `{function: {name, arguments}}` or `{name, arguments}`, one or a list.

    Raises:
        RowError: `data.tool_call` with what stands there instead.
    """
    found = decoded(given)
    calls = found if isinstance(found, list) else [found]
    return tuple(_tool_call(each, given, number) for each in calls)


def _tool_call(call: Any, given: Any, number: int) -> ToolCall:
    function = call.get("function", call) if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str) or not function["name"].strip():
        raise RowError("data.tool_call", number=number, value=shown(given))
    arguments = function.get("arguments", function.get("parameters"))
    identity = call.get("id")
    try:
        written = json_text({} if arguments in (None, "") else arguments, "arguments", dict)
    except RowError:
        raise RowError("data.tool_call", number=number, value=shown(given)) from None
    return ToolCall(function["name"], written, identity if isinstance(identity, str) else "")


def merged(messages: Iterable[Message]) -> list[Message]:
    """Join the messages that one side says one after the other, with a line break between them."""
    found: list[Message] = []
    for message in messages:
        last = found[-1] if found else None
        if last and last.role == message.role and not (last.tool_calls or message.tool_calls or message.role == "tool"):
            found[-1] = Message(
                last.role, f"{last.content}\n{message.content}", (), last.name, last.train and message.train
            )
        else:
            found.append(message)
    return found


def call_text(calls: Iterable[ToolCall]) -> str:
    """Return calls as LLaMA-Factory writes them: one object, or a list of several."""
    written = [{"name": call.name, "arguments": json.loads(call.arguments)} for call in calls]
    return json.dumps(written[0] if len(written) == 1 else written, ensure_ascii=False)
