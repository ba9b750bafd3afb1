"""Whether a model holds up in a conversation: how often it is right in later turns, beside first ones."""

from collections.abc import Iterable, Sequence
from typing import Any

from core.records import Message


def by_turn(rows: Iterable[tuple[Sequence[Message], bool | None]]) -> dict[str, Any]:
    """Return how many percent of first turns and of later ones were right, and the difference of the two.

    A row is the messages of a question, and whether the answer was right; a question is a later turn when the model has
    spoken in it before. Whether an answer contradicts something said earlier cannot be told by counting: this only tells
    what it costs to have talked before, and the questions of later turns may be harder ones. What cannot be told is left
    out; of no rows the rate is None.
    """
    right: dict[str, list[bool]] = {"first": [], "later": []}
    for messages, found in rows:
        if found is not None:
            later = any(message.role == "assistant" for message in messages)
            right["later" if later else "first"].append(found)
    told: dict[str, Any] = {
        turn: {"n": len(found), "right": 100 * sum(found) / len(found) if found else None}
        for turn, found in right.items()
    }
    first, later = told["first"]["right"], told["later"]["right"]
    return {**told, "difference": later - first if first is not None and later is not None else None}
