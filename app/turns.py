"""The queue as a server drives it: jobs begin when their device is free and the memory is not taken by a chat.

A chat model that is loaded in this server gives its memory up only when a person says so. Where a training would not fit
beside it, the training waits, and the page asks.
"""

import time
from functools import lru_cache
from pathlib import Path

from app.studio import Studio
from core.errors import RunError
from core.runs import devices, ending, process, queue
from core.runs.directory import Run, read_config
from core.train import resume
from core.train.machine import machine

_ASKED_EVERY = 3.0  # seconds between two looks at the free memory; nvidia-smi takes a tenth of one


def submit(studio: Studio, job: Path, worker: str) -> None:
    """Put a job into the queue, and begin it at once when nothing is before it."""
    queue.add(studio.workspace, job, worker)
    begin_ready(studio)


def stop(studio: Studio, job: Path) -> bool:
    """Take a job that still waits out of the queue, ask any other to save and stop; return whether it waited."""
    try:
        queue.cancel(studio.workspace, job)
    except RunError:
        process.ask_to_stop(job)
        return False
    return True


def go_on(studio: Studio, run: Run) -> None:
    """Put a training that has ended before its last step into the queue again, to go on from what it has saved.

    Raises:
        RunError: if there is nothing to go on with; while a question stood on the page, somebody else may have said yes.
    """
    resume.require_resumable(run)
    ending.settle(run)
    resume.clear(run)
    submit(studio, run.path, "core.train.worker")


def go_on_evaluating(studio: Studio, job: Path) -> None:
    """Put an evaluation that ended before its end into the queue again; what was answered is not asked twice.

    Raises:
        RunError: if it is at work: somebody else may have said so meanwhile.
    """
    ending.settle(Run(job))
    (job / "stop").unlink(missing_ok=True)
    submit(studio, job, "core.evaluate.worker")


def begin_ready(studio: Studio) -> list[Path]:
    """Begin what is ready, but for what would not fit beside a loaded chat model, and return what has begun."""
    return queue.start_ready(studio.workspace, lambda job, device: lacks_memory(studio, job, device))


def lacks_memory(studio: Studio, job: Path, device: devices.Device) -> bool:
    """Tell whether a job needs more memory than is free while this server has chat models loaded."""
    needed = planned_memory(job)
    if not needed or not studio.chats():
        return False
    free = free_memory(device)
    return free is not None and needed > free


def planned_memory(job: Path) -> float:
    """Return the bytes that a job's plan foresees at its peak; 0 for jobs that have no plan."""
    try:
        return float((read_config(job) or {})["plan"]["memory_bytes"])
    except (OSError, LookupError, TypeError, ValueError):
        return 0.0


def free_memory(device: devices.Device) -> int | None:
    """Return the bytes that are free where a job would run, None when nobody can tell."""
    return _free(device, int(time.monotonic() / _ASKED_EVERY))


@lru_cache(maxsize=16)
def _free(device: devices.Device, _: int) -> int | None:
    card = devices.card_of(device)
    return machine().free if card is None else devices.free_memory(card)
