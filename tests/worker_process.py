"""Training workers as processes that start at once: forked from one that has imported everything and computed nothing."""

import multiprocessing
import sys
from multiprocessing.process import BaseProcess
from pathlib import Path

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["core.train.worker", "tests.worker_process"])


def start(job: Path) -> BaseProcess:
    """Start the training worker of a job, as `python -m core.train.worker JOB` does."""
    worker = _CONTEXT.Process(target=_work, args=(str(job),), daemon=True)
    worker.start()
    return worker


def _work(job: str) -> None:
    from core.runs.work import run_worker
    from core.train.worker import work

    sys.argv = ["worker", job]
    run_worker(work)
