"""The trials of a sweep, appended to trials.jsonl as they begin and end; of two lines with one number the later counts."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from core.evaluate import lines

FILE = "trials.jsonl"
State = Literal["running", "complete", "pruned", "failed"]


@dataclass(frozen=True)
class Trial:
    """One combination of settings.

    `losses` are the validations, (step, nats per learnt token). `value` is the task score, 0..100, the mean over the test
    sets; `kept` the percent of the base's general abilities that are left, None where that cannot be told. A pruned or failed
    one has neither; `problems` say why it failed. `seconds` are those of its training and its evaluation.
    """

    number: int
    params: dict[str, float]
    state: State = "running"
    run: str = ""
    evaluation: str = ""
    steps: int = 0
    losses: tuple[tuple[int, float], ...] = ()
    value: float | None = None
    kept: float | None = None
    identity: float | None = None
    seconds: float = 0.0
    problems: tuple[dict[str, Any], ...] = ()

    @property
    def counts(self) -> bool:
        """Whether it has shown what it is worth; one that failed is tried again when somebody goes on with the sweep."""
        return self.state in ("complete", "pruned")


def read(experiment: Path) -> list[Trial]:
    """Return the trials in the order of their numbers."""
    found = {each["number"]: _trial(each) for each in lines.read(experiment / FILE)}
    return [found[number] for number in sorted(found)]


def write(experiment: Path, trial: Trial) -> None:
    lines.append(experiment / FILE, [asdict(trial)])


def best(trials: Sequence[Trial], floor: float) -> Trial | None:
    """Return the best complete trial among those that keep enough, None where none does.

    Of several with the same score it is the one that is cheapest to train: fewest steps, then the earliest.
    """
    kept = [each for each in trials if each.state == "complete" and each.value is not None and keeps(each, floor)]
    return min(kept, key=lambda each: (-(each.value or 0.0), each.steps, each.number), default=None)


def keeps(trial: Trial, floor: float) -> bool:
    """Tell whether a trial keeps enough; where that cannot be told, it does."""
    return trial.kept is None or trial.kept >= floor


def _trial(values: dict[str, Any]) -> Trial:
    losses = tuple((int(step), float(loss)) for step, loss in values["losses"])
    return Trial(**{**values, "losses": losses, "problems": tuple(values["problems"])})
