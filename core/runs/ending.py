"""Ending a training before its last step: asked to, at once, or discarded. Whoever presses the button sees the same words."""

import time
from pathlib import Path

from core.errors import RunError, problem
from core.runs import directory, events, process, queue
from core.runs.directory import Run, step_of
from core.workspace import Workspace

_WAIT = 10.0  # seconds for a process to be gone that was killed, or has told its end


def ask(run: Run) -> None:
    """Ask the worker to save and stop after the step that it is at.

    Raises:
        RunError: if none is at work.
    """
    _require_worker(run)
    process.ask_to_stop(run.path)


def saved_step(run: Run) -> int:
    """Return the step of the last complete checkpoint, 0 when nothing is saved."""
    saved = run.checkpoints()
    return step_of(saved[-1]) if saved else 0


def at_once(run: Run) -> int:
    """Kill the worker, write down that a person did so, and return the step that is saved.

    Raises:
        RunError: if none is at work.
    """
    _require_worker(run)
    _kill(run.path)
    step = saved_step(run)
    if process.status(run.path) == "lost":  # it may have come to its own end just before
        events.append(run.log, events.RunStopped(step=step))
    return step


def discard(workspace: Workspace, run: Run) -> None:
    """End a run, if it is at work or waits, and move it to the trash.

    Raises:
        RunError: while one of its evaluations or merges is at work; then nothing has changed.
    """
    if any(process.status(job) == "running" for job in (*run.jobs("evaluations"), *run.jobs("merges"))):
        raise RunError(problem("run.busy", run.name))
    if process.status(run.path) == "running":
        _kill(run.path)
    elif queue.place(workspace, run.path) is not None and queue.cancel(workspace, run.path) is not None:
        return
    directory.delete(workspace, run)


def settle(run: Run) -> None:
    """Wait until the worker of a run that has ended is gone: it takes a second after its last word, and the queue knows it
    as running until then. One that does not leave by itself has nothing left to do, and is killed.

    Raises:
        RunError: if the worker is at work: somebody else has resumed the run meanwhile.
    """
    _require_ended(run)
    if not _gone(run.path):
        _require_ended(run)
        _kill(run.path)


def _require_ended(run: Run) -> None:
    if (status := process.status(run.path)) == "running":
        raise RunError(problem("resume.not_ended", run.name, status=status))


def _require_worker(run: Run) -> None:
    if process.worker_pid(run.path) is None:
        raise RunError(problem("run.not_at_work", run.name))


def _kill(job: Path) -> None:
    process.kill(job)
    if not _gone(job):
        raise RunError(problem("run.cannot_kill", job.name))


def _gone(job: Path) -> bool:
    deadline = time.monotonic() + _WAIT
    while process.worker_pid(job) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
