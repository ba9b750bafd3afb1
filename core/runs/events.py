"""The event log of a job: one JSON object a line, only ever appended to.

The worker is the only writer. Anyone may read, at any time, from any byte offset.
"""

import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, get_args


@dataclass(frozen=True, kw_only=True)
class Phase:
    """The worker began something that takes a while: `checking_data`, `loading_model`, `training`, `saving` …"""

    event: ClassVar[str] = "phase"
    name: str


@dataclass(frozen=True, kw_only=True)
class RunStarted:
    """What was resolved before the first step."""

    event: ClassVar[str] = "run_started"
    total_steps: int
    examples: int
    validation_examples: int
    tokens: int  # learnt tokens in one pass over the data
    dropped: int  # examples left out because they are longer than the cutoff
    trainable_parameters: int
    device: str
    micro_batch_size: int
    micro_batch_tokens: int = 0  # of a micro-batch at most, padding included
    checkpointing: bool = False  # activations are computed again in the backward pass
    packed: bool = False  # several examples share a row, none seeing another


@dataclass(frozen=True, kw_only=True)
class StepFinished:
    event: ClassVar[str] = "step_finished"
    step: int
    epoch: float
    loss: float  # nats per learnt token, mean over the global batch
    learning_rate: float
    grad_norm: float
    tokens: int  # learnt tokens in the global batch
    tokens_per_second: float  # all tokens, context included
    seconds_left: float


@dataclass(frozen=True, kw_only=True)
class Validated:
    """Measured after `step` steps; 0 is the untrained model."""

    event: ClassVar[str] = "validated"
    step: int
    loss: float  # nats per learnt token, weighted by tokens
    by_source: dict[str, float] = field(default_factory=dict)  # the same by data set or task, where there are several


@dataclass(frozen=True, kw_only=True)
class CheckpointSaved:
    event: ClassVar[str] = "checkpoint_saved"
    step: int
    path: str  # relative to the run directory


@dataclass(frozen=True, kw_only=True)
class Resumed:
    """A new worker goes on from the checkpoint of `step`; 0 = from the start. What was told of later steps is taken back."""

    event: ClassVar[str] = "resumed"
    step: int


@dataclass(frozen=True, kw_only=True)
class MicroBatchChanged:
    """Memory ran out at `step`, which was taken again in smaller pieces. The global batch is what it was."""

    event: ClassVar[str] = "micro_batch_changed"
    step: int
    micro_batch_size: int
    micro_batch_tokens: int
    checkpointing: bool


@dataclass(frozen=True, kw_only=True)
class TrainingEnded:
    """Why the steps ended, which of them is the result, and what the run took beside what its plan had said.

    `reason` is "done", "stopped" (a person asked) or "no_better" (`patience` validations in a row brought no better loss).
    `kept_step` is the one in `final/`. Losses are of the validation; None where nothing was validated. `planned` and
    `measured` have the keys `steps`, `seconds` (of the training, without loading) and `memory_bytes` (the peak; of the GPU
    where one was used), as far as each is known.
    """

    event: ClassVar[str] = "training_ended"
    reason: str
    step: int
    kept_step: int
    patience: int | None = None
    best_step: int | None = None
    best_loss: float | None = None
    untrained_loss: float | None = None
    planned: dict[str, float] = field(default_factory=dict)
    measured: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """So many of so many are done: answers of an evaluation, tensors of a merge; bytes of a download where `unit` says so."""

    event: ClassVar[str] = "progress"
    done: int
    total: int
    seconds_left: float
    unit: str = ""


@dataclass(frozen=True, kw_only=True)
class Warned:
    """Something the person should know; `code` and `values` fill `error.<code>.*` of the locale files."""

    event: ClassVar[str] = "warned"
    code: str
    where: str = ""
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RunFinished:
    """The job did what it was asked. `result` is small: scores, differences, a folder."""

    event: ClassVar[str] = "run_finished"
    result: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RunStopped:
    event: ClassVar[str] = "run_stopped"
    step: int


@dataclass(frozen=True, kw_only=True)
class RunFailed:
    """`problems` are dicts of `core.errors.Problem`; `details` the trace for a bug report, empty for our own errors."""

    event: ClassVar[str] = "run_failed"
    problems: list[dict[str, Any]]
    details: str = ""


Event = (
    Phase | RunStarted | StepFinished | Validated | CheckpointSaved | Resumed | MicroBatchChanged | TrainingEnded | Progress
    | Warned | RunFinished | RunStopped | RunFailed
)  # fmt: skip
_KINDS: dict[str, Any] = {kind.event: kind for kind in get_args(Event)}
ENDS = ("run_finished", "run_failed", "run_stopped")


def standing(told: Sequence[Event]) -> list[Event]:
    """Return what still holds: without the steps that were taken again after a later `Resumed`, and without earlier ends."""
    kept: list[Event] = []
    for event in told:
        if isinstance(event, Resumed):
            kept = [each for each in kept if not _taken_back(each, event.step)]
        kept.append(event)
    return kept


def _taken_back(event: Event, step: int) -> bool:
    if isinstance(event, RunFinished | RunStopped | RunFailed | TrainingEnded):
        return True
    counted = isinstance(event, StepFinished | CheckpointSaved | MicroBatchChanged) and event.step > step
    # The validation before the first step is measured again by whoever starts over.
    return counted or (isinstance(event, Validated) and (event.step > step or step == 0))


def append(log: Path, event: Event) -> None:
    """Append one event and hand it to the operating system, so that a crash right after loses nothing."""
    line = json.dumps({"time": time.time(), "event": event.event, **asdict(event)}, ensure_ascii=False) + "\n"
    with log.open("ab+", buffering=0) as file:
        before = file.seek(0, os.SEEK_END)
        if before and (file.seek(-1, os.SEEK_END), file.read(1))[1] != b"\n":
            line = "\n" + line  # the line before was cut off when somebody was killed
        left = line.encode()
        try:
            while left:
                left = left[file.write(left) :]
        except OSError:
            file.truncate(before)  # a full disk took a part of it
            raise
        os.fsync(file.fileno())


def read_from(log: Path, offset: int = 0, until: int | None = None) -> tuple[list[Event], int]:
    """Return the whole events after byte `offset`, and before byte `until`, and the offset to pass next time.

    A half-written last line is left for the next call. Kinds and fields this version does not know are skipped, so that
    an older studio can open the run of a newer one, and so are lines that a full disk cut off.
    """
    try:
        with log.open("rb") as file:
            file.seek(offset)
            data = file.read(None if until is None else until - offset)
    except FileNotFoundError:
        return [], offset
    whole = data[: data.rfind(b"\n") + 1]
    events: list[Event] = []
    for line in whole.split(b"\n"):
        if not line.strip():
            continue
        try:
            values: dict[str, Any] = json.loads(line)
        except ValueError:  # cut off by a full disk
            continue
        kind = _KINDS.get(values.pop("event", ""))
        if kind is not None:
            known = kind.__dataclass_fields__
            events.append(kind(**{key: value for key, value in values.items() if key in known}))
    return events, offset + len(whole)
