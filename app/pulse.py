"""A page is told that there is news of something, and only then fetches it with an event of its own.

A timer of Gradio would send an event each second from every open page, news or not. A pulse is a button that nobody sees; the
page's script (`live.js`) presses it when the stamp of its name has changed in what `app.live` answers, and its tab is shown.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from app.studio import Studio
from core.experiments.directory import Experiment
from core.runs import process, queue

# Seconds after which the list of runs is drawn anew, while one is at work and else; chosen by us.
_OFTEN, _SELDOM = 4.0, 30.0
Pulse = Callable[[Studio], str]
# How a pulse is wired: one that comes while the handler is still at work is handled after it, not dropped.
PULSED: dict[str, Any] = {"toast": False, "reads": True, "trigger_mode": "always_last"}


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
        names = sorted((each.name for each in folder.iterdir()), reverse=True) if folder.is_dir() else []
        self._ended &= set(names)
        working = (self._stamp(folder / name) for name in names if name not in self._ended)
        return " ".join([*names[:1], *filter(None, working)])

    def _stamp(self, job: Path) -> str:
        status = process.status(job)
        if status not in ("queued", "running"):
            self._ended.add(job.name)
            return ""
        return _told(job, status)


def queued(worker: str) -> Pulse:
    """Return the pulse of the jobs of one worker that wait or run."""

    def stamp(studio: Studio) -> str:
        root = studio.workspace.root
        running = [root / each.job for each in queue.look(studio.workspace).running if each.worker == worker]
        return " ".join([str(queue.stamp(studio.workspace)), *(_told(job, process.status(job)) for job in running)])

    return stamp


def experiments(studio: Studio) -> str:
    """Return the stamp of the experiments: which there are, and how far they and the runs that they are at have come."""
    root, folder = studio.workspace.root, studio.workspace.experiments
    running = [
        root / each.job for each in queue.look(studio.workspace).running if each.worker == "core.experiments.worker"
    ]
    children = [list(Experiment(job).children().values())[-1:] for job in running]
    at_work = [*running, *(root / child for made in children for child in made)]
    made = folder.stat().st_mtime_ns if folder.is_dir() else 0
    return " ".join(
        [str(made), str(queue.stamp(studio.workspace)), *(_told(job, process.status(job)) for job in at_work)]
    )


def listed(studio: Studio) -> str:
    """Return the stamp of the list of runs. It goes by the clock: curves grow with every step, and other tabs write notes."""
    growing = queue.look(studio.workspace).running or studio.shelf.left
    return f"{queue.stamp(studio.workspace)} {time.monotonic() // (_OFTEN if growing else _SELDOM)}"


def pulses() -> dict[str, Pulse]:
    """Return the pulses of all tabs."""
    working = Working()
    return {
        "jobs": working,
        "data": lambda studio: f"{working(studio)} {studio.registry.stamp()}",  # which others write too
        "evaluations": queued("core.evaluate.worker"),
        "merges": queued("core.merge.worker"),
        "experiments": experiments,
        "listed": listed,
    }


def _told(job: Path, status: str) -> str:
    """Return what changes when a job tells something, ends, or is asked to stop."""
    try:
        told = (job / "events.jsonl").stat().st_size
    except FileNotFoundError:
        told = 0
    return f"{job.name}:{status}:{told}:{(job / 'stop').exists()}"
