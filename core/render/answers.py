"""Where the answers are in the text of a template that does not mark them: behind the prompts that are asked for them."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from core.render.guard import END, START

Fill = Callable[..., str]  # (messages, with the generation prompt unless told otherwise) -> text


def as_asked(whole: str, messages: Sequence[Mapping[str, Any]], fill: Fill) -> str:
    """Return the text with the last answer behind the prompt that is asked for it.

    For nearly all templates that is the text itself. Mistral's writes the system message only when a question comes last: it
    would be left out of what is learnt, and be there in what is asked.
    """
    if not messages or messages[-1]["role"] != "assistant":
        return whole
    prompt = fill(messages[:-1])
    if whole.startswith(prompt):
        return whole
    tail = _tail(messages[:-1], fill)
    found = whole.rfind(tail) if tail else -1
    return whole if found < 0 else prompt + whole[found + len(tail) :]


def mark_by_prefix(
    whole: str,
    messages: Sequence[Mapping[str, Any]],
    fill: Fill,
    stop_tokens: Sequence[str],
) -> str | None:
    """Return the text with marks around every answer, or None when the template does not show where they are."""
    if not stop_tokens:
        return None
    stop = re.compile("|".join(re.escape(token) for token in stop_tokens))
    spans: list[tuple[int, int]] = []
    for index, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        prompt = fill(messages[:index])
        start = len(prompt) if whole.startswith(prompt) else _behind(whole, _tail(messages[:index], fill), spans)
        ending = None if start is None else stop.search(whole, start)
        if start is None or ending is None:
            return None
        spoken = message["content"].rpartition("</think>")[2].strip()
        called = [call["function"]["name"] for call in message.get("tool_calls", [])]
        if any(each not in whole[start : ending.start()] for each in (spoken, *called)):
            return None
        spans.append((start, ending.end()))
    for start, end in reversed(spans):
        whole = whole[:start] + START + whole[start:end] + END + whole[end:]
    return whole


def _behind(whole: str, tail: str, spans: Sequence[tuple[int, int]]) -> int | None:
    """Return the end of a tail that follows the answers found so far: where the next answer begins.

    Needed where a template writes earlier turns otherwise once there are later ones: Mistral's puts the tools before the
    last question.
    """
    found = whole.find(tail, spans[-1][1] if spans else 0) if tail else -1
    return None if found < 0 else found + len(tail)


def _tail(messages: Sequence[Mapping[str, Any]], fill: Fill) -> str:
    """Return how a prompt ends: the last thing said and what the template puts behind it, "" if that cannot be told."""
    said = messages[-1]["content"].strip() if messages else ""
    if not said:
        return ""
    before, mark, behind = fill([*messages[:-1], {**messages[-1], "content": said + END}]).partition(END)
    return before[-len(said) :] + behind if mark else ""
