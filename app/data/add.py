"""Add: a file that is uploaded, or a file or folder on this machine, brought in by a job that asks when it must.

An uploaded file waits in the workspace's cache while it is checked and while the person decides, so that neither a reload
nor a restarted server loses it; what nobody decides about is swept away after a day.
"""

import re
import shutil
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from app import jobs
from app.data import jobs as data_jobs, readings as data_readings
from app.data.jobs import JobPanel
from app.notices import warnings
from app.parts import html, when
from app.studio import Studio
from core.curate.tasks import SPLIT_FROM
from core.data.folders import lists_sets
from core.errors import DataError, Problem, problem
from core.wording import Translator

UNDECIDED = ("data.ambiguous", "data.undecided", "data.unknown_columns")
_STALE = 86_400  # seconds
_AT_A_LINE = re.compile(r":\d+")


@dataclass(frozen=True)
class AddPanel:
    """`waiting` is what a person has to decide about: {"file", "name", "split"}, None when nothing waits."""

    name: Any
    upload: Any
    path: Any
    path_button: Any
    split: Any
    notice: Any
    job: JobPanel
    waiting: Any
    box: Any
    title: Any
    readings: Any
    drop: Any
    partial_box: Any
    partial: Any

    @property
    def outputs(self) -> list[Any]:
        return [self.name, self.upload, self.path, *self.job.outputs, self.waiting, self.box, self.title, self.readings,
                self.partial_box]  # fmt: skip


def build(studio: Studio, t: Translator) -> AddPanel:
    """Lay out the panel."""
    gr.HTML(f'<h4>{escape(t("data.add"))}</h4><p class="small">{escape(t("data.add_help"))}</p>', js_on_load=None)
    with gr.Row(elem_classes="save"):
        name = gr.Textbox(label=t("data.name"), placeholder=t("data.name_empty"), elem_id="data-name", scale=2,
                          min_width=140, max_lines=1)  # fmt: skip
        upload = gr.UploadButton(t("data.upload"), elem_id="data-upload", scale=1,  # of any kind: what cannot be read is told
                                 variant="primary", min_width=120, size="md")  # fmt: skip
    split = gr.Checkbox(True, label=t("data.split"), info=t("data.split_help", least=SPLIT_FROM), elem_id="data-split")
    with gr.Accordion(t("data.on_disk"), open=False, elem_id="data-on-disk"):
        gr.HTML(f'<p class="small">{escape(t("data.path_help"))}</p>', js_on_load=None)
        with gr.Row(elem_classes="save"):
            path = gr.Textbox(label=t("data.path"), elem_id="data-path", scale=2, max_lines=1, min_width=180)
            path_button = gr.Button(t("data.path_add"), elem_id="data-path-add", scale=1, min_width=100, size="md")
    notice = html("data-add-notice")
    job = data_jobs.build(studio, "data-add", ("add", "folder"), notice, t)
    with gr.Column(visible=False, elem_id="data-partial", elem_classes="confirm") as partial_box:
        gr.HTML(f"<p>{escape(t('data.partial_help'))}</p>", js_on_load=None)
        partial = gr.Button(t("data.partial"), elem_id="data-partial-add", size="sm")
    with gr.Column(visible=False, elem_id="data-ask", elem_classes="asking") as box:
        title = html("data-ask-title")
        readings = data_readings.block("data-readings")
        drop = gr.Button(t("readings.drop"), elem_id="data-ask-drop", size="sm")
    return AddPanel(name, upload, path, path_button, split, notice, job, gr.State(None), box, title, readings, drop,
                    partial_box, partial)  # fmt: skip


def wire(studio: Studio, panel: AddPanel, t: Translator) -> None:
    """Wire the panel."""

    def begin(values: Mapping[Any, Any], task: str, file: Path) -> dict[Any, Any]:
        asked: dict[str, Any] = {"folder": str(file)}
        if task == "add":
            asked = {"file": str(file), "name": (values[panel.name] or "").strip() or None}
            asked["split"] = None if values[panel.split] else False  # None: where it makes sense
        return {**closed(panel), **data_jobs.start(studio, panel.job, task, t, **asked)}

    def add(values: Mapping[Any, Any]) -> dict[Any, Any]:
        return begin(values, "add", _kept(studio, Path(values[panel.upload])))

    def add_path(values: Mapping[Any, Any]) -> dict[Any, Any]:
        given = (values[panel.path] or "").strip()
        if not given:
            raise DataError(problem("data.no_path", ""))
        file = studio.workspace.readable(given)
        return begin(values, "folder" if lists_sets(file) else "add", file)

    def use(values: Mapping[Any, Any], event: gr.EventData) -> dict[Any, Any]:
        waiting = _waiting(values[panel.waiting])
        seen = data_readings.look(Path(waiting["file"]))
        tried = data_readings.trying(str(event.pick), event.answers)
        if tried is not None:
            return {panel.readings: data_readings.shown(seen, "ask", t, tried=tried)}
        chosen = data_readings.picked(seen, str(event.pick), event.answers)
        return {**closed(panel), **data_jobs.start(studio, panel.job, "add", t, **{**waiting, **chosen})}

    def leave_out(values: Mapping[Any, Any]) -> dict[Any, Any]:
        asked = {**_waiting(values[panel.waiting]), "leave_out_broken": True}
        return {**closed(panel), **data_jobs.start(studio, panel.job, "add", t, **asked)}

    def drop(values: Mapping[Any, Any]) -> dict[Any, Any]:
        forget(studio, (values[panel.waiting] or {}).get("file"))
        return {**closed(panel), panel.job.ending: ""}

    form = {panel.name, panel.split}
    when(panel.upload.upload, add, {panel.upload, *form}, panel.outputs, panel.notice, t, show_progress="minimal")
    when([panel.path_button.click, panel.path.submit], add_path, {panel.path, *form}, panel.outputs, panel.notice, t)
    when(panel.readings.click, use, {panel.waiting}, panel.outputs, panel.notice, t)
    when(panel.partial.click, leave_out, {panel.waiting}, panel.outputs, panel.notice, t)
    when(panel.drop.click, drop, {panel.waiting}, panel.outputs, panel.notice, t)


def ended(studio: Studio, panel: AddPanel, seen: jobs.Seen, t: Translator) -> dict[Any, Any]:
    """Return the updates after a job of this panel: an empty form, a question to answer, or what can be done about errors."""
    asked = data_jobs.values_of(seen.job)
    file = asked.get("file")
    if seen.status == "finished":
        forget(studio, file)
        return {**closed(panel), panel.name: "", panel.path: "", panel.job.ending: _left_out(seen, t)}
    problems = data_jobs.problems(seen) if file and Path(file).exists() else []
    if any(each.code in UNDECIDED for each in problems):
        return {**_ask(panel, asked, t), panel.job.ending: ""}
    if _about_rows(problems):
        return {panel.waiting: asked, panel.partial_box: gr.update(visible=True)}
    forget(studio, file)
    return {}


def closed(panel: AddPanel) -> dict[Any, Any]:
    """Return the updates that take back every question."""
    hidden = gr.update(visible=False)
    shown = {panel.waiting: None, panel.upload: gr.update(variant="primary"), panel.title: "", panel.readings: ""}
    return {**shown, panel.box: hidden, panel.partial_box: hidden}


def forget(studio: Studio, file: str | None) -> None:
    """Remove an uploaded file that is not needed any more; files of the person's own are never touched."""
    folder = Path(file).parent if file else None
    if folder is not None and folder.parent == _uploads(studio):
        shutil.rmtree(folder, ignore_errors=True)


def _ask(panel: AddPanel, asked: dict[str, Any], t: Translator) -> dict[Any, Any]:
    file = Path(asked["file"])
    title = f"<h4>{escape(t('readings.ask', file=file.name))}</h4>"
    return {
        panel.waiting: asked,
        panel.upload: gr.update(variant="secondary"),  # one primary button at a time
        panel.box: gr.update(visible=True),
        panel.partial_box: gr.update(visible=False),
        panel.title: title,
        panel.readings: data_readings.shown(data_readings.look(file), "ask", t),
    }


def _about_rows(problems: list[Problem]) -> bool:
    """Tell whether the errors are about single rows, so that the others could be used."""
    return bool(problems) and all(_AT_A_LINE.search(each.where) or each.code == "data.more" for each in problems)


def _waiting(asked: dict[str, Any] | None) -> dict[str, Any]:
    if not asked or not Path(asked["file"]).exists():
        raise DataError(problem("data.nothing_waits", ""))
    return asked


def _left_out(seen: jobs.Seen, t: Translator) -> str:
    """Return what a folder of sets could not bring."""
    found = seen.result.get("problems")
    problems = [Problem(**each) for each in found] if isinstance(found, list) else []
    return warnings(problems, t("language.code"))


def _kept(studio: Studio, uploaded: Path) -> Path:
    """Move an uploaded file to where it may wait, under the name it had."""
    uploads = _uploads(studio)
    for old in uploads.glob("*"):
        with suppress(FileNotFoundError):  # another tab sweeps too
            if time.time() - old.stat().st_mtime > _STALE:
                shutil.rmtree(old, ignore_errors=True)
    folder = uploads / uuid.uuid4().hex
    folder.mkdir(parents=True)
    return Path(shutil.move(uploaded, folder / uploaded.name))


def _uploads(studio: Studio) -> Path:
    return studio.workspace.cache / "uploads"
