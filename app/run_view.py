"""A training as the page shows it: every part as HTML, and what can be done with it. The same for all who look at it."""

import time
from dataclasses import dataclass
from pathlib import Path

from app import alerts, charts, jobs
from app.story import Story
from app.studio import Studio
from core.runs import events, process
from core.runs.directory import Run
from core.train import resume
from core.wording import Translator

GRACE = 60.0  # seconds that a step may take to be saved before "end it at once" is offered, or three usual steps
CHARTS = ("loss-chart", "rate-chart", "speed-chart", "norm-chart")
PARTS = ("run-status", "run-progress", "run-ending", "run-alerts", *CHARTS)
ENDED = ("finished", "failed", "stopped", "lost")


@dataclass(frozen=True)
class Look:
    """A training at one moment. `stamp` is another whenever something that is shown is another."""

    run: Run
    seen: jobs.Seen
    story: Story
    can: tuple[str, ...]
    stamp: str


def look(studio: Studio, run: Run) -> Look:
    """Return the present state. The status is read first: a worker that has ended has written all its events."""
    status = process.status(run.path)
    story = studio.story(run.path)
    seen = jobs.Seen(run.path, status, story.events, jobs.place_of(studio, run.path, status))
    can = _can(run, seen)
    # Alerts of the moment come and go without an event: they are looked for twice a minute.
    half_minute = int(time.time() // 30) if status == "running" else 0
    stamp = f"{run.name} {status} {story.read} {' '.join(can)} {seen.place} {half_minute}"
    return Look(run, seen, story, can, stamp)


def parts(found: Look, t: Translator) -> dict[str, str]:
    """Return the HTML of each part, by the id of its place on the page."""
    seen, curves, total = found.seen, found.story.curves, found.seen.total_steps
    now = alerts.present(seen.job, seen.events, _usual(found.run, seen), t) if seen.status == "running" else []

    def small(name: str, series: list[charts.Series]) -> str:
        return charts.chart(series, t(f"chart.{name}"), total, t, small=True)

    return {
        "run-status": jobs.status_line(seen, t),
        "run-progress": jobs.progress_bar(seen, t),
        "run-ending": jobs.ending(seen, t) + jobs.outcome(seen, t),
        "run-alerts": alerts.shown([*now, *alerts.lasting(seen.events)], t),
        "loss-chart": charts.chart(charts.loss_series(curves, t), t("chart.loss"), total, t)
        + charts.by_source(curves, t),
        "rate-chart": small("rate", charts.rate_series(curves, t)),
        "speed-chart": small("speed", charts.speed_series(curves, t)),
        "norm-chart": small("norm", charts.norm_series(curves, t)),
    }


def _can(run: Run, seen: jobs.Seen) -> tuple[str, ...]:
    """Return what can be done now, as the names by which the style sheet shows buttons."""
    if seen.status == "running":
        asked = _asked_to_stop(run.path)
        if asked is None:
            return ("stop", "discard")
        over = time.time() - asked > max(GRACE, 3 * _usual(run, seen))
        return ("end", "discard") if over else ("discard",)
    on = ("onward",) if seen.status != "queued" and run.adapter() is not None else ()
    mine = not run.config.get("elsewhere")  # the run of another studio, that came in a bundle
    again = ("resume",) if mine and resume.resumable(run) is not None else ()
    return (*on, *again, *(("discard",) if seen.status != "finished" else ()))


def _asked_to_stop(job: Path) -> float | None:
    try:
        return (job / "stop").stat().st_mtime
    except FileNotFoundError:
        return None


def _usual(run: Run, seen: jobs.Seen) -> float:
    """Return the seconds from one step that is told to the next, as the worker reckons them; 0 while it cannot tell."""
    last = next((each for each in reversed(seen.events) if isinstance(each, events.StepFinished)), None)
    if last is None or seen.total_steps <= last.step:
        return 0.0
    return last.seconds_left / (seen.total_steps - last.step) * run.settings.log.every_steps
