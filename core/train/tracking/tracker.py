"""What a tracker is told: the numbers of a step, and at the end what came out."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from core.runs import events


@dataclass(frozen=True)
class About:
    """What a tracker may know of a run. Neither the texts of the data nor the system prompt are among it.

    `folder` is the run directory, `shared` a folder that the trackers of all runs of a workspace may use.
    """

    name: str
    settings: Mapping[str, Any]
    folder: Path
    shared: Path


class Tracker(Protocol):
    """Made from an `About`, which connects it. Anything that it raises switches it off and is told; the run goes on."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Take the numbers of a step, by names such as `train/loss`."""

    def close(self, result: Mapping[str, float]) -> None:
        """Take what came out, finish, and send what is not sent yet."""


def numbers(event: events.Event) -> tuple[int, dict[str, float]] | None:
    """Return the step and the numbers of an event that has any."""
    match event:
        case events.StepFinished():
            return event.step, {
                "train/loss": event.loss,
                "train/learning_rate": event.learning_rate,
                "train/grad_norm": event.grad_norm,
                "train/epoch": event.epoch,
                "train/tokens_per_second": event.tokens_per_second,
            }
        case events.Validated():
            parts = {f"validation/loss/{name}": loss for name, loss in event.by_source.items()}
            return event.step, {"validation/loss": event.loss, **parts}
    return None


def result(event: events.TrainingEnded) -> dict[str, float]:
    """Return what a tracker keeps of the end of a run."""
    named = {
        "step": event.step,
        "kept_step": event.kept_step,
        "best_step": event.best_step,
        "best_loss": event.best_loss,
    }
    known = {name: float(value) for name, value in named.items() if value is not None}
    return known | {f"measured/{name}": value for name, value in event.measured.items()}
