"""Following a kind of job (evaluations, merges) of a chosen run: which one is shown, and whether there is news."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import gradio as gr

from app import jobs
from app.pages.run_panel import follow
from app.studio import Studio
from core.runs.directory import Run

Kind = Literal["evaluations", "merges"]


def usable(studio: Studio) -> list[str]:
    """Return the names of the runs that have saved an adapter, newest first."""
    return [run.name for run in studio.runs() if run.adapter() is not None]


def run_choices(studio: Studio, run: Any, values: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return the update of a run dropdown: the usable runs, keeping the chosen one while it exists."""
    names = usable(studio)
    return {run: gr.update(choices=names, value=values[run] if values[run] in names else next(iter(names), None))}


def shown_job(
    run: Run | None, kind: Kind, shown: str | None, before: Any, chosen: bool
) -> tuple[list[str], Path | None]:
    """Return the jobs of a run, newest first, and the one to show."""
    found = {job.name: job for job in reversed(run.jobs(kind))} if run else {}
    names = list(found)
    name = follow(names, shown, before[1] if before else None, chosen)
    return names, found[name] if name else None


def state_of(run: Run | None, names: list[str], seen: jobs.Seen | None, more: Any = None) -> tuple[Any, ...]:
    """Return what a tick compares: the run, its jobs, and the stamp of the one that is shown."""
    stopping = bool(seen and (seen.job / "stop").exists())
    return (run.name if run else None, names, seen.stamp if seen else None, stopping, more)
