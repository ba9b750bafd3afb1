"""What a training notices while it runs: gradient spikes, a plateau, a rising validation, lost speed, a full disk.

It only looks at what the event log says anyway, and at the seconds that steps take; it changes nothing. A trouble is told
when it begins, and again only after it had gone away. That the loss is no number or zero is found by the loop itself.

Thresholds are chosen by us, so that an ordinary run is never told of a trouble that it does not have: each needs a change
that chance does not bring. `tests/test_watch.py` holds series with and without each trouble.
"""

import math
import shutil
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

from core.errors import Problem, problem
from core.runs.events import Event, StepFinished, Validated


class Watch:
    """Looks at the steps and validations of one training as they are told, and returns what has just begun to go wrong.

    `patience` is the setting: with it the run ends by itself when its validation only gets worse, and the words say so.
    """

    def __init__(self, patience: int | None = None) -> None:
        self._norms, self._plateau, self._speed = _Norms(), _Plateau(), _Speed()
        self._validations = _Validations(patience)
        self._disk = _Once()

    def step(self, finished: StepFinished, tokens: int, seconds: float) -> list[Problem]:
        """Look at a step that was told. `tokens` (padding included) and `seconds` are of all steps since the one before."""
        if not math.isfinite(finished.loss):
            return []
        return [
            *self._norms.add(finished),
            *self._plateau.add(finished),
            *self._speed.add(finished.step, tokens, seconds),
        ]

    def validated(self, found: Validated) -> list[Problem]:
        """Look at a validation. The untrained model's is left aside."""
        return self._validations.add(found) if found.step and math.isfinite(found.loss) else []

    def disk(self, folder: Path, next_checkpoint_bytes: float) -> list[Problem]:
        """Look whether the next two checkpoints still fit on the disk of `folder`; call it after each checkpoint."""
        free, needed = shutil.disk_usage(folder).free, disk_needed(next_checkpoint_bytes)
        values: dict[str, Any] = {
            "free": round(free / 1e6),
            "needed": round(needed / 1e6),
            "each": round(next_checkpoint_bytes / 1e6),
        }
        return self._disk.told(free < needed, problem("train.disk_nearly_full", str(folder), **values))

    def recall(self, past: Iterable[Event]) -> None:
        """Take in the events of a run that is gone on with, without telling anything of them again.

        Speeds are not recalled: it may be another machine now.
        """
        for event in past:
            if isinstance(event, StepFinished) and math.isfinite(event.loss):
                self._norms.add(event)
                self._plateau.add(event)
            elif isinstance(event, Validated):
                self.validated(event)


def disk_needed(checkpoint_bytes: float) -> float:
    """Return what should be free: two checkpoints, since one is written before an older one goes, and room for the logs."""
    return 2 * checkpoint_bytes + 200e6


class _Once:
    """Tells a trouble when it begins, and not again before it has gone away."""

    def __init__(self) -> None:
        self._there = False

    def told(self, there: bool, found: Problem) -> list[Problem]:
        before, self._there = self._there, there
        return [found] if there and not before else []


class _Norms:
    """Gradient spikes: a step whose gradient is many times as long as usual.

    One spike is an odd row, and clipping takes the harm from it. Several of them soon after one another are a training
    that is about to come apart, and so is a single enormous one.
    """

    KNOWN, AGO = 20, 100  # steps: known before anything is judged, and how far "usual" and "soon" reach back
    SPIKE, ENORMOUS, SEVERAL = 10.0, 50.0, 3  # times the median. Real runs that went well had at most 7

    def __init__(self) -> None:
        self._seen: deque[float] = deque(maxlen=self.AGO)
        self._spikes: deque[tuple[int, float]] = deque(maxlen=self.SEVERAL)
        self._told = _Once()
        self._number = 0

    def add(self, finished: StepFinished) -> list[Problem]:
        self._number += 1
        norm = finished.grad_norm
        if not math.isfinite(norm):  # a step that the scaling of float16 leaves out
            return []
        usual = median(self._seen) if len(self._seen) >= self.KNOWN else 0.0
        self._seen.append(norm)
        if usual > 0 and norm > self.SPIKE * usual:
            self._spikes.append((self._number, norm / usual))
        recent = [times for number, times in self._spikes if self._number - number < self.AGO]
        there = len(recent) == self.SEVERAL or any(times > self.ENORMOUS for times in recent)
        values: dict[str, Any] = {
            "step": finished.step,
            "times": f"{max(recent, default=0):.0f}",
            "rate": f"{finished.learning_rate:g}",
        }
        return self._told.told(there, problem("train.gradient_spikes", **values))


class _Plateau:
    """A plateau: the loss of the latest third of all steps is that of the third before, and that is no chance.

    It is judged only while the learning rate is high: later in its schedule a loss that hardly moves is what is wanted.
    """

    KNOWN = 90  # told steps before anything is judged; then every tenth, later every fiftieth part of what is known
    FALL = 0.02  # less than this share of the loss counts as nothing; twice the standard error has to fit in as well
    HIGH = 0.5  # of the highest rate so far

    def __init__(self) -> None:
        self._losses: list[float] = []
        self._highest = 0.0
        self._judge_at = self.KNOWN
        self._told = _Once()

    def add(self, finished: StepFinished) -> list[Problem]:
        self._losses.append(finished.loss)
        self._highest = max(self._highest, finished.learning_rate)
        known = len(self._losses)
        if known < self._judge_at:
            return []
        self._judge_at = known + max(10, known // 50)
        third = known // 3
        there = finished.learning_rate >= self.HIGH * self._highest and _flat(
            self._losses[-2 * third : -third], self._losses[-third:], self.FALL
        )
        values: dict[str, Any] = {"step": finished.step, "loss": f"{fmean(self._losses[-third:]):.3g}", "count": third,
                  "rate": f"{finished.learning_rate:g}"}  # fmt: skip
        return self._told.told(there, problem("train.plateau", **values))


def _flat(before: Sequence[float], after: Sequence[float], share: float) -> bool:
    """Tell whether the mean has surely fallen by less than `share`: the 95 % interval of the fall ends below it."""
    (first, first_error), (second, second_error) = _mean(before), _mean(after)
    return first - second + 2 * math.hypot(first_error, second_error) < share * first


def _mean(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and its standard error. `statistics.variance` is exact and takes 100 ms for 100,000 steps."""
    mean = fmean(values)
    return mean, math.sqrt(sum((each - mean) ** 2 for each in values)) / len(values)


class _Validations:
    """A validation loss that rose three times in a row, and is above the best by more than its last digits."""

    RISES, ABOVE = 3, 0.01

    def __init__(self, patience: int | None) -> None:
        self._patience = patience
        self._best_step, self._best, self._before, self._rises = 0, math.inf, math.inf, 0
        self._told = _Once()

    def add(self, found: Validated) -> list[Problem]:
        self._rises = self._rises + 1 if found.loss > self._before else 0
        self._before = found.loss
        if found.loss < self._best:
            self._best_step, self._best = found.step, found.loss
        there = self._rises >= self.RISES and found.loss > self._best * (1 + self.ABOVE)
        values: dict[str, Any] = {
            "step": found.step,
            "loss": f"{found.loss:.3f}",
            "best_step": self._best_step,
            "best": f"{self._best:.3f}",
        }
        if self._patience:
            return self._told.told(
                there, problem("train.validation_rises_with_patience", patience=self._patience, **values)
            )
        return self._told.told(there, problem("train.validation_rises", "schedule.patience", **values))


class _Speed:
    """Lost speed: for half a minute, and for several steps, less than a third of what this worker usually does."""

    KNOWN, AGO = 20, 200  # told steps: known before anything is judged, and how far "usual" reaches back
    SLOW, STEPS, SECONDS = 3.0, 5, 30.0

    def __init__(self) -> None:
        self._seen: deque[float] = deque(maxlen=self.AGO)
        self._slow: list[tuple[int, float]] = []  # tokens and seconds of the slow steps in a row
        self._told = _Once()

    def add(self, step: int, tokens: int, seconds: float) -> list[Problem]:
        speed = tokens / seconds if seconds > 0 else 0.0
        if len(self._seen) < self.KNOWN:
            self._seen.append(speed)
            return []
        usual = median(self._seen)
        if speed * self.SLOW < usual:
            self._slow.append((tokens, seconds))
        else:  # slow steps are not "usual", however long they last
            self._slow.clear()
            self._seen.append(speed)
        lasted = sum(seconds for _, seconds in self._slow)
        there = len(self._slow) >= self.STEPS and lasted >= self.SECONDS
        now = sum(tokens for tokens, _ in self._slow) / lasted if lasted else speed
        values: dict[str, Any] = {"step": step, "now": f"{now:,.0f}", "usual": f"{usual:,.0f}"}
        return self._told.told(there, problem("train.slow", **values))
