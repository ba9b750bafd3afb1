"""Which examples make which step: shuffled by a seed, the same for the same seed, from any step on."""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

_GROUP = 8  # global batches that are sorted by length together where rows are padded; more pads less and mixes less

Indices = np.ndarray  # (n,) int64, of examples


def steps_per_epoch(examples: int, global_batch_size: int) -> int:
    return math.ceil(examples / global_batch_size)


def total_steps(examples: int, global_batch_size: int, epochs: float, max_steps: int | None) -> int:
    """Return the number of optimizer steps; `max_steps` is an upper limit."""
    wanted = round(epochs * steps_per_epoch(examples, global_batch_size), 6)  # 1.1 * 50 is a little more than 55
    steps = max(1, math.ceil(wanted))
    return min(steps, max_steps) if max_steps else steps


def batches(
    of_pass: Callable[[int], Sequence[int] | Indices], global_batch_size: int, seed: int, *, taken: int = 0,
    lengths: Indices | None = None,
) -> Iterator[Indices]:  # fmt: skip
    """Yield global batches without end, as indices; each pass over the data is shuffled anew.

    Args:
        of_pass: gives the examples of a pass, numbered from 0; equally many of each.
        taken: so many batches were taken before, and are left out.
        lengths: tokens of each example; with them, batches are made of examples of similar length, so that little is padded.
    """
    epoch, left_out = divmod(taken, steps_per_epoch(len(of_pass(0)), global_batch_size))
    while True:
        draw = np.random.default_rng([seed, epoch])
        order = draw.permutation(np.asarray(of_pass(epoch), dtype=np.int64))
        if lengths is not None:
            order = _grouped(order, lengths, global_batch_size)
        starts = np.arange(0, len(order), global_batch_size)
        if lengths is not None:
            draw.shuffle(starts)
        for start in starts[left_out:]:
            yield order[start : start + global_batch_size]
        epoch, left_out = epoch + 1, 0


def _grouped(order: Indices, lengths: Indices, global_batch_size: int) -> Indices:
    """Return the indices sorted by length inside stretches of a few global batches."""
    size = _GROUP * global_batch_size
    stretches = [order[at : at + size] for at in range(0, len(order), size)]
    return np.concatenate([each[np.argsort(lengths[each], kind="stable")] for each in stretches])
