"""What to do when memory runs out in a step: take it again in smaller pieces, then with activations computed again.

The global batch stays what it is, so that nothing but rounding changes.
"""

import gc
from dataclasses import dataclass

import torch

_SAID = ("out of memory", "can't allocate memory", "cublas_status_alloc_failed", "not enough memory")


@dataclass(frozen=True)
class Pieces:
    """How a global batch is cut: at most so many examples and tokens (padding and virtual tokens included) at once."""

    examples: int
    tokens: int
    checkpointing: bool


def is_out_of_memory(error: Exception) -> bool:
    """Tell whether an error means that the device, or the machine, had no memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _SAID)


def free_memory() -> None:
    """Give back what the step that failed has left behind."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def smaller(pieces: Pieces, examples: int, tokens: int, longest: int, checkpoints: bool) -> Pieces | None:
    """Return the next smaller pieces, None when there are none.

    Args:
        examples, tokens: of the largest micro-batch that was cut; the limits may be far above it.
        longest: tokens of the longest example, which is never cut.
        checkpoints: whether the method can compute activations again.
    """
    if examples > 1:
        return Pieces((examples + 1) // 2, max(longest, min(tokens, pieces.tokens) // 2), pieces.checkpointing)
    if checkpoints and not pieces.checkpointing:
        return Pieces(pieces.examples, pieces.tokens, True)
    return None
