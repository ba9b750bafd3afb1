"""Messages and tools in the form that chat templates read: OpenAI's, as `transformers` hands it to them."""

import json
from collections.abc import Sequence
from typing import Any

from core.errors import DataError, problem
from core.records import Message


def as_dicts(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Return the messages as objects; calls without an id get one, and results the id of their call.

    Ids count up: they carry no meaning, but Mistral's templates want nine letters or digits in both places.

    Raises:
        DataError: if the arguments of a call are not a JSON object.
    """
    turns: list[dict[str, Any]] = []
    open_calls: list[str] = []
    made = 0
    for message in messages:
        try:
            turn = message.to_dict()
        except ValueError as error:
            raise DataError(problem("render.bad_arguments", reason=str(error))) from error
        for call in turn.get("tool_calls", []):
            if not isinstance(call["function"]["arguments"], dict):
                raise DataError(problem("render.bad_arguments", reason=message.tool_calls[0].arguments[:80]))
            made += 1
            call.setdefault("id", f"call{made:05d}")
            open_calls.append(call["id"])
        if message.role == "tool" and open_calls:
            turn["tool_call_id"] = open_calls.pop(0)
        elif message.role == "user":
            open_calls.clear()
        turns.append(turn)
    return turns


def tool_list(tools: str) -> list[dict[str, Any]] | None:
    """Return a conversation's tools, None when it has none. Bare descriptions are wrapped as OpenAI's functions.

    Raises:
        DataError: if it is not a JSON list of objects with names.
    """
    if not tools.strip():
        return None
    try:
        listed = json.loads(tools)
    except ValueError as error:
        raise DataError(problem("render.bad_tools", reason=str(error))) from error
    if isinstance(listed, dict):
        listed = [listed]
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise DataError(problem("render.bad_tools", reason=tools[:80]))
    wrapped = [each if "function" in each else {"type": "function", "function": each} for each in listed]
    if any(not isinstance(each["function"], dict) or not each["function"].get("name") for each in wrapped):
        raise DataError(problem("render.bad_tools", reason=tools[:80]))
    return wrapped or None


def names(turns: Sequence[dict[str, Any]], tools: Sequence[dict[str, Any]] | None) -> list[str]:
    """Return the names of the tools on offer and of the calls: what a rendered text must show."""
    called = [call["function"]["name"] for turn in turns for call in turn.get("tool_calls", [])]
    return [*(each["function"]["name"] for each in tools or []), *called]
