"""Experiments as processes that start at once: forked from one that has imported everything and computed nothing.

Their trainings and evaluations are forked from them, in sessions of their own as real ones are, so that they outlive them.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

from core.runs import process

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["core.train.worker", "core.evaluate.worker", "core.experiments.worker",
                                 "tests.experiment_process", "tests.worker_process", "tests.warm_scoring"])  # fmt: skip


def start(job: Path) -> BaseProcess:
    """Start the worker of an experiment, as `python -m core.experiments.worker JOB` does."""
    worker = _CONTEXT.Process(target=_work, args=(str(job),))
    worker.start()
    return worker


def _work(job: str) -> None:
    from core.experiments.worker import work

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children, whose ends their logs tell
    _run(Path(job), lambda path: work(path, _launch))


def _launch(job: Path, module: str) -> None:
    pid = os.fork()
    if pid:
        process.note_process(job, pid)
        return
    os.setsid()
    try:
        from core.evaluate.worker import work as evaluate
        from core.train.worker import work as train

        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _run(job, {"core.train.worker": train, "core.evaluate.worker": evaluate}[module])
    finally:
        os._exit(0)


def _run(job: Path, work: Callable[[Path], None]) -> None:
    from core.runs.work import run_worker

    log = os.open(job / "worker.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.argv = ["worker", str(job)]
    run_worker(work)
