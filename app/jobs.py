"""A job (training, evaluation, merge) as the page shows it: state, progress and what went wrong, all from its directory."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from app.notices import notice
from app.parts import pill, table
from app.studio import Studio
from core.amounts import bytes_of
from core.duration import spoken
from core.errors import Problem
from core.runs import events, process, queue
from core.runs.follow import lost
from core.train.outcome import compared, sentences
from core.wording import Translator, joined

_LOG_BYTES = 16_000  # of the raw output, its end; chosen by us: some 150 lines
ACTIVE = ("queued", "running")


@dataclass(frozen=True)
class Seen:
    """What is known of a job at one moment. `stamp` changes when there is something new to show.

    `place` is how many-th it is among those that wait for the same device.
    """

    job: Path
    status: process.Status
    events: Sequence[events.Event]
    place: int | None = None

    @property
    def stamp(self) -> tuple[str, str, int, int | None]:
        return str(self.job), self.status, len(self.events), self.place

    @property
    def active(self) -> bool:
        return self.status in ACTIVE

    @property
    def begins_again(self) -> bool:
        """Whether the worker that is at work has not told anything yet: the last word is still that of the one before."""
        return self.active and bool(self.events) and self.events[-1].event in events.ENDS

    @property
    def result(self) -> dict[str, object]:
        last = self.events[-1] if self.events else None
        return last.result if isinstance(last, events.RunFinished) else {}

    @property
    def total_steps(self) -> int:
        return next((each.total_steps for each in self.events if isinstance(each, events.RunStarted)), 0)


def look(studio: Studio, job: Path) -> Seen:
    """Return the present state of a job. The state is read first: a job that has ended has written all its events."""
    status = process.status(job)
    return Seen(job, status, studio.events(job), place_of(studio, job, status))


def place_of(studio: Studio, job: Path, status: process.Status) -> int | None:
    """Return how many-th a job waits, 0 when only the memory of a chat keeps it waiting, None when it does not wait."""
    if status != "queued" or not (job / process.QUEUED).exists():
        return None
    return 0 if queue.is_held(studio.workspace, job) else queue.place(studio.workspace, job)


def status_line(seen: Seen, t: Translator) -> str:
    """Return the pill and what the job is doing."""
    phase = next((each.name for each in reversed(seen.events) if isinstance(each, events.Phase)), "")
    doing = t("job.starting") if seen.active else ""
    if seen.active and phase and not seen.begins_again:
        doing = t(f"phase.{phase}")
    if seen.place is not None:
        doing = t("job.waiting", n=seen.place) if seen.place else t("job.held")
    elif seen.active and (seen.job / "stop").exists():
        doing = t("job.stopping")
    return f'<div class="status">{pill(seen.status, t)} <span class="phase">{escape(doing)}</span></div>'


def progress_bar(seen: Seen, t: Translator) -> str:
    """Return the bar with "step x of y" and the time left, "" before anything can be counted."""
    told = (events.StepFinished, events.Progress, *((events.Phase,) if seen.active else ()))
    last = next((e for e in reversed(seen.events) if isinstance(e, told)), None)
    if isinstance(last, events.Phase):  # what was counted is over; steps are counted through every phase
        last = next((e for e in reversed(seen.events) if isinstance(e, events.StepFinished)), None)
    if isinstance(last, events.StepFinished):
        done, total, key = last.step, max(seen.total_steps, last.step), "job.steps"
    elif isinstance(last, events.Progress):
        done, total, key = last.done, last.total, "job.done"
    else:
        return ""
    left = f" · {t('job.left', time=spoken(last.seconds_left, t))}" if seen.active and done < total else ""
    share = 100 * done / max(1, total)
    amount = bytes_of if isinstance(last, events.Progress) and last.unit == "bytes" else "{:,}".format
    text = t(key, done=amount(done), total=amount(total))
    return (
        f'<div class="progress" role="progressbar" aria-valuemin="0" aria-valuemax="{total}" aria-valuenow="{done}" '
        f'aria-label="{escape(text)}"><div style="width:{share:.1f}%"></div></div>'
        f'<div class="progress-text">{escape(text + left)}</div>'
    )


def ending(seen: Seen, t: Translator) -> str:
    """Return a panel for a job that failed or was lost, with what is saved; "" for every other."""
    language = t("language.code")
    if seen.status == "failed":
        last = seen.events[-1]
        if isinstance(last, events.RunFailed):
            return notice([Problem(**each) for each in last.problems], language, details=last.details)
    if seen.status == "lost":
        return notice([lost(seen.job)], language)
    return ""


def outcome(seen: Seen, t: Translator) -> str:
    """Return why a training ended, which step is its result, and what it took beside its plan; "" before that."""
    ended = next((each for each in reversed(seen.events) if isinstance(each, events.TrainingEnded)), None)
    if ended is None or seen.active:
        return ""
    said = f'<p class="outcome">{escape(joined(sentences(ended, t), t("language.code")))}</p>'
    rows = [[escape(cell) for cell in row] for row in compared(ended, t)]
    if not rows:
        return said
    title = t("outcome.compared")
    columns = table(["", t("outcome.planned"), t("outcome.measured")], rows, caption=title, numbers=(1, 2))
    return f'{said}<details class="figures"><summary>{escape(title)}</summary>{columns}</details>'


def raw_log(job: Path) -> str:
    """Return the end of a worker's raw output."""
    try:
        with (job / "worker.log").open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - _LOG_BYTES))
            return file.read().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return ""
