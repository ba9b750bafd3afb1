"""Measures a training the same way whoever trains: from the start of the process, without the first steps.

torch is imported only where this process trains: what watches the studio's worker has no use for it.
"""

import time
from collections.abc import Sequence
from typing import Any

SETTLING = 5  # steps that no speed counts: the first ones allocate, choose kernels and, on a GPU, compile
IGNORE_INDEX = -100


def real_tokens(rows: Sequence[Sequence[int]]) -> int:
    """Return how many tokens rows have; they are not padded yet."""
    return sum(map(len, rows))


def learnt_tokens(labels: Sequence[Sequence[int]]) -> int:
    """Return how many tokens are predicted and learnt; the first of a row has nothing before it and cannot be."""
    return sum(label != IGNORE_INDEX for row in labels for label in row[1:])


class Stopwatch:
    """Counts the steps of one training. `began` is `time.monotonic()` when the process was started, taken by who did.

    `peak_bytes` is the most memory that the training held: resident on a CPU, reserved on a GPU.
    """

    def __init__(self, began: float) -> None:
        self._began = began
        self._marks: list[
            tuple[float, float, int, int]
        ] = []  # seconds, processor seconds, tokens, learnt tokens; in all
        self.peak_bytes = 0

    def step(self, tokens: int, learnt: int) -> None:
        """Note that this process has ended an optimizer step over so many real and so many learnt tokens."""
        import torch

        if torch.cuda.is_available() and len(self._marks) < SETTLING:
            torch.cuda.synchronize()
        self.mark(time.monotonic(), time.process_time(), tokens, learnt)

    def mark(self, moment: float, worked: float, tokens: int, learnt: int) -> None:
        """Note that a step ended at a moment of `time.monotonic()`, after so many processor seconds."""
        _, _, before, learnt_before = self._marks[-1] if self._marks else (0.0, 0.0, 0, 0)
        self._marks.append((moment - self._began, worked, before + tokens, learnt_before + learnt))

    def finish(self) -> None:
        """Note the end of the training in this process, before anything is saved."""
        import torch

        from core.train.peak import peak_bytes

        if torch.cuda.is_available():
            torch.cuda.synchronize()
            _, worked, tokens, learnt = self._marks[-1]
            self._marks[-1] = (time.monotonic() - self._began, worked, tokens, learnt)
        self.peak_bytes = peak_bytes()

    @property
    def figures(self) -> dict[str, Any]:
        """Speeds of the steps after the first `SETTLING`, a second and a second of one core's work; memory in 10^6 bytes."""
        ended, worked, tokens, learnt = self._marks[-1]
        found = {
            "steps": len(self._marks),
            "tokens": tokens,
            "learnt_tokens": learnt,
            "peak_memory_mb": round(self.peak_bytes / 1e6, 1),
            "seconds_to_first_step": round(self._marks[0][0], 2),
        }
        if len(self._marks) > SETTLING:
            began, worked_before, before, learnt_before = self._marks[SETTLING - 1]
            found["tokens_per_second"] = round((tokens - before) / (ended - began), 1)
            found["learnt_tokens_per_second"] = round((learnt - learnt_before) / (ended - began), 1)
            found["tokens_per_core_second"] = round((tokens - before) / (worked - worked_before), 1)
        return found
