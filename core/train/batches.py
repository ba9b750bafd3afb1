"""Which examples make which step: shuffled by a seed, grouped by length so that little is padded."""

import math
import random
from collections.abc import Callable, Iterator, Sequence

from core.render.tokenizer import Example

_GROUP = 8  # global batches that are sorted by length together; more pads less and mixes less
CPU_TOKENS = (
    8_192  # tokens, padding included, in a micro-batch; chosen by us: about 0.5 GB of activations on the starter
)


def steps_per_epoch(examples: int, global_batch_size: int) -> int:
    return math.ceil(examples / global_batch_size)


def total_steps(examples: int, global_batch_size: int, epochs: float, max_steps: int | None) -> int:
    """Return the number of optimizer steps; `max_steps` is an upper limit."""
    steps = max(1, math.ceil(epochs * steps_per_epoch(examples, global_batch_size)))
    return min(steps, max_steps) if max_steps else steps


def micro_batch_size(wanted: int | None, global_batch_size: int, longest: int) -> int:
    """Return the examples that go through the model at once: what is wanted, else the largest divisor that fits."""
    if wanted:
        return wanted
    fits = max(1, CPU_TOKENS // max(1, longest))
    return max(size for size in range(1, global_batch_size + 1) if global_batch_size % size == 0 and size <= fits)


def batches(of_pass: Callable[[int], Sequence[Example]], global_batch_size: int, seed: int) -> Iterator[list[Example]]:
    """Yield global batches without end; each pass over the data is shuffled anew, and the same for the same seed.

    `of_pass(number)` gives the examples of a pass, numbered from 0.
    """
    epoch = 0
    while True:
        draw = random.Random(f"{seed} {epoch}")
        order = list(of_pass(epoch))
        draw.shuffle(order)
        size = _GROUP * global_batch_size
        groups = (sorted(order[at : at + size], key=_length) for at in range(0, len(order), size))
        chunks = [
            group[at : at + global_batch_size] for group in groups for at in range(0, len(group), global_batch_size)
        ]
        draw.shuffle(chunks)
        yield from chunks
        epoch += 1


def _length(example: Example) -> int:
    return len(example.input_ids)
