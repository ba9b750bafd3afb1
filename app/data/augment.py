"""Augment: more rows from the ones that are learnt, each marked with the row and the method it came from."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from app.data.stage import Stage
from app.parts import html, when
from core.data.augment import METHODS
from core.data.registry import DatasetEntry
from core.errors import DataError, problem


@dataclass(frozen=True)
class AugmentSection:
    methods: Any
    share: Any
    seed: Any
    note: Any
    start: Any

    @property
    def outputs(self) -> list[Any]:
        return [self.note, self.start]


def build(stage: Stage) -> AugmentSection:
    """Lay out the section."""
    t = stage.t
    gr.HTML(f'<p class="small">{escape(t("augment.help"))}</p>', js_on_load=None)
    methods = gr.CheckboxGroup(
        [(t(f"augment.method.{name}"), name) for name in METHODS], label=t("augment.methods"), elem_id="augment-methods"
    )
    with gr.Row(elem_classes="fields"):
        share = gr.Number(20, label=t("augment.share"), info=t("augment.share_help"), elem_id="augment-share",
                          min_width=140)  # fmt: skip
        seed = gr.Number(7, label=t("parts.seed"), precision=0, elem_id="augment-seed", min_width=90)
    note = html("augment-note")
    with gr.Row(elem_classes="actions"):
        start = gr.Button(t("augment.start"), elem_id="augment-start")
    return AugmentSection(methods, share, seed, note, start)


def wire(stage: Stage, section: AugmentSection) -> None:
    """Wire the section."""

    def augment(values: Mapping[Any, Any]) -> dict[Any, Any]:
        entry = stage.entry(values)
        methods = list(values[section.methods] or [])
        if not methods:
            raise DataError(problem("augment.unknown_method", "", given="-", known=", ".join(METHODS)))
        share = float(values[section.share] or 0) / 100
        return stage.start(
            "augment", name=entry.name, methods=methods, share=share, seed=int(values[section.seed] or 0)
        )

    fields = {section.methods, section.share, section.seed}
    when(section.start.click, augment, {*stage.inputs, *fields}, stage.work.outputs, stage.notice, stage.t)


def show(stage: Stage, section: AugmentSection, entry: DatasetEntry) -> dict[Any, Any]:
    """Return the updates for a set."""
    key = "augment.sample" if entry.sample else "" if entry.parts else "augment.not_split"
    return {
        section.note: f'<p class="note different">{escape(stage.t(key))}</p>' if key else "",
        section.start: gr.update(visible=not entry.sample),
    }
