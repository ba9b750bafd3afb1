"""The answers of an evaluation, a page at a time: what was asked, what was expected, what each said, what changed."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from app.evaluate.layout import EvaluatePage
from app.parts import empty
from core.evaluate.changes import as_html, changes, shown
from core.evaluate.contestants import BASE, TUNED
from core.evaluate.in_words import called, figure
from core.evaluate.reading import VIEWS, select
from core.evaluate.rows import Row, rows
from core.wording import Translator, has

PAGE = 20  # rows on a page; chosen by us: they fit on a few screens
_SCORES = ("rougeL", "f1")
_ABOUT_CHANGE = ("most_changed", "got_worse", "got_better")


def updates(
    page: EvaluatePage, job: Path | None, values: Mapping[Any, Any], t: Translator, first: int = 0
) -> dict[Any, Any]:
    """Return the updates that show the answers that the filters want, from row `first`."""
    part, found = page.reading, rows(job) if job else []
    who = list(dict.fromkeys(each for row in found for each in row.answers))
    others = [each for each in who if each != BASE]
    looked_at = values[part.who] if values[part.who] in others else TUNED
    view = values[part.view] if values[part.view] in VIEWS else "all"
    sources = list(dict.fromkeys(f"{row.item.kind}/{row.item.source}" for row in found))
    chosen_source = values[part.source] if values[part.source] in sources else ""
    kind, _, source = chosen_source.partition("/")
    chosen = select(found, view, source=source, kind=kind or None, words=values[part.words] or "", who=looked_at)
    first = max(0, min(first, max(0, (len(chosen) - 1) // PAGE * PAGE)))
    shown_rows = chosen[first : first + PAGE]
    named = [(_named(each, t), each) for each in sources]
    return {
        part.view: gr.update(value=view),
        part.source: gr.update(choices=[(t("answers.everything"), ""), *named], value=chosen_source),
        part.who: gr.update(
            choices=[(called(each, t), each) for each in others], value=looked_at, visible=len(others) > 1
        ),
        part.listed: _listed(shown_rows, view, looked_at, bool(found), t),
        part.place: escape(_place(first, len(shown_rows), len(chosen), t)),
        part.back: gr.update(interactive=first > 0),
        part.onward: gr.update(interactive=first + PAGE < len(chosen)),
        part.first: first,
        part.file: gr.update(visible=False),
    }


def _named(place: str, t: Translator) -> str:
    """Return what `kind/source` is called."""
    kind, _, source = place.partition("/")
    return source if kind == "data" else t(f"probe.{source}")


def _listed(found: Sequence[Row], view: str, who: str, any_rows: bool, t: Translator) -> str:
    if not any_rows:
        return empty(t("answers.none"))
    about = f'<p class="note">{escape(t(f"view_help.{view}"))}</p>'
    if not found:
        return about + empty(t("answers.none_here"))
    return about + "".join(_one(row, view, who, t) for row in found)


def _one(row: Row, view: str, who: str, t: Translator) -> str:
    item = row.item
    tags = [_named(f"{item.kind}/{item.source}", t)]
    tags += [t(key) if has(key := f"{kind}.{item.tag}") else item.tag for kind in _kinds(item.kind) if item.tag]
    tags += [t(f"probe.under.{item.under}")] if item.under else []
    chips = "".join(f'<span class="chip">{shown(tag)}</span>' for tag in tags)
    number = f'<span class="number">{escape(t("answers.row", n=f"{item.row:,}"))}</span>'
    head = f"<header>{number}{chips}{_verdict(row, who, t)}</header>"
    answers = [
        _said(t("answers.question"), f"<div dir='auto'>{shown(item.question)}</div>", "question"),
        _said(t("answers.expected"), f"<div dir='auto'>{shown(item.expected)}</div>", "expected")
        if item.expected
        else "",
        _said(called(BASE, t), f"<div dir='auto'>{_answer(row, BASE, shown(row.text(BASE)), t)}</div>", "base"),
        _said(called(who, t), f"<div dir='auto'>{_answer(row, who, _marked(row, view, who), t)}</div>", "tuned"),
    ]
    return f'<article class="answer">{head}<dl>{"".join(answers)}</dl></article>'


def _marked(row: Row, view: str, who: str) -> str:
    """Return an answer with what differs from the expected one, or from the base's where the view is about change.

    An answer that has next to nothing in common with the other is shown as it is: all of it would be marked.
    """
    mine = row.text(who)
    other = row.text(BASE) if view in _ABOUT_CHANGE or not row.item.expected else row.item.expected
    found = changes(other, mine)
    return as_html(found) if row.item.kind == "data" and any(each.kind == "same" for each in found) else shown(mine)


def _kinds(kind: str) -> tuple[str, ...]:
    return ("identity_tag",) if kind == "identity" else ("ability",) if kind == "kept" else ("task",)


def _said(label: str, inside: str, kind: str) -> str:
    return f'<div class="{kind}"><dt>{escape(label)}</dt><dd>{inside}</dd></div>'


def _answer(row: Row, who: str, text: str, t: Translator) -> str:
    answer = row.answers.get(who)
    if answer is None:
        return f'<span class="soft">{escape(t("answers.not_yet"))}</span>'
    if not answer.asked:
        return f'<span class="soft">{escape(t("answers.not_asked"))}</span>'
    cut = "" if answer.ended else f' <span class="chip warn">{escape(t("answers.cut"))}</span>'
    if not answer.text.strip():
        return f'<span class="soft">{escape(t("answers.empty"))}</span>{cut}'
    return text + cut


def _verdict(row: Row, who: str, t: Translator) -> str:
    """Return who was right, in words, and the scores of the contestant that is looked at."""
    base, mine = row.value(BASE, "right"), row.value(who, "right")
    if mine is None:
        return ""
    word = {(True, True): "both", (False, True): "only_tuned", (True, False): "only_base"}.get(
        (bool(base), bool(mine)), "neither"
    )
    kind = "good" if mine else "bad"
    values = [(name, row.value(who, name)) for name in _SCORES]
    told = " · ".join(f"{t(f'metric.{name}')} {figure(value)}" for name, value in values if value is not None)
    return (
        f'<span class="right {kind}">{escape(t(f"answers.was.{word}"))}</span><span class="soft">{escape(told)}</span>'
    )


def _place(first: int, count: int, total: int, t: Translator) -> str:
    return t("records.place", first=f"{first + 1:,}", last=f"{first + count:,}", total=f"{total:,}") if total else ""
