"""How many steps give two trainings equally much to learn: arms that are compared differ in their data, not in its amount.

Counted are the learnt tokens, those whose loss is taken, in exactly the batches that the trainer will make.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from core.settings import RunSettings
from core.train.batches import batches, steps_per_epoch, total_steps
from core.train.examples import RunData


@dataclass(frozen=True)
class Amount:
    """So many steps, and the learnt tokens that they see."""

    steps: int
    learnt_tokens: int


def planned(settings: RunSettings, data: RunData) -> Amount:
    """Return what a run takes by its own settings."""
    schedule, size = settings.schedule, settings.batch.global_batch_size
    steps = total_steps(data.per_pass, size, schedule.epochs, schedule.max_steps)
    counted = 0
    for batch, _ in zip(_batches(settings, data), range(steps), strict=False):
        counted += int(data.train.learnt[batch].sum())
    return Amount(steps, counted)


def nearest(settings: RunSettings, data: RunData, learnt_tokens: int) -> Amount:
    """Return the steps after which a run has seen nearest to so many learnt tokens, at least one.

    That is never further away than half of what its last step sees.
    """
    before = Amount(0, 0)
    for batch in _batches(settings, data):
        now = Amount(before.steps + 1, before.learnt_tokens + int(data.train.learnt[batch].sum()))
        if now.learnt_tokens >= learnt_tokens:
            nearer = learnt_tokens - before.learnt_tokens < now.learnt_tokens - learnt_tokens
            return before if nearer and before.steps else now
        before = now
    raise AssertionError("batches end never")


def with_steps(settings: RunSettings, data: RunData, steps: int) -> RunSettings:
    """Return the settings of a run that takes exactly so many steps; its rate falls over these, as over any other number."""
    per_epoch = steps_per_epoch(data.per_pass, settings.batch.global_batch_size)
    epochs = max(settings.schedule.epochs, math.ceil(steps / per_epoch))
    schedule = settings.schedule.model_copy(update={"epochs": float(epochs), "max_steps": steps})
    return settings.model_copy(update={"schedule": schedule})


def _batches(settings: RunSettings, data: RunData) -> Iterator[np.ndarray]:
    # Where a model cannot pack, the trainer sorts by length within some batches: the sum is the same to a few tokens.
    lengths = None if settings.batch.packing else data.train.lengths
    return batches(data.of_pass, settings.batch.global_batch_size, settings.seed, lengths=lengths)
