"""What a training has to tell beside its curves, the newest first: each with what happened, why, and what to do.

Some alerts are of this moment only, and vanish when they are over: a worker that is silent, a disk that is nearly full. The
others stand in the event log.
"""

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from core.duration import spoken
from core.errors import Problem, problem
from core.runs import events, heartbeat
from core.wording import Translator, joined

SILENT = 60.0  # seconds without a sign of life before anything is said: twelve signs are missing then
STUCK = 600.0  # seconds without a step while there are signs of life; a validation or a save may well take minutes
SLOWER = 10  # times the usual step; a validation or a checkpoint rarely takes as long
_DISK = "train.disk_nearly_full"
_SHOWN = 2  # alerts at once beside those of the moment, lest the curves slide out of sight; older ones are folded


@dataclass(frozen=True)
class Alert:
    """`urgent` is one of this moment, which asks for something now."""

    found: Problem
    urgent: bool = False


def present(job: Path, told: Sequence[events.Event], usual: float, t: Translator) -> list[Alert]:
    """Return the alerts of this moment for a job at work. `usual` are the seconds between two steps that are told."""
    found = []
    silent = heartbeat.silent_for(job)
    if silent is not None and silent > SILENT:
        found.append(problem("run.silent", time=spoken(_rounded(silent), t)))
    elif (waiting := _since_last_step(job, told)) is not None and waiting > max(STUCK, SLOWER * usual):
        found.append(problem("run.no_step", time=spoken(_rounded(waiting), t), usual=spoken(usual, t)))
    disk = next((each for each in reversed(told) if isinstance(each, events.Warned) and each.code == _DISK), None)
    if disk is not None and (free := shutil.disk_usage(job).free / 1e6) < float(disk.values["needed"]):
        found.append(Problem(disk.code, disk.where, {**disk.values, "free": round(free, -2)}))
    return [Alert(each, urgent=True) for each in found]


def lasting(told: Sequence[events.Event]) -> list[Alert]:
    """Return the alerts that stand in the log, the newest first."""
    found: list[Problem] = []
    for event in told:
        if isinstance(event, events.Warned) and event.code != _DISK:
            found.append(Problem(event.code, event.where, event.values))
        elif isinstance(event, events.Resumed):
            found.append(problem("run.resumed", step=event.step) if event.step else problem("run.started_over"))
        elif isinstance(event, events.MicroBatchChanged):
            code = "run.activations_again" if event.checkpointing else "run.smaller_pieces"
            found.append(problem(code, step=event.step, size=event.micro_batch_size))
    return [Alert(each) for each in reversed(found)]


def shown(alerts: Sequence[Alert], t: Translator) -> str:
    """Return a list as HTML, the oldest folded; "" for none."""
    if not alerts:
        return ""
    first = _SHOWN + sum(each.urgent for each in alerts)
    more = alerts[first:]
    folded = (
        f"<details><summary>{escape(t('alerts.more', n=len(more)))}</summary>{_list(more, t)}</details>" if more else ""
    )
    return (
        f'<section class="alerts" aria-label="{escape(t("alerts.title"))}">{_list(alerts[:first], t)}{folded}</section>'
    )


def _list(alerts: Sequence[Alert], t: Translator) -> str:
    return f'<ul class="warnings" role="status">{"".join(_one(each, t) for each in alerts)}</ul>'


def _one(alert: Alert, t: Translator) -> str:
    language = t("language.code")
    what, *others = (escape(each) for each in alert.found.sentences(language))
    said = joined([f"<strong>{what}</strong>", *others], language)
    kind = ' class="urgent"' if alert.urgent else ""
    code = escape(alert.found.code)
    return f'<li{kind} data-code="{code}">{said}</li>'


def _since_last_step(job: Path, told: Sequence[events.Event]) -> float | None:
    """Return the seconds since the log grew, in the phase of training and after its first step."""
    phase = next((each.name for each in reversed(told) if isinstance(each, events.Phase)), "")
    if phase != "training" or not any(isinstance(each, events.StepFinished) for each in told):
        return None
    return time.time() - max((job / name).stat().st_mtime for name in ("events.jsonl", "worker.pid"))


def _rounded(seconds: float) -> float:
    """Return half minutes: an alert that changed each second would be drawn, and read aloud, each second."""
    return max(60.0, seconds // 30 * 30)
