"""Download: the chosen set in another format, written by a job and handed to the browser."""

import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from app.data.stage import Stage
from app.parts import choice, html, when
from core.data.export import FORMATS
from core.data.registry import DatasetEntry
from core.data.versions import LETTERS
from core.errors import DataError, problem
from core.wording import Translator

WHOLE = "all"
_STALE = 86_400  # seconds that an export is kept which nobody fetched


@dataclass(frozen=True)
class DownloadSection:
    format: Any
    part: Any
    note: Any
    start: Any
    file: Any

    @property
    def outputs(self) -> list[Any]:
        return [self.format, self.part, self.note, self.file]


def build(stage: Stage) -> DownloadSection:
    """Lay out the section."""
    t = stage.t
    parts = [(t(f"download.part.{name}"), name) for name in (WHOLE, *LETTERS)]
    with gr.Row(elem_classes="fields"):
        format = choice([], label=t("download.format"), elem_id="download-format", min_width=220, scale=2)
        part = choice(
            parts, value=WHOLE, label=t("download.part"), elem_id="download-part", min_width=120, visible=False
        )
    html("download-help", f'<p class="small">{escape(t("download.help"))}</p>')
    note = html("download-note")
    with gr.Row(elem_classes="actions"):
        start = gr.Button(t("download.start"), elem_id="download-start")
        file = gr.DownloadButton(t("download.ready"), elem_id="download-file", visible=False, size="md")
    return DownloadSection(format, part, note, start, file)


def wire(stage: Stage, section: DownloadSection) -> None:
    """Wire the section."""
    t = stage.t

    def start(values: Mapping[Any, Any]) -> dict[Any, Any]:
        entry = stage.entry(values)
        format = str(values[section.format])
        if format not in FORMATS:
            raise DataError(problem("data.unknown_export", format, known=", ".join(FORMATS)))
        part = values[section.part] if values[section.part] in LETTERS else None
        asked = {"name": entry.name, "format": format, "out": str(_place(stage, entry.name, part))}
        return {**stage.start("export", part=part, **asked), section.file: _no_file()}

    def changed(values: Mapping[Any, Any]) -> dict[Any, Any]:
        return {section.note: left_out(str(values[section.format]), t), section.file: _no_file()}

    inputs = {*stage.inputs, section.format, section.part}
    when(section.start.click, start, inputs, [*stage.work.outputs, section.file], stage.notice, t)
    when([section.format.input, section.part.input], changed, inputs, section.outputs, stage.notice, t)


def show(stage: Stage, section: DownloadSection, entry: DatasetEntry) -> dict[Any, Any]:
    """Return the updates for a set: the formats that can hold what it is."""
    t = stage.t
    fitting = [name for name, each in FORMATS.items() if entry.kind in each.kinds]
    first = "messages" if "messages" in fitting else fitting[-1]
    choices = [(t(f"download.{name}"), name) for name in fitting]
    return {
        section.format: gr.update(choices=choices, value=first),
        section.part: gr.update(value=WHOLE, visible=entry.parts is not None),
        section.note: left_out(first, t),
        section.file: _no_file(),
    }


def ready(stage: Stage, section: DownloadSection, result: Mapping[str, Any]) -> dict[Any, Any]:
    """Return the update that offers what an export has written; several files become one archive.

    The page serves nothing of the workspace, so the file is copied to the folder that it does serve. Every tab that watches
    the job has its own copy; what was exported is swept after a day.
    """
    exports = _exports(stage)
    written = [Path(each) for each in result["files"]]
    if not written or not all(each.is_relative_to(exports) and each.exists() for each in written):
        return {}  # asked for on the command line, or swept
    source = exports / written[0].relative_to(exports).parts[0]
    folder = Path(tempfile.mkdtemp(dir=os.environ.get("GRADIO_TEMP_DIR")))
    if len(written) == 1:
        file = Path(shutil.copyfile(written[0], folder / written[0].name))
    else:
        file = Path(shutil.make_archive(str(folder / str(result["name"])), "zip", source))
    label = stage.t("download.file", name=file.name, size=f"{file.stat().st_size / 1e6:,.2f}")
    return {section.file: gr.update(visible=True, value=str(file), label=label)}


def left_out(format: str, t: Translator) -> str:
    """Return what a format has no place for, "" where it holds everything."""
    missing = FORMATS[format].leaves_out if format in FORMATS else ()
    named = [t(f"download.without.{each.replace(' ', '_')}") for each in missing]
    return f'<p class="note">{escape(t("download.leaves_out", what=", ".join(named)))}</p>' if named else ""


def _no_file() -> Any:
    return gr.update(visible=False, value=None)


def _place(stage: Stage, name: str, part: str | None) -> Path:
    """Return where an export is written, in a folder of its own."""
    for old in _exports(stage).glob("*"):
        with suppress(FileNotFoundError):  # another tab sweeps too
            if time.time() - old.stat().st_mtime > _STALE:
                shutil.rmtree(old, ignore_errors=True)
    folder = _exports(stage) / uuid.uuid4().hex
    folder.mkdir(parents=True)
    return folder / (f"{name}_{part}" if part else name)


def _exports(stage: Stage) -> Path:
    return stage.studio.workspace.cache / "exports"
