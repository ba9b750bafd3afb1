"""Which validation was the best, when to stop because none is better any more, and which checkpoints may go."""

import math
from collections.abc import Sequence


class Validations:
    """The validation losses of a run, as they come. The one of step 0 is that of the untrained model."""

    def __init__(self, patience: int | None = None) -> None:
        """`patience` is how many validations in a row may be no better than the best before; None stops never."""
        self._patience = patience
        self._in_vain = 0
        self.untrained: float | None = None
        self.best_step: int | None = None  # of those that were trained
        self.best_loss = math.inf

    def add(self, step: int, loss: float) -> bool:
        """Note a validation and return whether it is the best of the trained model. A loss that is no number is never."""
        if step == 0:
            self.untrained = loss
            return False
        before = self.best_loss if self.untrained is None else min(self.best_loss, self.untrained)
        self._in_vain = 0 if loss < before else self._in_vain + 1
        if not loss < self.best_loss:
            return False
        self.best_step, self.best_loss = step, loss
        return True

    @property
    def exhausted(self) -> bool:
        return self._patience is not None and self._in_vain >= self._patience

    @property
    def worse_than_untrained(self) -> bool:
        """Whether no step was better than the model before its training."""
        return self.best_step is not None and self.untrained is not None and self.untrained <= self.best_loss


def superfluous(checkpoints: Sequence[int], every: int, keep: int, best: int | None) -> list[int]:
    """Return those of the checkpoints, by their steps in ascending order, that may be removed.

    The best stays, the last, and of the regular ones, saved each `every` steps, the newest `keep`. What was the best once may
    go.
    """
    newest = [*[step for step in checkpoints if step % every == 0][-keep:], *checkpoints[-1:]]
    return [step for step in checkpoints if step != best and step not in newest]
