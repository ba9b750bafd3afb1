"""What a person writes about a run: note, tags, put away or not; and the trash, from which deleted runs come back."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from html import escape
from time import localtime, strftime
from typing import Any

import gradio as gr

from app.parts import empty, pick, picking, table
from app.studio import Studio
from core.amounts import bytes_of
from core.runs import notes, trash
from core.runs.directory import Run
from core.wording import Translator


@dataclass(frozen=True)
class NoteForm:
    box: Any
    note: Any
    tags: Any
    save: Any

    @property
    def outputs(self) -> list[Any]:
        return [self.box, self.note, self.tags]


def build_notes(t: Translator) -> NoteForm:
    """Lay the form out."""
    with gr.Row(visible=False, elem_classes="save", elem_id="runs-note-box") as box:
        note = gr.Textbox(label=t("runs.note"), placeholder=t("runs.note_help"), lines=2, max_lines=8, scale=4,
                          min_width=220, elem_id="runs-note")  # fmt: skip
        tags = gr.Textbox(label=t("runs.tags"), placeholder=t("runs.tags_help"), max_lines=1, scale=2, min_width=160,
                          elem_id="runs-tags")  # fmt: skip
        save = gr.Button(t("runs.note_save"), size="sm", scale=0, min_width=110, elem_id="runs-note-save")
    return NoteForm(box, note, tags, save)


def show_notes(form: NoteForm, run: Run | None) -> dict[Any, Any]:
    """Return the updates that show what was written about a run. Sent when it is chosen, never while somebody types."""
    if run is None:
        return {form.box: gr.update(visible=False), form.note: "", form.tags: ""}
    found = notes.read(run.path)
    return {form.box: gr.update(visible=True), form.note: found.note, form.tags: ", ".join(found.tags)}


def save(form: NoteForm, run: Run, values: Mapping[Any, Any]) -> None:
    """Write down what the form says."""
    found = notes.read(run.path)
    written = replace(found, note=values[form.note] or "", tags=notes.tags_in(values[form.tags] or ""))
    notes.write(run.path, written)


def archive(run: Run) -> bool:
    """Put a run away, or bring it back; return whether it is away now."""
    found = notes.read(run.path)
    return notes.write(run.path, replace(found, archived=not found.archived)).archived


@dataclass(frozen=True)
class TrashBox:
    box: Any
    listed: Any
    empty: Any

    @property
    def outputs(self) -> list[Any]:
        return [self.listed, self.empty]


def build_trash(t: Translator) -> TrashBox:
    """Lay the trash out, folded."""
    with gr.Accordion(t("runs.trash"), open=False, elem_id="runs-trash-box") as box:
        listed = picking("runs-trash")
        with gr.Row(elem_classes="actions"):
            button = gr.Button(t("runs.trash_empty"), visible=False, size="sm", elem_id="runs-trash-empty")
    return TrashBox(box, listed, button)


def show_trash(studio: Studio, box: TrashBox, t: Translator) -> dict[Any, Any]:
    """Return the updates that show what lies in the trash."""
    found = trash.listing(studio.workspace)
    if not found:
        return {box.listed: empty(t("runs.trash_nothing")), box.empty: gr.update(visible=False)}
    rows = [
        [
            escape(each.name),
            escape(strftime("%Y-%m-%d %H:%M", localtime(each.removed))),
            escape(bytes_of(each.bytes)),
            pick(each.name, text=t("runs.restore")),
        ]
        for each in found
    ]
    headers = [t("runs.name"), t("runs.trash_since"), t("runs.size"), t("runs.restore")]
    listed = table(headers, rows, caption=t("runs.trash"), numbers=(2,))
    return {box.listed: listed, box.empty: gr.update(visible=True)}


def trash_stamp(studio: Studio) -> int:
    """Return what changes when something is put into the trash or taken out."""
    try:
        return studio.workspace.trash.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
