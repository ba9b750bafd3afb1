"""A run of the studio as a person starts it, its real worker process watched from outside."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import psutil

from benchmarks.contest.task import Task
from core.runs import events
from core.runs.directory import Run
from core.runs.process import start
from core.settings import RunSettings, from_dict
from core.train.batches import batches
from core.train.examples import run_data
from core.workspace import Workspace

_LOOK = 0.02  # seconds between two looks at the events; times are the events' own


@dataclass(frozen=True)
class Step:
    """One optimizer step: when it was told (`time.time()`), the worker's processor seconds until then, and its tokens."""

    ended: float
    worked: float
    tokens: int
    learnt: int


@dataclass(frozen=True)
class Trained:
    steps: list[Step]
    began: float  # `time.time()` when the worker was started
    peak_bytes: int


def run_settings(task: Task, **others: Any) -> RunSettings:
    """Return the task as settings of a run; what it does not say has the studio's defaults. `others` are dotted paths."""
    groups = {
        "model": {"path": task.model},
        "data": {"train": ["train"], "validation_share": 0.0, "accept_warnings": True},
        "method": {"name": task.method},
        "lora": {"rank": task.rank, "alpha": task.alpha},
        "optim": {"learning_rate": task.learning_rate},
        "schedule": {"epochs": 1, "kind": "constant", "warmup_share": 0.0},
        "batch": {"global_batch_size": task.global_batch_size, "cutoff_len": task.cutoff_len},
        "seed": task.seed,
    }
    return from_dict(groups, {"schedule.max_steps": 1 if task.only_first_step else None, **others})


def workspace_of(task: Task) -> Workspace:
    return Workspace.at(task.workspace, (task.model,))


def train(run: Run, workspace: Workspace) -> Trained:
    """Let the run's worker train, and return what could be seen of it.

    Raises:
        SystemExit: if it failed.
    """
    began = time.time()
    worker = start(run.path, "core.train.worker")
    seen = list(_seen(run, worker))
    if worker.wait() or not isinstance(seen[-1][0], events.RunFinished):
        sys.exit((run.path / "worker.log").read_text(encoding="utf-8", errors="replace")[-3000:])
    ended = next(event for event, _ in seen if isinstance(event, events.TrainingEnded))
    told = [(event, worked) for event, worked in seen if isinstance(event, events.StepFinished)]
    times = _times(run)
    sizes = _tokens_of_steps(run, workspace, len(told))
    steps = [
        Step(moment, worked, tokens, event.tokens)
        for moment, (event, worked), tokens in zip(times, told, sizes, strict=True)
    ]
    return Trained(steps, began, int(ended.measured["memory_bytes"]))


def _seen(run: Run, worker: subprocess.Popen[bytes]) -> Iterator[tuple[events.Event, float]]:
    """Yield the worker's events with the processor seconds that it has used when they are seen, until it ends.

    Where nothing was told, nothing is read: to look at a process 50 times a second takes a tenth of its speed on two cores.
    """
    offset, known, worked, running = 0, -1, 0.0, True
    process = psutil.Process(worker.pid)
    while running:
        running = worker.poll() is None
        if (size := run.log.stat().st_size if run.log.exists() else 0) != known:
            known = size
            if running:
                used = process.cpu_times()
                worked = used.user + used.system
            found, offset = events.read_from(run.log, offset)
            yield from ((event, worked) for event in found)
        time.sleep(_LOOK)


def _times(run: Run) -> list[float]:
    lines = (json.loads(line) for line in run.log.read_text(encoding="utf-8").splitlines())
    return [line["time"] for line in lines if line["event"] == events.StepFinished.event]


def _tokens_of_steps(run: Run, workspace: Workspace, steps: int) -> list[int]:
    """Return the tokens of each step, padding not among them: the worker tells only the learnt ones."""
    data = run_data(workspace, run.settings, Path(run.config["model"]["folder"]), run.config["prompt"]["text"])
    stream = batches(data.of_pass, run.settings.batch.global_batch_size, run.settings.seed)
    return [int(data.train.lengths[batch].sum()) for batch in islice(stream, steps)]
