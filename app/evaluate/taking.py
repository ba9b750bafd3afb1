"""What can be taken along: the report as one HTML file, and all answers as a table."""

import os
import tempfile
from pathlib import Path
from typing import Any

import gradio as gr

from core.amounts import bytes_of
from core.evaluate import scores
from core.evaluate.export import write_csv
from core.evaluate.report import write_report
from core.evaluate.rows import rows
from core.runs.directory import Run
from core.wording import Translator


def report(run: Run, job: Path, t: Translator) -> Any:
    """Write the report where the page may serve it from, and return the update of the button that saves it."""
    score = scores.of(run, job)
    assert score is not None
    return _offered(write_report(job, score, t, _folder() / f"{run.name}.html"), t)


def csv(run: Run, job: Path, t: Translator) -> Any:
    """Write the answers as CSV, and return the update of the button that saves them."""
    return _offered(write_csv(rows(job), _folder() / f"{run.name}.csv"), t)


def _folder() -> Path:
    return Path(tempfile.mkdtemp(dir=os.environ.get("GRADIO_TEMP_DIR")))


def _offered(file: Path, t: Translator) -> Any:
    label = t("bundle.save", name=file.name, size=bytes_of(file.stat().st_size))
    return gr.update(visible=True, value=str(file), label=label)
