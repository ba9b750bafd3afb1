"""Marks that stand inside of texts: a leading `[TASK]`, `<STOP>`, and where reasoning ends and the answer begins."""

import re

STOP = "<STOP>"
TASK = re.compile(r"\[([A-Z_ ]{2,24})\]\s*")  # facts of common multi-task sets: [SUMMARIZE], [QA], …
_THINK = re.compile(r"^\s*<think>.*?</think>\s*", re.DOTALL)
_ANSWER = re.compile(r"<ANSWER>:\s*")


def split_task(text: str) -> tuple[str, str]:
    """Return the task of a leading tag in small letters, and the text without it; "" and the text where there is none."""
    found = TASK.match(text)
    return (found[1].strip().lower().replace(" ", "_"), text[found.end() :]) if found else ("", text)


def has_reasoning(text: str) -> bool:
    return "<ANSWER>:" in text or "</think>" in text


def final_answer(text: str) -> str:
    """Return what follows the thinking and the last `<ANSWER>:`; the text where neither mark is there."""
    told = _ANSWER.split(_THINK.sub("", text))[-1]
    return told.replace(STOP, "").strip() if told != text else text
