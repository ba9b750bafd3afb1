"""What stands above every tab and is told to every open page: the jobs at work, who may write, and what a chat holds up.

It comes with every answer of `app.live`; nothing is sent through the page's event queue, and nothing is drawn when nothing
has changed.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from typing import Any

import gradio as gr

from app import queue_card, turns
from app.notices import done
from app.parts import html, picking, when
from app.runs.rerun import settings_of
from app.studio import Studio
from core.runs import queue
from core.wording import Translator, words

_TWICE_A_SECOND = 2  # how often it is worked out at most, however many pages ask


@dataclass(frozen=True)
class Queued:
    """The card of the queue; its buttons raise `shown.click` with "ACTION JOB"."""

    shown: Any
    notice: Any


def told(studio: Studio, t: Translator, with_queue: bool) -> dict[str, str]:
    """Return the texts of the badge, the notes above the tabs, and where it is wanted the card of the queue."""
    moment = int(time.monotonic() * _TWICE_A_SECOND)
    state = (queue.stamp(studio.workspace), studio.owner is None or studio.owner.writes)
    return _told(studio, t("language.code"), with_queue, moment, state)


@lru_cache(maxsize=8)
def _told(studio: Studio, language: str, with_queue: bool, _: int, __: Any) -> dict[str, str]:
    t = words(language)
    said = {"badge": queue_card.badge(studio, t), "notes": _read_only(studio, t) + _held(studio, t)}
    return {**said, "queue": queue_card.card(studio, t)} if with_queue else said


def build(studio: Studio, notice: Any, t: Translator) -> None:
    """Lay out the place of the notes, and the two buttons that their buttons press."""
    html("standing-box", '<div id="standing"></div>')
    take_over = gr.Button(elem_id="take-over", elem_classes="pressed")
    end_chats = gr.Button(elem_id="end-chats", elem_classes="pressed")

    def take(values: Mapping[Any, Any]) -> dict[Any, Any]:
        if studio.owner is not None:
            studio.owner.take_over()
        done(t("owner.taken"), t("language.code"))
        return {}

    def end(values: Mapping[Any, Any]) -> dict[Any, Any]:
        studio.end_chats()
        begun = turns.begin_ready(studio)
        done(t("queue.chat_ended", n=len(begun)), t("language.code"))
        return {}

    when(take_over.click, take, set(), [], notice, t, reads=True)  # it asks for the right that all others need
    when(end_chats.click, end, set(), [], notice, t)


def build_queue(studio: Studio, t: Translator) -> Queued:
    """Lay out the card of the queue and wire its buttons, but for Edit, which is the page's."""
    with gr.Column(elem_classes="card"):
        gr.HTML(f"<h3>{escape(t('queue.title'))}</h3>", js_on_load=None)
        shown = picking("queue", '<div id="queue-box"></div>')
        notice = html("queue-notice")

    def press(values: Mapping[Any, Any], event: gr.EventData) -> Any:
        action, _, name = str(event.pick).partition(" ")
        if action not in ("first", "up", "down", "cancel"):
            return gr.skip()
        said = queue_card.act(studio, action, name, t)
        if said:
            done(said, t("language.code"))
        turns.begin_ready(studio)
        return {}

    when(shown.click, press, set(), [], notice, t)
    return Queued(shown, notice)


def wire_edit(studio: Studio, queued: Queued, tabs: Any, form: Any, t: Translator) -> None:
    """Let the Edit button of a waiting training fill the Train form; what is started there takes its place."""

    def edit(values: Mapping[Any, Any], event: gr.EventData) -> Any:
        action, _, name = str(event.pick).partition(" ")
        if action != "edit":
            return gr.skip()
        run = studio.run(queue_card.waiting_job(studio, name).name)
        settings, minded = settings_of(studio, run)
        filled = form.fill(settings, t("train.editing", name=run.name), minded, run.name)
        return {tabs: gr.Tabs(selected="train"), **filled}

    when(queued.shown.click, edit, set(), [tabs, *form.filling.outputs], queued.notice, t)


def _read_only(studio: Studio, t: Translator) -> str:
    if studio.owner is None or studio.owner.writes:
        return ""
    text = t("owner.banner", address=studio.owner.where())
    return _note(text, "take-over", t("owner.take_over"), t("owner.asking"), "read-only")


def _held(studio: Studio, t: Translator) -> str:
    waiting = queue_card.held(studio, t)
    if not waiting or (studio.owner is not None and not studio.owner.writes):
        return ""
    return _note(" ".join(waiting), "end-chats", t("queue.end_chat"), t("queue.ending_chat"), "held")


def _note(text: str, pressed: str, label: str, busy: str, id: str) -> str:
    return (
        f'<div class="notice warning" role="status" id="{id}"><p>{escape(text)}</p>'
        f'<button type="button" class="small" data-press="{pressed}" data-busy="{escape(busy)}">{escape(label)}</button>'
        "</div>"
    )
