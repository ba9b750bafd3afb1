"""Measures a training the same way whoever trains: from the start of the process, without the first steps."""

import resource
import time
from collections.abc import Sequence
from typing import Any

import torch

SETTLING = 5  # steps that no speed counts: the first ones allocate, choose kernels and, on a GPU, compile
IGNORE_INDEX = -100


def real_tokens(rows: Sequence[Sequence[int]]) -> int:
    """Return how many tokens rows have; they are not padded yet."""
    return sum(map(len, rows))


def learnt_tokens(labels: Sequence[Sequence[int]]) -> int:
    """Return how many tokens are predicted and learnt; the first of a row has nothing before it and cannot be."""
    return sum(label != IGNORE_INDEX for row in labels for label in row[1:])


class Stopwatch:
    """Counts the steps of one training. `began` is `time.monotonic()` when the process was started, taken by who did."""

    def __init__(self, began: float) -> None:
        self._began = began
        self._marks: list[
            tuple[float, float, int, int]
        ] = []  # seconds, processor seconds, tokens, learnt tokens; in all
        self._peak = 0

    def step(self, tokens: int, learnt: int) -> None:
        """Note the end of an optimizer step over so many real and so many learnt tokens."""
        if torch.cuda.is_available() and len(self._marks) < SETTLING:
            torch.cuda.synchronize()
        _, _, before, learnt_before = self._marks[-1] if self._marks else (0.0, 0.0, 0, 0)
        self._mark(before + tokens, learnt_before + learnt)

    def finish(self) -> None:
        """Note the end of the training, before anything is saved."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
            self._peak = torch.cuda.max_memory_allocated()
            _, _, tokens, learnt = self._marks.pop()
            self._mark(tokens, learnt)
        else:
            self._peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    @property
    def figures(self) -> dict[str, Any]:
        """Speeds of the steps after the first `SETTLING`, per second and per second of one core's work, and peak memory.

        Memory is the most that the process held, in MB (10^6 bytes): resident on a CPU, allocated on a GPU.
        """
        ended, worked, tokens, learnt = self._marks[-1]
        found = {
            "steps": len(self._marks),
            "tokens": tokens,
            "learnt_tokens": learnt,
            "peak_memory_mb": round(self._peak / 1e6, 1),
            "seconds_to_first_step": round(self._marks[0][0], 2),
        }
        if len(self._marks) > SETTLING:
            began, worked_before, before, learnt_before = self._marks[SETTLING - 1]
            found["tokens_per_second"] = round((tokens - before) / (ended - began), 1)
            found["learnt_tokens_per_second"] = round((learnt - learnt_before) / (ended - began), 1)
            found["tokens_per_core_second"] = round((tokens - before) / (worked - worked_before), 1)
        return found

    def _mark(self, tokens: int, learnt: int) -> None:
        self._marks.append((time.monotonic() - self._began, time.process_time(), tokens, learnt))
