"""What to do when memory runs out in a step: take it again in smaller pieces, then with activations computed again.

The global batch stays what it is, so that nothing but rounding changes.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Pieces:
    """How a global batch is cut: at most so many examples and tokens (padding and virtual tokens included) at once."""

    examples: int
    tokens: int
    checkpointing: bool


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
