"""Who speaks: the names that roles have in the wild, and the order that messages have to keep."""

from collections.abc import Sequence

from core.data.formats.values import RowError
from core.records import Message, Role

ALIASES: dict[Role, tuple[str, ...]] = {
    "user": ("user", "human", "prompter", "guest", "customer", "q"),
    "assistant": ("assistant", "gpt", "bot", "model", "chatgpt", "bing", "bard", "a"),
    "system": ("system", "developer"),
    "tool": ("tool", "observation", "function_response", "ipython", "function"),
}
CALLS = ("function_call", "tool_call")  # an assistant's turn whose content is the call
ROLE_OF: dict[str, Role] = {alias: role for role, aliases in ALIASES.items() for alias in aliases}


def role_of(name: str) -> Role | None:
    """Return the role that a name stands for, whatever its case; None for a name that is not known."""
    return ROLE_OF.get(name.strip().lower())


def check_order(messages: Sequence[Message], column: str, *, answered: bool = True) -> None:
    """Check an optional system message, then user and assistant in turns; a tool speaks after a call.

    `answered` False is for the question of a preference: it ends with the user.

    Raises:
        RowError: `data.no_messages`, `data.role_order` or `data.ends_with_user`, with the number of the message.
    """
    first = 1 if messages and messages[0].role == "system" else 0
    if len(messages) == first:
        raise RowError("data.no_messages", column=column)
    before: Message | None = None
    for number, message in enumerate(messages[first:], first + 1):
        expected = _next(before)
        if message.role not in expected:
            raise RowError("data.role_order", number=number, role=message.role, expected=expected[0])
        before = message
    ends_with_answer = messages[-1].role == "assistant"
    if answered and not ends_with_answer:
        raise RowError("data.ends_with_user", number=len(messages))
    if not answered and ends_with_answer:
        raise RowError("data.role_order", number=len(messages), role="assistant", expected="user")


def check_filled(messages: Sequence[Message], column: str) -> None:
    """Check that every user and assistant says something; a call and a tool's result may be without words.

    Raises:
        RowError: `data.empty_answer` or `data.empty_question`, with the number of the message.
    """
    for number, message in enumerate(messages, 1):
        if message.role in ("system", "tool") or message.tool_calls:
            continue
        if not message.content or message.content.isspace():
            code = "data.empty_answer" if message.role == "assistant" else "data.empty_question"
            raise RowError(code, column=column, number=number)


def _next(before: Message | None) -> tuple[Role, ...]:
    if before is None:
        return ("user",)
    if before.role == "assistant":
        return ("user", "tool") if before.tool_calls else ("user",)
    return ("assistant", "tool") if before.role == "tool" else ("assistant",)
