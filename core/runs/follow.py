"""Follow a job from outside, until it ends: what the command line does, and anything else that waits."""

import time
from collections.abc import Iterator
from pathlib import Path

from core.errors import Problem, RunError, problem
from core.runs import events, process, supervisor
from core.runs.directory import Run, step_of


def follow(job: Path, seconds: float = 0.2, offset: int = 0) -> Iterator[events.Event]:
    """Yield the events of a job as they come, from a byte of its log on, until its worker has ended.

    Raises:
        RunError: if the job failed, with its problems, or if its worker was lost.
    """
    while True:
        state = process.status(job)
        seen, offset = events.read_from(job / "events.jsonl", offset)
        yield from seen
        if state not in ("running", "queued"):
            break
        time.sleep(seconds)
    if state == "failed":
        failed = process.last_event(job)
        raise RunError(*(Problem(**each) for each in failed.problems))  # type: ignore[union-attr]
    if state == "lost":
        raise RunError(lost(job))


def lost(job: Path) -> Problem:
    """Return the words for a job whose worker is gone without a word, and what of it is saved."""
    code = supervisor.exit_code(job)
    if code is not None and code > 0 and process.told_nothing(job):  # for example because a library does not load
        return problem("run.could_not_start", job.name, exit_code=code, log=str(job / "worker.log"))
    saved = [step_of(each) for each in Run(job).checkpoints()]
    values = {
        "signal": -code if code is not None and code < 0 else "?",
        "saved": saved[-1] if saved else "",
    }
    return problem("run.lost_with_checkpoint" if saved else "run.lost", job.name, **values)
