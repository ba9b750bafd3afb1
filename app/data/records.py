"""Records: the rows of the chosen set, a page at a time. A page is found by an index of the file, however long it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from app import records
from app.data.stage import Stage
from app.parts import empty, html, when
from core.data.index import RowIndex
from core.data.page import page_of
from core.data.registry import DatasetEntry
from core.errors import Problem
from core.wording import Translator

PAGE = 10  # rows on a page; chosen by us: they fit on two screens


@dataclass(frozen=True)
class RecordsSection:
    first: Any  # State: the number of the first row on the page, counted from 0
    shown: Any
    place: Any
    goto: Any
    back: Any
    onward: Any

    @property
    def outputs(self) -> list[Any]:
        return [self.first, self.shown, self.place, self.back, self.onward]


def build(stage: Stage) -> RecordsSection:
    """Lay out the section."""
    t = stage.t
    with gr.Row(elem_classes="pager"):
        back = gr.Button(t("records.back"), elem_id="records-back", size="sm", min_width=90)
        place = html("records-place")
        onward = gr.Button(t("records.onward"), elem_id="records-onward", size="sm", min_width=90)
        goto = gr.Textbox(placeholder=t("records.goto"), label=t("records.goto"), show_label=False, max_lines=1,
                          elem_id="records-goto", min_width=110)  # fmt: skip
    shown = html("records")
    return RecordsSection(gr.State(0), shown, place, goto, back, onward)


def wire(stage: Stage, section: RecordsSection) -> None:
    """Wire the section."""
    t = stage.t

    def turn(values: Mapping[Any, Any], by: int) -> dict[Any, Any]:
        entry = stage.entry(values)
        return show(stage, section, entry, values[section.first] + by)

    def go(values: Mapping[Any, Any]) -> dict[Any, Any]:
        entry = stage.entry(values)
        return show(stage, section, entry, _number(values[section.goto]) - 1)

    inputs = {stage.chosen, section.first, section.goto}
    when(section.back.click, lambda values: turn(values, -PAGE), inputs, section.outputs, stage.notice, t, reads=True)
    when(section.onward.click, lambda values: turn(values, PAGE), inputs, section.outputs, stage.notice, t, reads=True)
    when(section.goto.submit, go, inputs, section.outputs, stage.notice, t, reads=True)


def show(stage: Stage, section: RecordsSection, entry: DatasetEntry, first: int = 0) -> dict[Any, Any]:
    """Return the updates that show the page that begins at row `first`, or as near as there are rows."""
    total = len(RowIndex.of(entry.file, stage.studio.workspace.cache))
    first = max(0, min(first, total - 1))
    rows = page_of(stage.studio.workspace, entry, first, PAGE)
    t = stage.t
    listed = "".join(_one(first + offset + 1, row, found, t) for offset, (row, found) in enumerate(rows))
    last = first + len(rows)
    return {
        section.first: first,
        section.shown: listed or empty(t("records.none")),
        section.place: escape(t("records.place", first=f"{first + 1:,}", last=f"{last:,}", total=f"{total:,}")),
        section.back: gr.update(interactive=first > 0),
        section.onward: gr.update(interactive=last < total),
    }


def _one(number: int, row: Any, found: Any, t: Translator) -> str:
    shown = records.broken(found, t("language.code")) if isinstance(found, Problem) else records.record(found, t)
    head = t("records.row", number=f"{number:,}", place=row.place)
    return f'<article class="record"><h5>{escape(head)}</h5>{shown}{records.raw(row.values, t)}</article>'


def _number(text: str | None) -> int:
    """Return what was typed as a row number; what is not one is the first row."""
    digits = "".join(each for each in text or "" if each.isdecimal())
    return int(digits[:12]) if digits else 1
