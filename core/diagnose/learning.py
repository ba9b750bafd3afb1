"""How the training went: too few steps, a rate that broke it, rows learnt by heart, a checkpoint better than the end."""

import math
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Any

from core.diagnose.evidence import Evidence
from core.diagnose.finding import Finding
from core.train.advice import FEW_STEPS
from core.train.batches import total_steps

ENOUGH = 2 * FEW_STEPS  # steps to aim at, as the plan's advice does
SMALL_BATCH = 8  # examples; chosen by us: below it the steps of a small set are mostly noise
ROSE = 0.25  # of the lowest loss; chosen by us: runs that went well end within a few percent of it
ROSE_NATS = 0.1  # chosen by us: near zero a share alone says nothing
SURE = 3  # standard errors; two would be 5 % by chance, and the lowest of ten windows is low by chance as well
OVERFIT = 0.05  # of the best validation loss; chosen by us: a validation of some dozen rows moves by 2 % for no reason
GAP = 0.5  # of the validation loss; chosen by us: a training loss below it knows the rows, and not what they stand for
LOWER = 4  # times; chosen by us: rates are usually wrong by a factor, not by a little


def diverged(seen: Evidence) -> Finding | None:
    """The training came apart: the loss stopped being a number, or it ended far above where it had been."""
    rate = seen.settings.optim.learning_rate
    losses = [each.loss for each in seen.steps if math.isfinite(each.loss)]
    window = max(5, len(losses) // 10)
    if len(losses) < (1 if seen.broke else 3) * window:
        return None
    windows = [_mean(losses[at : at + window]) for at in range(0, len(losses) - window + 1, window)]
    (low, low_error), (last, last_error) = min(windows), _mean(losses[-window:])
    surely = last - low > SURE * math.hypot(low_error, last_error)
    if not seen.broke and not (surely and last >= max(low * (1 + ROSE), low + ROSE_NATS)):
        return None
    values = {"step": seen.broke or seen.steps[-1].step, "low": low, "last": last, "rate": f"{rate:g}"}
    return Finding("diverged", "error", values, {"optim.learning_rate": rounded(rate / LOWER)})


def few_steps(seen: Evidence) -> Finding | None:
    """So few optimizer steps that nothing could be learnt, and nothing was."""
    stuck = [each for each in seen.aims if each.not_learnt]
    if not 0 < seen.asked_step < FEW_STEPS or not stuck:
        return None
    worst = min(stuck, key=lambda each: each.tuned)
    changes = more_steps(seen)
    values: dict[str, Any] = {"steps": seen.asked_step, "few": FEW_STEPS, **worst.numbers()}
    return Finding("few_steps", "error", values, changes)


def more_steps(seen: Evidence) -> dict[str, Any]:
    """Return the settings that make enough steps of the same data: a smaller batch, which costs no time, then passes."""
    schedule, batch = seen.settings.schedule, seen.settings.batch
    changes: dict[str, Any] = {}
    if schedule.max_steps is not None:
        changes["schedule.max_steps"] = None
    shown = seen.per_pass * schedule.epochs
    size = min(batch.global_batch_size, max(SMALL_BATCH, 2 ** int(math.log2(max(1.0, shown / ENOUGH)))))
    if size != batch.global_batch_size:
        changes["batch.global_batch_size"] = size
        if batch.micro_batch_size and size % batch.micro_batch_size:
            changes["batch.micro_batch_size"] = None
    if seen.per_pass and total_steps(seen.per_pass, size, schedule.epochs, None) < ENOUGH:
        changes["schedule.epochs"] = float(math.ceil(ENOUGH * size / seen.per_pass))
    return changes


def overfit(seen: Evidence) -> Finding | None:
    """The rows are learnt by heart: the validation was better earlier, and something that was asked is worse for it."""
    until = [each for each in seen.validations if each.step <= seen.asked_step and math.isfinite(each.loss)]
    if not until:
        return None
    best, last = min(until, key=lambda each: each.loss), until[-1]
    trained = seen.loss_before(seen.asked_step)
    rises = last.step > best.step and last.loss > best.loss * (1 + OVERFIT)
    if not rises or trained is None or trained > GAP * last.loss:
        return None
    worse = [each.name for each in seen.tests if each.is_worse]
    if not worse and seen.kept.get("verdict") not in ("lost", "slightly"):
        return None
    values = {
        "best_step": best.step,
        "best": best.loss,
        "step": last.step,
        "last": last.loss,
        "trained": trained,
        "worse": worse or ["diagnosis.kept"],
    }
    if best.step < FEW_STEPS:  # a checkpoint, or a run, of so few steps has learnt nothing
        rate = rounded(seen.settings.optim.learning_rate / LOWER)
        return Finding("overfit_early", "warning", {**values, "few": FEW_STEPS}, {"optim.learning_rate": rate})
    saved = seen.run.path / f"checkpoints/step-{best.step:06d}"
    adapter = f"checkpoints/{saved.name}" if saved in seen.run.checkpoints() else None
    changes = {"schedule.epochs": rounded(max(0.1, seen.passes * best.step / seen.asked_step)), "schedule.patience": 3}
    return Finding("overfit", "warning", values, changes, adapter=adapter)


def better_checkpoint(seen: Evidence) -> Finding | None:
    """A checkpoint of the same run that was asked as well is better than its result, by more than chance."""
    states = [each for each in seen.score.get("who", ()) if each["id"].startswith("step-")]
    found = [
        (test.compared(who=state["id"], other="tuned"), test, state)
        for state in states
        for test in seen.own_tests
        if test.compared(who=state["id"], other="tuned").get("winner") == "who"
    ]
    worse = {state["id"] for state in states for test in seen.tests
             if test.compared(who=state["id"], other="tuned").get("winner") == "other"}  # fmt: skip
    better = [each for each in found if each[2]["id"] not in worse]
    if not better:
        return None
    compared, test, state = max(better, key=lambda each: each[0]["difference"])
    values = {"test": test.name, "n": test.n, "step": state["step"], "there": test.of(state["id"]), "tuned": test.tuned,
              "low": compared["low"], "high": compared["high"]}  # fmt: skip
    return Finding("better_checkpoint", "warning", values, adapter=state["saved"])


def rounded(value: float) -> float:
    """Return a value with the two digits that a person would choose."""
    return float(f"{value:.2g}")


def _mean(losses: Sequence[float]) -> tuple[float, float]:
    """Return the mean and its standard error."""
    return fmean(losses), stdev(losses) / math.sqrt(len(losses)) if len(losses) > 1 else 0.0
