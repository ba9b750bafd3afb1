"""The first moment of a queued job's worker: `python -m core.runs.begin LOCK MODULE JOB`, then it is MODULE.

Whoever started it may have been killed in the same moment, and another may have started a second one. So the worker takes
the job's mark away itself, under the lock of the queue: of all that were started exactly one finds it. Killed before, it has
done nothing and the job still waits; killed after, the job has begun.
"""

import os
import runpy
import signal
import sys
from pathlib import Path

from filelock import FileLock

from core.runs import process

TAKEN = 75  # exit code of a worker that came too late: the job was begun by another, or cancelled


def begin(lock: Path, job: Path) -> bool:
    """Take the job for this process; return whether it was still to be had."""
    mark = job / process.QUEUED
    with FileLock(lock):
        if not mark.exists():
            return False
        process.note_process(job, os.getpid())
        mark.unlink()
    # Its libraries take seconds to load: whoever ends it politely meanwhile has asked for a stop, as later.
    signal.signal(signal.SIGTERM, lambda *_: process.ask_to_stop(job))
    return True


if __name__ == "__main__":
    _, lock, module, job = sys.argv
    if not begin(Path(lock), Path(job)):
        sys.exit(TAKEN)
    sys.argv = [module, job]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
