"""A page is told that there is news of something, and only then fetches it with an event of its own.

A timer of Gradio would send an event each second from every open page, news or not. A pulse is a button that nobody sees; the
page's script (`live.js`) presses it when the stamp of its name has changed in what `app.live` answers.
"""

from pathlib import Path
from typing import Any

import gradio as gr

from app.studio import Studio
from core.runs import process

_LOOKED_AT = 8  # newest jobs; chosen by us: those that run are among them


def pulse(name: str) -> Any:
    """Return the unseen button of a name."""
    return gr.Button(name, elem_id=f"pulse-{name}", visible="hidden")


class Working:
    """The jobs of the workspace that are at work: measuring a plan, downloading a model, building data."""

    def __init__(self) -> None:
        self._ended: set[str] = set()

    def __call__(self, studio: Studio) -> str:
        """Return a stamp that is another whenever one of them has told something, has begun or has ended.

        The newest is named in any case: it may have begun and ended between two questions.
        """
        folder = studio.workspace.jobs
        names = sorted((each.name for each in folder.iterdir()), reverse=True)[:_LOOKED_AT] if folder.is_dir() else []
        self._ended &= set(names)
        working = (self._stamp(folder / name) for name in names if name not in self._ended)
        return " ".join([*names[:1], *filter(None, working)])

    def _stamp(self, job: Path) -> str:
        status = process.status(job)
        if status not in ("queued", "running"):
            self._ended.add(job.name)
            return ""
        log = job / "events.jsonl"
        return f"{job.name}:{status}:{log.stat().st_size if log.exists() else 0}:{(job / 'stop').exists()}"
