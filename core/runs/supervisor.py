"""The background threads of the studio: one for each job that this process started.

A thread starts the worker and waits for it, so that no dead process stays behind, and notes how it ended. Nothing depends
on the thread: kill the studio and the worker goes on; start it again and the job is found by its directory.
"""

import contextlib
import threading
from pathlib import Path
from typing import Literal

from core.runs import process

Worker = Literal["core.train.worker", "core.evaluate.worker", "core.merge.worker", "core.curate.worker",
                 "core.train.probe", "core.models.worker"]  # fmt: skip


def launch(job: Path, worker: Worker) -> threading.Thread:
    """Start the worker of a job directory, supervise it from a daemon thread, and return the thread.

    The worker is running when this returns; join the thread to wait for its end.
    """
    child = process.start(job, worker)

    def supervise() -> None:
        code = child.wait()
        with contextlib.suppress(FileNotFoundError):  # the run was deleted meanwhile
            (job / "worker.exit").write_text(str(code))

    thread = threading.Thread(target=supervise, name=f"supervisor of {job.name}", daemon=True)
    thread.start()
    return thread


def exit_code(job: Path) -> int | None:
    """Return how the worker ended (minus the signal, when it was killed), or None when nobody was there to see it."""
    try:
        return int((job / "worker.exit").read_text())
    except (FileNotFoundError, ValueError):
        return None
