"""The learning rate of each step."""

import math
from typing import Literal


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
