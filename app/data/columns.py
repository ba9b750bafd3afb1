"""Columns: what the chosen set was recognised as and why, the other ways to read it, and a form for saying it oneself."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from app.data import readings as data_readings
from app.data.stage import Stage
from app.parts import when
from core.data.registry import DatasetEntry
from core.errors import DataError, problem


@dataclass(frozen=True)
class ColumnsSection:
    shown: Any

    @property
    def outputs(self) -> list[Any]:
        return [self.shown]


def build(stage: Stage) -> ColumnsSection:
    """Lay out the section."""
    return ColumnsSection(data_readings.block("columns"))


def wire(stage: Stage, section: ColumnsSection) -> None:
    """Wire the section."""

    def use(values: Mapping[Any, Any], event: gr.EventData) -> dict[Any, Any]:
        entry = stage.entry(values)
        tried = data_readings.trying(str(event.pick), event.answers)
        if tried is not None:
            return {section.shown: _told(stage, entry, tried)}
        if entry.sample:
            raise DataError(problem("data.is_sample", entry.name))
        chosen = data_readings.picked(data_readings.look(entry.file), str(event.pick), event.answers)
        asked = {"file": str(entry.file), "name": entry.name, "description": entry.description, "split": False}
        return stage.start("add", **asked, **chosen)

    when(section.shown.click, use, stage.inputs, [section.shown, *stage.work.outputs], stage.notice, stage.t)


def show(stage: Stage, section: ColumnsSection, entry: DatasetEntry) -> dict[Any, Any]:
    """Return the updates for a set."""
    return {section.shown: _told(stage, entry)}


def _told(stage: Stage, entry: DatasetEntry, tried: data_readings.Tried | None = None) -> str:
    t = stage.t
    seen = data_readings.look(entry.file)
    known = data_readings.kind_name(entry.recognised or entry.reading.format, t)
    head = f'<p class="note">{escape(t("columns.now", kind=known))}</p>'
    return head + data_readings.shown(seen, "columns", t, entry.reading, not entry.sample, tried)
