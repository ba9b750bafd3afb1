"""The process that measures a run before it starts: `python -m core.train.probe JOB_DIR`.

It loads the run's own model with the run's own method and takes a few steps on the run's own examples: one on the longest,
which warms up and meets the peak of the memory, then some of average length, whose time is taken.
Nothing that is learnt is kept.
"""

import time
from pathlib import Path
from typing import Any

import numpy
import psutil
import torch

from core.models import folder as models
from core.models.new_tokens import tokenizer_folder
from core.progress import Announced, Cancelled
from core.render.tokenizer import ChatTokenizer
from core.runs import events
from core.runs.directory import Run, read_config
from core.runs.listening import JobListener
from core.runs.work import run_worker
from core.settings import RunSettings, from_dict
from core.train.allocator import keep_freed_memory
from core.train.attached import attached_model
from core.train.examples import RunData, run_data
from core.train.measuring import STEPS
from core.train.peak import peak_bytes
from core.train.timing import Shape, Speed, keep
from core.train.trainer import Trainer
from core.workspace import Workspace


def work(job: Path) -> None:
    """Measure the run that the job describes and keep the result in the workspace's cache."""
    keep_freed_memory()
    run, probe = Run(job), read_config(job)["probe"]
    workspace = Workspace.at(run.config["workspace"], tuple(run.config["allow"]))
    model = models.find_model(workspace, run.settings.model.path, run.config["model"].get("revision"))
    listener = JobListener(job)
    listener.phase("checking_data")
    started = time.time() - psutil.Process().create_time()  # the libraries are loaded by now
    data = run_data(workspace, run.settings, model, run.config["prompt"]["text"], Announced(listener, "tokenising"))
    listener.phase("loading_model")
    began = time.monotonic()
    trainer = _trainer(workspace, run.settings, model, data, probe)
    loaded = started + time.monotonic() - began
    listener.phase("measuring")
    speed = Speed(_seconds_per_token(job, trainer), loaded, peak_bytes(), "probe")
    keep(workspace, probe["key"], Shape(**probe["shape"]), speed)
    result = {
        "seconds_per_token": speed.seconds_per_token,
        "load_seconds": round(loaded, 1),
        "peak_bytes": speed.peak_bytes,
    }
    events.append(job / "events.jsonl", events.RunFinished(result=result))


def choose(lengths: numpy.ndarray, count: int) -> list[numpy.ndarray]:
    """Return the examples of each measured step: the `count` longest, then as many spread evenly over all lengths."""
    order = numpy.argsort(lengths, kind="stable")
    steps = [order[::-1][:count]]
    for step in range(1, STEPS):
        places = (numpy.arange(count) + step / STEPS) * len(order) / count
        steps.append(order[places.astype(int) % len(order)])
    return [numpy.resize(each, count) for each in steps]


def _trainer(
    workspace: Workspace, settings: RunSettings, folder: Path, data: RunData, probe: dict[str, Any]
) -> Trainer:
    """Return a trainer whose every pass is one of the steps to measure."""
    torch.manual_seed(settings.seed)
    spoken = tokenizer_folder(workspace, settings, folder)
    model, groups = attached_model(folder, settings, spoken)
    chosen = choose(data.train.lengths, probe["examples"])
    changes = {"batch.global_batch_size": probe["examples"], "schedule.max_steps": STEPS, "schedule.epochs": STEPS}
    return Trainer(
        model, data.train, ChatTokenizer.load(spoken).pad_id, from_dict(settings.model_dump(), changes),
        lambda number: chosen[min(number, STEPS - 1)], groups, tokens=probe["shape"]["micro_batch"],
        checkpointing=probe["checkpointing"],
    )  # fmt: skip


def _seconds_per_token(job: Path, trainer: Trainer) -> float:
    """Take the steps and return the time that a token took in those after the first.

    Raises:
        Cancelled: when somebody asked to stop.
    """
    tokens, seconds, began = 0, 0.0, time.monotonic()
    for step in trainer.steps():
        float(step.loss)  # waits for the device
        took, began = time.monotonic() - began, time.monotonic()
        if step.step > 1:
            tokens, seconds = tokens + step.tokens, seconds + took
        left = round(took * (STEPS - step.step), 1)
        events.append(job / "events.jsonl", events.Progress(done=step.step, total=STEPS, seconds_left=left))
        if (job / "stop").exists():
            raise Cancelled
    return seconds / tokens


if __name__ == "__main__":
    run_worker(work)
