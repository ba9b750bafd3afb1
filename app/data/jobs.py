"""A job on data (adding, checking, mending …) where it was asked for: what it does, how far it is, and a way to cancel it.

The job lies in the workspace, not in the page: a page that is opened while one runs shows it, and closing it ends nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from app import jobs, turns
from app.notices import done
from app.parts import html, pill, when
from app.studio import Studio
from core.amounts import bytes_of
from core.curate import jobs as curate
from core.duration import spoken
from core.errors import Problem
from core.runs import events, process
from core.runs.directory import read_config
from core.wording import Translator

_LOOKED_AT = 8  # newest jobs that are looked at for one that still runs; chosen by us: nobody starts more at once

_AFTER_ADDING = ("finding_copies", "splitting", "indexing", "checking_data")  # phases of adding, once it is registered


@dataclass(frozen=True)
class JobPanel:
    """`job` holds the folder name of the job that this browser tab follows, None when it follows none."""

    tasks: tuple[str, ...]
    job: Any
    box: Any
    status: Any
    progress: Any
    cancel: Any
    ending: Any

    @property
    def outputs(self) -> list[Any]:
        return [self.job, self.box, self.status, self.progress, self.cancel, self.ending]


@dataclass(frozen=True)
class News:
    """What a look at a job brought: updates, what to compare the next time, and the job if it has just ended."""

    updates: dict[Any, Any]
    stamp: tuple[Any, ...]
    ended: jobs.Seen | None = None


def build(studio: Studio, place: str, tasks: Sequence[str], notice: Any, t: Translator) -> JobPanel:
    """Lay out and wire the panel, hidden; `place` leads its ids."""
    with gr.Column(visible=False, elem_id=f"{place}-job", elem_classes="job") as box:
        status = html(f"{place}-status")
        progress = html(f"{place}-progress")
        with gr.Row(elem_classes="actions"):
            cancel = gr.Button(t("data.job.cancel"), elem_id=f"{place}-cancel", size="sm", variant="stop")
    ending = html(f"{place}-ending")
    panel = JobPanel(tuple(tasks), gr.State(None), box, status, progress, cancel, ending)

    def stop(values: Mapping[Any, Any]) -> dict[Any, Any]:
        job = _folder(studio, values[panel.job])
        if job is None:
            return {panel.cancel: gr.update(interactive=False)}
        if turns.stop(studio, job):
            done(t("data.job.cancelled"), t("language.code"))
            return look(studio, panel, job.name, t).updates
        done(t("data.job.stopping"), t("language.code"))
        return {panel.cancel: gr.update(interactive=False)}

    when(cancel.click, stop, {panel.job}, panel.outputs, notice, t)
    return panel


def start(studio: Studio, panel: JobPanel, task: str, t: Translator, **values: Any) -> dict[Any, Any]:
    """Start a job and return the updates that show it.

    Raises:
        StudioError: if what it needs is not there.
    """
    job = curate.submit(studio.workspace, task, **values)
    turns.submit(studio, job, "core.curate.worker")
    return followed(studio, panel, job.name, t).updates


def followed(studio: Studio, panel: JobPanel, job: str, t: Translator) -> News:
    """Return the news of a job that this tab has just started and follows until a tick has shown its end.

    It may have ended already, and a tick may have shown that before these updates arrive: the next one shows it again.
    """
    news = look(studio, panel, job, t)
    return News({**news.updates, panel.job: job, panel.ending: ""}, news.stamp)


def look(studio: Studio, panel: JobPanel, followed: str | None, t: Translator) -> News:
    """Return the news of the followed job, or of one that runs and nobody in this tab has asked for."""
    job = _folder(studio, followed) or _running(studio, panel.tasks)
    if job is None:
        return News({panel.job: None, panel.box: gr.update(visible=False)}, ())
    seen = jobs.look(studio, job)
    stopping = (job / "stop").exists()
    stamp = (*seen.stamp, stopping)
    if seen.active:
        shown = {
            panel.job: job.name,
            panel.box: gr.update(visible=True),
            panel.status: _status(seen, t, stopping),
            panel.progress: _bar(seen, t),
            panel.cancel: gr.update(interactive=not stopping),
            panel.ending: "",
        }
        return News(shown, stamp)
    over = {
        panel.job: None,
        panel.box: gr.update(visible=False),
        panel.status: "",
        panel.progress: "",
        panel.ending: ending(seen, t),
    }
    return News(over, stamp, seen)


def ending(seen: jobs.Seen, t: Translator) -> str:
    """Return what a person must know of a job that ended otherwise than well."""
    if seen.status == "stopped":
        registered = task_of(seen.job) == "add" and _phase(seen) in _AFTER_ADDING
        text = t("data.job.cancelled_later" if registered else "data.job.cancelled")
        return f'<p class="note different" role="status">{escape(text)}</p>'
    return jobs.ending(seen, t)


def told(task: str, result: Mapping[str, Any], t: Translator) -> str:
    """Return in one sentence what a finished job has done."""
    name = str(result.get("name", ""))
    rows = result.get("rows", 0)
    match task:
        case "add":
            parts = {key: f"{count:,}" for key, count in (result.get("split") or {}).items()}
            return t("data.added_split" if parts else "data.added", name=name, rows=f"{rows:,}", **parts)
        case "folder":
            return t("data.done.folder", n=len(result.get("datasets", ())), left=len(result.get("problems", ())))
        case "check":
            return t("data.done.check", name=name)
        case "fix":
            return t("data.done.fix", name=name, before=f"{result.get('rows_before', 0):,}", rows=f"{rows:,}")
        case "augment":
            return t("data.done.augment", name=name, n=f"{rows - result.get('rows_before', 0):,}", rows=f"{rows:,}")
        case "split":
            parts = {key: f"{count:,}" for key, count in result.get("split", {}).items()}
            return t("data.done.split", name=name, **parts)
        case _:
            return t("data.done.export", name=name)


def task_of(job: Path) -> str:
    return str((read_config(job) or {}).get("task", ""))


def values_of(job: Path) -> dict[str, Any]:
    """Return what a job was asked with."""
    return dict((read_config(job) or {}).get("values") or {})


def problems(seen: jobs.Seen) -> list[Problem]:
    """Return what a failed job failed of."""
    last = seen.events[-1] if seen.events else None
    return [Problem(**each) for each in last.problems] if isinstance(last, events.RunFailed) else []


def _folder(studio: Studio, name: str | None) -> Path | None:
    folder = studio.workspace.jobs / name if name else None
    return folder if folder is not None and (folder / "config.yaml").is_file() else None


def _running(studio: Studio, tasks: tuple[str, ...]) -> Path | None:
    newest = sorted(studio.workspace.jobs.glob("*/config.yaml"), reverse=True)[:_LOOKED_AT]
    return next((each.parent for each in newest if task_of(each.parent) in tasks and _runs(each.parent)), None)


def _runs(job: Path) -> bool:
    return (job / process.QUEUED).exists() or process.status(job) == "running"


def _phase(seen: jobs.Seen) -> str:
    return next((each.name for each in reversed(seen.events) if isinstance(each, events.Phase)), "")


def _status(seen: jobs.Seen, t: Translator, stopping: bool) -> str:
    """Return what the job is doing; it is asked to stop at the next moment that leaves everything as it was."""
    phase = _phase(seen)
    doing = t("data.job.stopping") if stopping else t(f"phase.{phase}") if phase else t("job.starting")
    if seen.status == "queued" and not stopping:
        doing = t("queue.next")
    return f'<p class="status">{pill(seen.status, t)} {escape(doing)}</p>'


def _bar(seen: jobs.Seen, t: Translator) -> str:
    last = next((each for each in reversed(seen.events) if isinstance(each, events.Progress)), None)
    if last is None or not last.total:
        return f'<div class="progress unknown" role="progressbar" aria-label="{escape(t("job.starting"))}"><div></div></div>'
    share = min(100.0, 100 * last.done / last.total)
    left = f" · {t('job.left', time=spoken(last.seconds_left, t))}" if last.seconds_left > 1 else ""
    text = t("data.job.share", share=f"{share:.0f}") + left
    if last.unit == "bytes":
        name = values_of(seen.job).get("name", "")
        text = f"{name} · {t('job.done', done=bytes_of(last.done), total=bytes_of(last.total))}{left}"
    return (
        f'<div class="progress" role="progressbar" aria-valuemin="0" aria-valuemax="100" aria-valuenow="{share:.0f}" '
        f'aria-label="{escape(text)}"><div style="width:{share:.1f}%"></div></div>'
        f'<div class="progress-text">{escape(text)}</div>'
    )
