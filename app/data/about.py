"""About: the facts of the chosen set; its name and description, which can be changed; and its way to the trash."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from app.data.stage import Stage
from app.parts import facts, html, when
from core.data.registry import DatasetEntry


@dataclass(frozen=True)
class AboutSection:
    known: Any
    own: Any
    name: Any
    description: Any
    save: Any
    remove: Any
    confirm: Any
    question: Any
    yes: Any
    no: Any

    @property
    def outputs(self) -> list[Any]:
        return [self.known, self.own, self.name, self.description, self.confirm, self.question]

    @property
    def typed(self) -> list[Any]:
        """What a person may be in the middle of, which a refresh from elsewhere leaves alone."""
        return [self.name, self.description, self.confirm]


def build(stage: Stage) -> AboutSection:
    """Lay out the section."""
    t = stage.t
    known = html("data-facts")
    with gr.Column(visible=False, elem_classes="plain") as own:
        name = gr.Textbox(label=t("data.name"), elem_id="about-name", max_lines=1)
        description = gr.Textbox(label=t("data.description"), elem_id="about-description", max_lines=3)
        with gr.Row(elem_classes="actions"):
            save = gr.Button(t("about.save"), elem_id="about-save")
            remove = gr.Button(t("data.remove"), elem_id="data-remove", variant="stop")
    with gr.Column(visible=False, elem_id="data-confirm", elem_classes="confirm") as confirm:
        question = html("data-confirm-text")
        with gr.Row(elem_classes="actions"):
            yes = gr.Button(t("about.yes"), elem_id="data-yes", variant="stop")
            no = gr.Button(t("about.no"), elem_id="data-no")
    return AboutSection(known, own, name, description, save, remove, confirm, question, yes, no)


def wire(stage: Stage, section: AboutSection) -> None:
    """Wire the section."""
    t, registry = stage.t, stage.studio.registry

    def save(values: Mapping[Any, Any]) -> dict[Any, Any]:
        name, wanted = values[stage.chosen] or "", (values[section.name] or "").strip()
        if wanted and wanted != name:
            name = registry.rename(name, wanted).name
        registry.describe(name, (values[section.description] or "").strip())
        return stage.finish(values, name, t("about.saved", name=name))

    def ask(values: Mapping[Any, Any]) -> dict[Any, Any]:
        text = t("about.really", name=values[stage.chosen] or "")
        return {section.confirm: gr.update(visible=True), section.question: f"<p>{escape(text)}</p>"}

    def remove(values: Mapping[Any, Any]) -> dict[Any, Any]:
        name = values[stage.chosen] or ""
        registry.remove(name)
        return stage.finish(values, None, t("data.removed", name=name))

    def no(values: Mapping[Any, Any]) -> dict[Any, Any]:
        return {section.confirm: gr.update(visible=False)}

    typed = {*stage.inputs, section.name, section.description}
    when(section.save.click, save, typed, stage.outputs, stage.notice, t)
    when(section.remove.click, ask, stage.inputs, section.outputs, stage.notice, t, reads=True)
    when(section.yes.click, remove, stage.inputs, stage.outputs, stage.notice, t)
    when(section.no.click, no, stage.inputs, section.outputs, stage.notice, t, reads=True)


def show(stage: Stage, section: AboutSection, entry: DatasetEntry) -> dict[Any, Any]:
    """Return the updates for a set."""
    return {
        section.known: facts(_facts(stage, entry)),
        section.own: gr.update(visible=not entry.sample),
        section.name: entry.name,
        section.description: entry.description,
        section.confirm: gr.update(visible=False),
    }


def _facts(stage: Stage, entry: DatasetEntry) -> list[tuple[str, str]]:
    t = stage.t
    pairs = [
        (t("data.file"), entry.file.name or "–"),
        ("SHA-1", entry.sha1 or "–"),
        (t("data.rows"), f"{entry.rows:,}" if entry.rows else "–"),
        (t("data.kind"), t(f"kind.{entry.kind}")),
        (t("data.format"), entry.recognised or entry.reading.format),
    ]
    with suppress(OSError):  # the head says that the file is gone
        pairs.insert(1, (t("about.size"), f"{entry.file.stat().st_size / 1e6:,.2f} MB"))
    return pairs
