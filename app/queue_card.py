"""The queue as a page shows it: what runs on which device, what waits for what, and buttons that change the order."""

import re
import time
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from app import jobs, turns
from app.studio import Studio
from core.amounts import bytes_of
from core.duration import spoken
from core.errors import RunError, problem
from core.runs import devices, process, queue
from core.wording import Translator

_KINDS = {"core.train.worker": "train", "core.evaluate.worker": "evaluate", "core.merge.worker": "merge",
          "core.curate.worker": "data", "core.experiments.worker": "experiment"}  # fmt: skip
_DATED = re.compile(r"^\d{4}-\d\d-\d\d_\d{6}_")  # how the name of a job begins
Entry = queue.Entry


def card(studio: Studio, t: Translator) -> str:
    """Return what runs and what waits, as HTML."""
    found = queue.look(studio.workspace)
    if not found.running and not found.waiting:
        return f'<p class="waiting">{escape(t("queue.none"))}</p>'
    running = "".join(_running(studio, each, t) for each in found.running)
    waiting = "".join(_waiting(studio, found, number, t) for number in range(len(found.waiting)))
    parts = [f"<h4>{escape(t('queue.running'))}</h4><ul>{running}</ul>"] if running else []
    parts += [f"<h4>{escape(t('queue.waiting'))}</h4><ol>{waiting}</ol>"] if waiting else []
    return f'<div class="queue">{"".join(parts)}</div>'


def badge(studio: Studio, t: Translator) -> str:
    """Return in a line what is being done where, and how much waits; "" when nothing does."""
    found = queue.look(studio.workspace)
    doing = [_doing(each, t) for each in found.running]
    if found.waiting:
        doing.append(t("queue.so_many_wait", n=len(found.waiting)))
    return " · ".join(doing)


def _doing(entry: Entry, t: Translator) -> str:
    what = _what(entry, t)
    return what if entry.lane == "light" else t("queue.doing", device=device_name(entry.device, t), what=what)


def held(studio: Studio, t: Translator) -> list[str]:
    """Return a sentence for each job that waits for the memory of a chat model."""
    waiting = queue.look(studio.workspace).waiting
    return [f"{_name(each)}: {_held(studio, each, t)}" for each in waiting if _is_held(studio, each)]


def device_name(device: devices.Device, t: Translator) -> str:
    card = devices.card_of(device)
    if card is not None:
        return t("queue.device.gpu", card=card)
    return t("queue.device.cpu" if device == devices.CPU else "queue.device.light")


def act(studio: Studio, action: str, name: str, t: Translator) -> str:
    """Change the queue as a button says, and return what was done, "" where the card shows it.

    Raises:
        RunError: if the job does not wait any more.
    """
    job = waiting_job(studio, name)
    if action in ("first", "up", "down"):
        queue.move(studio.workspace, job, action)  # type: ignore[arg-type]
        return ""
    known = next(each for each in queue.look(studio.workspace).waiting if each.job == name)
    trash = queue.cancel(studio.workspace, job)
    return t("queue.cancelled_to_trash" if trash else "queue.cancelled", name=_name(known))


def waiting_job(studio: Studio, name: str) -> Path:
    """Return the directory of a waiting job by its name in the queue.

    Raises:
        RunError: if it does not wait.
    """
    if not any(each.job == name for each in queue.look(studio.workspace).waiting):
        raise RunError(problem("queue.not_waiting", name.rpartition("/")[2]))
    return studio.workspace.root / name


def _running(studio: Studio, entry: Entry, t: Translator) -> str:
    job = studio.workspace.root / entry.job
    told = studio.story(job).events  # not all: a training may have told 100,000
    seen = jobs.Seen(job, process.status(job), told)
    since = t("queue.since", time=time.strftime("%H:%M", time.localtime(entry.since)),
              spent=spoken(time.time() - entry.since, t))  # fmt: skip
    device = f'<span class="pill running">{escape(device_name(entry.device, t))}</span>'
    return (
        f"<li>{_title(entry, t)}{device}<span class='soft'>{escape(since)}</span>"
        f'<div class="bar">{jobs.progress_bar(seen, t)}</div></li>'
    )


def _waiting(studio: Studio, found: queue.Queue, number: int, t: Translator) -> str:
    entry = found.waiting[number]
    why = _held(studio, entry, t) if _is_held(studio, entry) else _waits_for(found, number, t)
    may_write = studio.owner is None or studio.owner.writes
    offered = []
    if may_write and number > 0:
        offered += ["first", "up"]
    if may_write and number < len(found.waiting) - 1:
        offered.append("down")
    if may_write:
        offered += ["edit", "cancel"] if entry.worker == "core.train.worker" else ["cancel"]
    buttons = "".join(_button(action, entry, t) for action in offered)
    return f"<li>{_title(entry, t)}<span class='soft'>{escape(why)}</span><span class=\"buttons\">{buttons}</span></li>"


def _button(action: str, entry: Entry, t: Translator) -> str:
    label = t(f"queue.{action}")
    return (
        f'<button type="button" class="small" data-pick="{escape(f"{action} {entry.job}")}" '
        f'aria-label="{escape(f"{label}: {_name(entry)}")}">{escape(label)}</button>'
    )


def _title(entry: Entry, t: Translator) -> str:
    return f"<span class='what'>{escape(_kind(entry, t))} <b>{escape(_name(entry))}</b></span>"


def _waits_for(found: queue.Queue, number: int, t: Translator) -> str:
    """Return which job has what this one needs, or how many come first."""
    wanted = devices.devices_of(found.waiting[number].lane)
    ahead = sum(bool(set(wanted) & set(devices.devices_of(each.lane))) for each in found.waiting[:number])
    busy = next((each for each in found.running if each.device in wanted), None)
    if busy is None:
        return t("queue.next") if not ahead else t("queue.behind", n=ahead)
    said = _has(busy, t)
    return f"{said} {t('queue.behind', n=ahead)}" if ahead else said


def _has(entry: Entry, t: Translator) -> str:
    card, what = devices.card_of(entry.device), _what(entry, t)
    if card is not None:
        return t("queue.waits_gpu", card=card, what=what)
    return t("queue.waits_cpu" if entry.device == devices.CPU else "queue.waits_light", what=what)


def _is_held(studio: Studio, entry: Entry) -> bool:
    return queue.is_held(studio.workspace, studio.workspace.root / entry.job)


def _held(studio: Studio, entry: Entry, t: Translator) -> str:
    device = next(iter(devices.devices_of(entry.lane)), devices.CPU)
    needed, free = turns.planned_memory(studio.workspace.root / entry.job), turns.free_memory(device) or 0
    loaded = ", ".join(_loaded(session.describe()) for session in studio.chats())
    return t("queue.held", needed=bytes_of(needed), free=bytes_of(free), loaded=loaded or "–")


def _loaded(about: Mapping[str, Any]) -> str:
    return str(about.get("run") or about.get("model"))


def _what(entry: Entry, t: Translator) -> str:
    return f"{_kind(entry, t)} {_short(entry)}"


def _kind(entry: Entry, t: Translator) -> str:
    return t(f"queue.kind.{_KINDS.get(entry.worker, 'data')}")


def _name(entry: Entry) -> str:
    """Return the run that a job belongs to; of a job on data its own name."""
    return entry.job.split("/")[1]


def _short(entry: Entry) -> str:
    return _DATED.sub("", _name(entry))
