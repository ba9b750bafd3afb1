"""Bundles: a run as a file to take away, and one that came from elsewhere."""

import os
import tempfile
from pathlib import Path
from typing import Any

import gradio as gr

from app.studio import Studio
from core.amounts import bytes_of
from core.runs import bundle, unbundle
from core.runs.directory import Run
from core.wording import Translator


def offered(studio: Studio, run: Run, t: Translator) -> Any:
    """Write the bundle of a run where the page may serve it from, and return the update of the button that saves it."""
    folder = Path(tempfile.mkdtemp(dir=os.environ.get("GRADIO_TEMP_DIR")))
    file = bundle.write(studio.workspace, run, folder / f"{run.name}{bundle.SUFFIX}")
    label = t("bundle.save", name=file.name, size=bytes_of(file.stat().st_size))
    return gr.update(visible=True, value=str(file), label=label)


def opened(studio: Studio, uploaded: Any) -> Run:
    """Make a run of an uploaded bundle and return it; the upload is removed."""
    file = Path(str(uploaded))
    try:
        return unbundle.open_bundle(studio.workspace, file)
    finally:
        file.unlink(missing_ok=True)


def none_offered() -> Any:
    return gr.update(visible=False, value=None)
