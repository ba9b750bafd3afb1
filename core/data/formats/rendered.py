"""Text that is already in a model's chat format, parsed back to messages, so that any model's format can be used.

Told are ChatML, Llama 3, Gemma, Llama 2 and Mistral (`[INST]`), the headings of Guanaco and Alpaca, and the
`Human:` and `Assistant:` of Anthropic's sets.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from core.data.formats.reader import Read
from core.data.formats.roles import check_filled, check_order, role_of
from core.data.formats.values import RowError, blank, column, shown, text
from core.records import Conversation, Message, Role

_CHATML = re.compile(r"<\|im_start\|>\s*(\w+)[ \t]*\n(.*?)(?:<\|im_end\|>|(?=<\|im_start\|>)|\Z)", re.DOTALL)
_LLAMA3 = re.compile(
    r"<\|start_header_id\|>\s*(\w+)\s*<\|end_header_id\|>\s*(.*?)(?:<\|eot_id\|>|<\|eom_id\|>|<\|end_of_text\|>|"
    r"(?=<\|start_header_id\|>)|\Z)",
    re.DOTALL,
)
_GEMMA = re.compile(r"<start_of_turn>\s*(\w+)[ \t]*\n(.*?)(?:<end_of_turn>|(?=<start_of_turn>)|\Z)", re.DOTALL)
_INST = re.compile(r"(?:<s>)?\s*\[INST\](.*?)\[/INST\](.*?)(?:</s>|(?=\[INST\])|\Z)", re.DOTALL)
_SYS = re.compile(r"^\s*<<SYS>>\s*(.*?)\s*<</SYS>>\s*", re.DOTALL)
_HEADING = re.compile(r"###\s*(Human|User|Assistant|System|Instruction|Input|Response)\s*:[ \t]*")
_HUMAN = re.compile(r"(?:\A|\n\n)(Human|Assistant):[ \t]*")
_HEADINGS: dict[str, Role] = {
    "human": "user", "user": "user", "instruction": "user", "input": "user", "assistant": "assistant",
    "response": "assistant", "system": "system",
}  # fmt: skip
FAMILIES = {  # what a text of the family has for sure; the first that matches counts
    "chatml": re.compile(r"<\|im_start\|>\s*(?:system|user|assistant|developer|tool)\s*\n"),
    "llama3": re.compile(r"<\|start_header_id\|>\s*\w+\s*<\|end_header_id\|>"),
    "gemma": re.compile(r"<start_of_turn>\s*(?:user|model)\s*\n"),
    "inst": re.compile(r"\[INST\].*?\[/INST\]", re.DOTALL),
    "headings": re.compile(r"###\s*(?:Human|User|Instruction)\s*:.*###\s*(?:Assistant|Response)\s*:", re.DOTALL),
    "human": re.compile(r"(?:\A|\n\n)Human:.*\n\nAssistant:", re.DOTALL),
}


def family(given: str) -> str:
    """Return which chat format a text is in, "" for none."""
    return next((name for name, pattern in FAMILIES.items() if pattern.search(given)), "")


def parsed(given: str) -> list[Message] | None:
    """Return the messages of a text in a chat format, None for any other text; an empty last turn is left out."""
    name = family(given)
    if not name:
        return None
    if name == "inst":
        turns = list(_inst(given))
    elif name in ("headings", "human"):
        turns = list(_headings(given, _HEADING if name == "headings" else _HUMAN))
    else:
        turns = list(_marked(given, {"chatml": _CHATML, "llama3": _LLAMA3, "gemma": _GEMMA}[name]))
    if turns and turns[-1].role == "assistant" and blank(turns[-1].content):
        turns.pop()
    return turns


def reader(options: Mapping[str, str], strict: bool) -> Read:
    """Return the function that parses the text column back to messages."""
    name = options.get("text", "text")

    def read(values: dict[str, Any], where: str) -> Conversation:
        given = text(column(values, name), name)
        found = parsed(given)
        if found is None:
            raise RowError("data.not_rendered", column=name, value=shown(given))
        messages = tuple(each for each in found if each.role != "system" or not blank(each.content))
        if strict:
            check_order(messages, name)
            check_filled(messages, name)
        return Conversation(messages, where)

    return read


def _marked(given: str, pattern: re.Pattern[str]) -> Iterator[Message]:
    for name, content in pattern.findall(given):
        role = role_of(name)
        if role is None:
            raise RowError("data.unknown_role", number=1, role=shown(name), known="system, user, assistant, tool")
        yield Message(role, content.strip("\n") if pattern is not _LLAMA3 else content.strip())


def _inst(given: str) -> Iterator[Message]:
    for number, (asked, told) in enumerate(_INST.findall(given)):
        system = _SYS.match(asked) if number == 0 else None
        if system:
            yield Message("system", system[1])
        yield Message("user", asked[system.end() :].strip() if system else asked.strip())
        yield Message("assistant", told.strip())


def _headings(given: str, pattern: re.Pattern[str]) -> Iterator[Message]:
    """Give the turns under `### Human:` and the like; text above the first heading is the system message."""
    pieces = pattern.split(given)
    if pieces[0].strip():
        yield Message("system", pieces[0].strip())
    before: Message | None = None
    for heading, content in zip(pieces[1::2], pieces[2::2], strict=True):
        message = Message(_HEADINGS[heading.lower()], content.strip())
        if before and heading == "Input" and before.role == "user":
            before = Message("user", f"{before.content}\n{message.content}".strip())
            continue
        if before:
            yield before
        before = message
    if before:
        yield before
