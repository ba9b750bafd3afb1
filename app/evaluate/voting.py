"""Blind votes: two answers to one question, whose they are is not told, and what the votes say in the end."""

from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from app.evaluate.layout import EvaluatePage
from app.parts import empty
from core.evaluate import answers, items, scores, votes
from core.evaluate.changes import shown
from core.evaluate.in_words import votes_words
from core.evaluate.pairs import Pair, pairs
from core.wording import Translator


def updates(page: EvaluatePage, job: Path | None, t: Translator) -> dict[Any, Any]:
    """Return the updates that show the next pair of an evaluation that has ended, and what was voted."""
    part = page.votes
    found = _pairs(job) if job else []
    if job is None or not found:
        return {part.box: gr.update(visible=False)}
    blind = votes.next_pair(job, found)
    told = votes.summary(job, scores.grades(job))
    buttons = dict.fromkeys((part.left, part.right, part.tie, part.bad), gr.update(interactive=blind is not None))
    return {
        part.box: gr.update(visible=True),
        part.item: blind.item if blind else "",
        part.pair: _pair(blind, t) if blind else empty(t("votes.all_done")),
        part.undo: gr.update(interactive=told["n"] > 0),
        part.told: f'<p class="note">{escape(votes_words(told, t))}</p>',
        **buttons,
    }


def vote(job: Path, item: str, choice: votes.Choice) -> None:
    """Cast a vote on the pair that a page shows; one that is none of this evaluation is passed over."""
    if any(pair.item == item for pair in _pairs(job)):
        votes.vote(job, item, choice)


def _pairs(job: Path) -> list[Pair]:
    return pairs(items.read(job), answers.read(job)[0])


def _pair(blind: votes.Blind, t: Translator) -> str:
    def side(label: str, text: str) -> str:
        return f'<div><h5>{escape(label)}</h5><div class="text" dir="auto">{shown(text) or "–"}</div></div>'

    asked = f'<div class="question" dir="auto">{shown(blind.question)}</div>'
    wanted = f'<div dir="auto">{shown(blind.expected)}</div>'
    expected = f"<details><summary>{escape(t('votes.expected'))}</summary>{wanted}</details>"
    both = side(t("votes.left"), blind.left) + side(t("votes.right"), blind.right)
    return f'<div class="blind">{asked}<div class="sides">{both}</div>{expected if blind.expected else ""}</div>'
