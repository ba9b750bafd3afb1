"""The learning rate of each step, and after which steps it is measured how the model does."""

import math
from typing import Literal

from core.settings.groups import LogSettings


def learning_rate(
    step: int, total: int, peak: float, kind: Literal["cosine", "linear", "constant"], warmup_share: float
) -> float:
    """Return the rate of step 1 … `total`: a straight rise over the warm-up, then down to a fiftieth, or flat."""
    warmup = math.ceil(total * warmup_share)
    if step <= warmup:
        return peak * step / (warmup + 1)
    if kind == "constant":
        return peak
    done = (step - warmup) / max(1, total - warmup)
    left = 0.5 * (1 + math.cos(math.pi * done)) if kind == "cosine" else 1 - done
    return peak * max(left, 0.02)


def validation_interval(log: LogSettings, total: int, per_epoch: int) -> int:
    """Return after how many steps each the model is validated: as set, else each epoch, else ten times in a run."""
    return log.validate_every_steps or (per_epoch if log.validate_each_epoch else max(1, total // 10))
