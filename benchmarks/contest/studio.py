"""The studio as a contender: a run is prepared and its worker started, as `studio train` does."""

import shutil
import time
from pathlib import Path

from benchmarks.contest.stopwatch import Stopwatch
from benchmarks.contest.task import Task
from benchmarks.contest.worker import run_settings, train, workspace_of
from core.train.prepare import prepare


def studio(task: Task, watch: Stopwatch, adapter: Path) -> None:
    """Preparing counts as time to the first step; memory is that of the worker."""
    since = time.time() - time.monotonic()
    workspace = workspace_of(task)
    run = prepare(workspace, run_settings(task))
    trained = train(run, workspace)
    for step in trained.steps:
        watch.mark(step.ended - since, step.worked, step.tokens, step.learnt)
    watch.peak_bytes = trained.peak_bytes
    shutil.copytree(run.path / "final", adapter, dirs_exist_ok=True)
