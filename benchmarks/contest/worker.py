"""A run of the studio as a person starts it, its real worker process watched from outside."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.contest.task import Task
from core.runs import events
from core.runs.directory import Run
from core.runs.process import start
from core.settings import RunSettings, from_dict
from core.train.batches import batches
from core.train.examples import run_data
from core.workspace import Workspace

_LOOK = 0.25  # seconds between two looks at the worker; 50 a second took 7 % of its speed on 2 cores


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
    looked, used = _watched(worker)
    found, _ = events.read_from(run.log)
    if worker.returncode or not isinstance(found[-1], events.RunFinished):
        sys.exit((run.path / "worker.log").read_text(encoding="utf-8", errors="replace")[-3000:])
    ended = next(event for event in found if isinstance(event, events.TrainingEnded))
    told = [event for event in found if isinstance(event, events.StepFinished)]
    times = _times(run)
    sizes = _tokens_of_steps(run, workspace, len(told))
    worked = np.interp(times, looked, used).tolist()
    steps = [
        Step(moment, each, tokens, event.tokens)
        for moment, each, tokens, event in zip(times, worked, sizes, told, strict=True)
    ]
    return Trained(steps, began, int(ended.measured["memory_bytes"]))


def _watched(worker: subprocess.Popen[bytes]) -> tuple[list[float], list[float]]:
    """Wait for a worker to end; return when it was looked at (`time.time()`) and the processor seconds it had used."""
    looked, used, process, ended = [], [], psutil.Process(worker.pid), False
    while not ended:
        ended = process.status() == psutil.STATUS_ZOMBIE  # what it used can be read until somebody waits for it
        times = process.cpu_times()
        looked.append(time.time())
        used.append(times.user + times.system)
        time.sleep(0 if ended else _LOOK)
    worker.wait()
    return looked, used


def _times(run: Run) -> list[float]:
    lines = (json.loads(line) for line in run.log.read_text(encoding="utf-8").splitlines())
    return [line["time"] for line in lines if line["event"] == events.StepFinished.event]


def _tokens_of_steps(run: Run, workspace: Workspace, steps: int) -> list[int]:
    """Return the tokens of each step, padding not among them: the worker tells only the learnt ones."""
    data = run_data(workspace, run.settings, Path(run.config["model"]["folder"]), run.config["prompt"]["text"])
    stream = batches(data.of_pass, run.settings.batch.global_batch_size, run.settings.seed)
    return [int(data.train.lengths[batch].sum()) for batch in islice(stream, steps)]
