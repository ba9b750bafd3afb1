"""Measuring a run before it starts: a job whose worker, `core.train.probe`, takes a few of its steps. No torch here."""

from dataclasses import asdict
from pathlib import Path

from core.runs.directory import create
from core.settings import RunSettings
from core.train.plan import Plan
from core.train.prepare import job_config
from core.workspace import Workspace

STEPS = 3  # one on the longest examples, which also warms up and meets the peak, and two whose time counts
MOST_SECONDS = 20.0  # that a step should take; chosen by us: a batch that takes longer is measured in part
TASK = "measure"


def submit(workspace: Workspace, settings: RunSettings, expected: Plan) -> Path:
    """Return a new job directory, ready for `supervisor.launch(job, "core.train.probe")`.

    Raises:
        StudioError: if the model, the data or the prompt cannot be used.
    """
    planned = {"examples": step_examples(settings, expected), "key": expected.key, "shape": asdict(expected.shape),
               "checkpointing": expected.checkpointing}  # fmt: skip
    config = job_config(workspace, settings, "probe") | {"task": TASK, "probe": planned}
    return create(workspace.jobs, TASK, config)


def expected_seconds(settings: RunSettings, expected: Plan) -> float:
    """Return about how long the measuring takes."""
    tokens = expected.shape.example * step_examples(settings, expected)
    return expected.speed.load_seconds + STEPS * tokens * expected.speed.seconds_per_token


def step_examples(settings: RunSettings, expected: Plan) -> int:
    """Return the examples of a measured step: the run's own batch, fewer where that would take long.

    It is never less than what fills a micro-batch of the longest, so that the peak of the memory is the run's.
    """
    size, micro = settings.batch.global_batch_size, settings.batch.micro_batch_size
    most = MOST_SECONDS / max(1e-9, expected.speed.seconds_per_token * expected.shape.example)
    least = micro or max(1, round(expected.shape.micro_batch / expected.shape.example))
    wanted = min(size, max(least, int(most)))
    return wanted // micro * micro if micro else wanted
