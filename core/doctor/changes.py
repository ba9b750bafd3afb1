"""What a fix does to one record: its texts mended, its turns put in order. A new record comes back, the old one stays."""

from collections.abc import Callable
from dataclasses import replace

from core.data.formats.turns import merged
from core.doctor.mojibake import repaired
from core.doctor.secrets import redacted
from core.doctor.text import BIDI, INVISIBLE, RESIDUE, RIGHT_TO_LEFT
from core.records import Conversation, Message, Preference, Prompt, Record, Text, UnpairedPreference
from core.render.control import CONTROL_TOKEN

__all__ = ["escape_control", "in_order", "redacted", "repaired", "strip_invisible", "strip_residue", "with_texts"]


def with_texts(record: Record, change: Callable[[str], str]) -> Record:
    """Return the record with every text changed: turns, passages, keywords, running text. Calls of tools stay."""

    def turns(messages: tuple[Message, ...]) -> tuple[Message, ...]:
        return tuple(replace(each, content=change(each.content)) for each in messages)

    match record:
        case Text():
            return replace(record, text=change(record.text))
        case Conversation():
            docs = tuple(replace(each, text=change(each.text)) for each in record.docs)
            keywords = tuple(map(change, record.keywords))
            return replace(record, messages=turns(record.messages), docs=docs, keywords=keywords)
        case Preference():
            chosen, rejected = turns(record.chosen), turns(record.rejected)
            return replace(record, messages=turns(record.messages), chosen=chosen, rejected=rejected)
        case UnpairedPreference() | Prompt():
            return replace(record, messages=turns(record.messages))
        case _:
            return record


def strip_invisible(text: str) -> str:
    """Take out characters that nobody sees; in writing from right to left the signs of direction stay."""
    text = INVISIBLE.sub("", text)
    return text if RIGHT_TO_LEFT.search(text) else BIDI.sub("", text)


def strip_residue(text: str) -> str:
    """Take out the remains of prompt templates."""
    return RESIDUE.sub("", text).strip() if RESIDUE.search(text) else text


def escape_control(text: str) -> str:
    """Put a space behind the first character of every control token, so that it is ordinary text and still readable."""
    return CONTROL_TOKEN.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)


def in_order(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return the turns in an order that can be learnt, or () if there is no answer.

    Answers before the first question and results of tools that nobody called are dropped, turns of one side in a row
    joined, and what follows the last answer is cut.
    """
    system = tuple(each for each in messages[:1] if each.role == "system")
    turns: list[Message] = []
    for each in merged(each for each in messages[len(system) :] if each.role != "system"):
        if not turns and each.role != "user":
            continue
        called = bool(turns) and (turns[-1].role == "tool" or bool(turns[-1].tool_calls))
        if each.role == "tool" and not called:
            continue
        turns.append(each)
    turns = merged(turns)  # what was dropped may have stood between two turns of one side
    while turns and (turns[-1].role != "assistant" or turns[-1].tool_calls):
        turns.pop()
    return (*system, *turns) if turns else ()
