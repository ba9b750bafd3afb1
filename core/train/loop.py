"""The steps of a run: taken, told, validated and saved, until all are done or it is time to stop.

What a step measured is read only when it is told: on a GPU, reading waits until everything before it is computed.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import psutil

from core.errors import Problem, RunError, problem
from core.runs import events
from core.runs.directory import Run, step_of
from core.runs.intact import is_intact
from core.train.batches import steps_per_epoch
from core.train.checkpoint import copy, remove, remove_unfinished
from core.train.examples import RunData
from core.train.peak import peak_bytes
from core.train.recording import is_first
from core.train.schedule import validation_interval
from core.train.stopping import Validations, superfluous
from core.train.trainer import Step, Trainer
from core.train.watch import Watch
from core.workspace import DISK_FULL

MOST_SOURCES = 20  # that are validated one by one; chosen by us: more is no table that anyone reads
_LOOKS_AGAIN = 2.0  # seconds between two attempts to save on a full disk
Reason = Literal["done", "stopped", "no_better"]


class Loop:
    """Takes the steps of `trainer`.

    Args:
        save: writes what is learnt so far into a folder, with a state to go on from where one is given.
        say: tells an event.
        made_with: what the steps depend on, for whoever goes on from a checkpoint (`core.train.resume`).
    """

    def __init__(
        self, run: Run, trainer: Trainer, data: RunData, save: Callable[[Path, dict[str, Any] | None], None],
        say: Callable[[events.Event], None], made_with: Mapping[str, Any],
    ) -> None:  # fmt: skip
        self._run, self._trainer, self._data, self._save, self._say = run, trainer, data, save, say
        self._made_with = dict(made_with)
        self._validations = Validations(run.settings.schedule.patience)
        self._watch = Watch(run.settings.schedule.patience)
        self._warned: set[str] = set()
        self._step = self._first = 0
        self._seconds = 0.0  # that earlier workers trained

    def go_on(self, step: int, told: Sequence[events.Event], seconds: float) -> None:
        """Go on after `step`, by when an earlier worker had told these events and trained so many seconds."""
        self._step = self._first = step
        self._seconds = seconds
        self._watch.recall(told)
        for event in told:
            if isinstance(event, events.Validated):
                self._validations.add(event.step, event.loss)
            elif isinstance(event, events.Warned):
                self._warned.add(event.code)

    def take(self) -> events.TrainingEnded:
        """Take the steps, leave the result in `final/` and return how it went.

        Raises:
            RunError: when the loss or its gradient is no number any more.
        """
        if is_first():
            remove_unfinished(self._run.path / "checkpoints")
            for folder in self._run.checkpoints():
                if step_of(folder) > self._first:  # damaged: those steps are taken again
                    remove(folder)
        reason = self._steps_or_save()
        self._say(events.Phase(name="saving"))
        best, patience = self._validations, self._run.settings.schedule.patience
        if best.worse_than_untrained:
            values = {"step": best.best_step, "loss": f"{best.best_loss:.3f}", "untrained": f"{best.untrained:.3f}"}
            self._warn(problem("train.not_better", "optim.learning_rate", **values))
        kept = best.best_step if patience and best.best_step else self._step
        if kept != self._step and not is_intact(self._folder(kept)):
            self._warn(problem("train.best_gone", f"step {kept}", step=kept, kept=self._step))
            kept = self._step
        self._keep(kept)
        return events.TrainingEnded(
            reason=reason,
            step=self._step,
            kept_step=kept,
            patience=patience,
            best_step=best.best_step,
            best_loss=best.best_loss if best.best_step else None,
            untrained_loss=best.untrained,
            planned=_planned(self._run.config.get("plan")),
            measured={
                "steps": self._step,
                "seconds": round(self._spent(), 1),
                "memory_bytes": peak_bytes(),
            },
        )

    def _steps_or_save(self) -> Reason:
        """Take the steps; where the memory is too small for one, save those before it."""
        try:
            return self._take_steps()
        except RunError as error:
            if self._step and error.problems[0].code in ("train.out_of_memory", "train.no_memory"):
                self._checkpoint()
            raise

    def _take_steps(self) -> Reason:
        settings, total = self._run.settings, self._trainer.total_steps
        per_epoch = steps_per_epoch(self._data.per_pass, settings.batch.global_batch_size)
        validate_every = validation_interval(settings.log, total, per_epoch)
        if not self._first:
            self._validate()
        if self._first and self._validations.exhausted:  # it was killed before it could say so
            return "no_better"
        pace = _Pace()
        for step in self._trainer.steps():
            self._step, last = step.step, step.step == total
            pace.add(step.tokens)
            if last or self._step % settings.log.every_steps == 0:
                self._tell(step, step.loss, step.grad_norm, pace)
            pace.pause()
            improved = (last or self._step % validate_every == 0) and self._validate()
            stopped = not last and (self._run.path / "stop").exists()
            if not last and (improved or stopped or self._step % settings.checkpoint.every_steps == 0):
                self._checkpoint()
            if self._validations.exhausted and not last:
                return "no_better"
            if stopped:
                return "stopped"
            pace.go_on()
        return "done"

    def _tell(self, step: Step, loss: float, norm: float, pace: "_Pace") -> None:
        """Tell a step whose loss and norm were waited for."""
        tokens, seconds = pace.lap()
        finished = events.StepFinished(
            step=step.step,
            epoch=round(step.epoch, 4),
            loss=loss,
            learning_rate=step.learning_rate,
            grad_norm=norm,
            tokens=step.learnt_tokens,
            tokens_per_second=round(pace.tokens / pace.seconds, 1),
            seconds_left=round(pace.seconds / pace.steps * (self._trainer.total_steps - step.step), 1),
        )
        self._say(finished)
        if not math.isfinite(loss) or not (math.isfinite(norm) or step.scaled):
            rate = f"{step.learning_rate:g}"
            raise RunError(problem("train.not_finite", f"step {step.step}", step=step.step, rate=rate))
        if loss == 0:
            self._warn(problem("train.zero_loss", step=step.step))
        self._alert(self._watch.step(finished, tokens, seconds))

    def _validate(self) -> bool:
        """Measure the validation loss, if there is anything to measure it on, and say whether it is the best."""
        if not self._data.validation:
            return False
        losses: dict[str, float] = {}
        total, tokens, start = 0.0, 0, 0
        for name, count in self._validated():
            examples = self._data.validation[start : start + count]
            start += count
            if counted := int(examples.learnt.sum()):
                losses[name] = self._trainer.validate(examples)
                total, tokens = total + losses[name] * counted, tokens + counted
        loss = total / tokens if tokens else 0.0
        validated = events.Validated(step=self._step, loss=loss, by_source=losses if len(losses) > 1 else {})
        self._say(validated)
        self._alert(self._watch.validated(validated))
        if not math.isfinite(loss):
            self._warn(problem("train.validation_not_finite", step=self._step))
        if loss == 0:
            self._warn(problem("train.zero_validation_loss", step=self._step))
        return self._validations.add(self._step, loss)

    def _validated(self) -> list[tuple[str, int]]:
        """Return the sources that have validation examples, and how many each; sets instead of tasks where these are many."""
        found = [(source.name, source.validated) for source in self._data.sources if source.validated]
        if len(found) <= MOST_SOURCES:
            return found
        sets: dict[str, int] = {}  # the tasks of a set follow one another
        for name, count in found:
            sets[name.partition(":")[0]] = sets.get(name.partition(":")[0], 0) + count
        return list(sets.items()) if len(sets) <= MOST_SOURCES else [("", sum(sets.values()))]

    def _checkpoint(self) -> None:
        """Save this step, to go on from there. A full disk costs this checkpoint, not those before and not the training."""
        if not is_first():
            return
        folder = self._folder(self._step)
        try:
            self._save(folder, self._state())
        except OSError as error:
            if error.errno not in DISK_FULL:
                raise
            self._alert([self._not_saved("train.not_saved", error)])
            return
        self._say(events.CheckpointSaved(step=self._step, path=f"checkpoints/{folder.name}"))
        self._tidy()
        self._alert(self._watch.disk(folder, sum(each.stat().st_size for each in folder.rglob("*"))))

    def _state(self) -> dict[str, Any]:
        return {
            **self._trainer.state(),
            "log_bytes": self._run.log.stat().st_size,
            "seconds": self._spent(),
            "made_with": self._made_with,
        }

    def _spent(self) -> float:
        """Return the seconds of this training, loading included, in all its workers."""
        return self._seconds + time.time() - psutil.Process().create_time()

    def _tidy(self) -> None:
        """Remove the checkpoints that are neither the best nor among the newest."""
        saved = [step_of(folder) for folder in self._run.checkpoints()]
        every, keep = self._run.settings.checkpoint.every_steps, self._run.settings.checkpoint.keep
        for step in superfluous(saved, every, keep, self._validations.best_step):
            remove(self._folder(step))

    def _keep(self, step: int) -> None:
        """Make a step the result: the present one, or one that was saved. On a full disk it waits until there is space."""
        if not is_first():
            return
        final = self._run.path / "final"
        while True:
            try:
                self._save(final, None) if step == self._step else copy(self._folder(step), final)
                break
            except OSError as error:
                if error.errno not in DISK_FULL or (self._run.path / "stop").exists():
                    raise
                self._warn(self._not_saved("train.waits_for_space", error))
            time.sleep(_LOOKS_AGAIN)
        self._tidy()

    def _not_saved(self, code: str, error: OSError) -> Problem:
        saved = [step_of(folder) for folder in self._run.checkpoints()]
        values = {"step": self._step, "kept": saved[-1] if saved else 0, "reason": error.strerror}
        return problem(code, f"step {self._step}", **values)

    def _folder(self, step: int) -> Path:
        return self._run.path / "checkpoints" / f"step-{step:06d}"

    def _warn(self, found: Problem) -> None:
        """Tell a warning, each kind once."""
        if found.code not in self._warned:
            self._warned.add(found.code)
            self._alert([found])

    def _alert(self, found: Sequence[Problem]) -> None:
        for each in found:
            self._say(events.Warned(code=each.code, where=each.where, values=each.values))


class _Pace:
    """Steps, tokens and seconds of this worker's steps; what is done between them, like validating, is left out."""

    def __init__(self) -> None:
        self.steps = self.tokens = 0
        self._before, self._began = 0.0, time.monotonic()
        self._last = (0, 0.0)

    @property
    def seconds(self) -> float:
        return self._before + time.monotonic() - self._began

    def add(self, tokens: int) -> None:
        self.steps += 1
        self.tokens += tokens

    def lap(self) -> tuple[int, float]:
        """Return the tokens and the seconds since the last lap."""
        (tokens, seconds), self._last = self._last, (self.tokens, self.seconds)
        return self._last[0] - tokens, self._last[1] - seconds

    def pause(self) -> None:
        self._before = self.seconds

    def go_on(self) -> None:
        self._began = time.monotonic()


def _planned(plan: Any) -> dict[str, float]:
    """Return what a plan said of a run, as far as it said anything; runs of older versions have none."""
    said = plan if isinstance(plan, Mapping) else {}
    known = {name: said.get(name) for name in ("steps", "seconds", "memory_bytes")}
    return {name: float(value) for name, value in known.items() if isinstance(value, int | float)}
