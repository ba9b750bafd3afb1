"""What a run will do, said before it starts: examples, tokens, steps, time, memory, what is unwise about it or in the way.

No torch here: the page keeps this true while a person changes settings.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy

from core.data.identity import teaches_identity
from core.data.registry import Registry
from core.errors import Problem, problem
from core.models import folder as models
from core.models.methods import virtual_tokens
from core.models.size import Size
from core.progress import Progress, silent
from core.prompts.store import PromptStore
from core.settings import RunSettings
from core.train import conflicts as conflicting, going_on
from core.train.advice import advice
from core.train.arithmetic import trained_parameters
from core.train.batches import batches, steps_per_epoch, total_steps
from core.train.examples import RunData, Source, run_data
from core.train.machine import Machine, machine as this_machine
from core.train.memory import (
    MOST_TOKENS,
    Change,
    Memory,
    MicroBatch,
    Verdict,
    changes,
    fitting,
    needed,
    verdict,
)
from core.train.schedule import validation_interval
from core.train.timing import Shape, Speed, key_of, speed
from core.workspace import Workspace

_LOOKED_AT = 2000  # steps, for the largest; chosen by us: a larger one among later steps is rare and little larger


@dataclass(frozen=True)
class Plan:
    """The resolved size of a run.

    `examples` counts each row once; tokens are those of one pass, where a row with a weight counts as often as it is shown.
    `lost_rows` and `lost_tokens` are the parts of all rows and tokens that the cutoff leaves out. `warnings` are advice,
    `problems` are what keeps the run from starting.
    """

    examples: int
    validation_examples: int
    tokens: int
    learnt_tokens: int
    dropped: int
    lost_rows: float
    lost_tokens: float
    sources: tuple[Source, ...]
    steps: int
    steps_per_epoch: int
    epochs: float
    parameters: int
    trained_parameters: int
    seconds: float
    speed: Speed
    key: str
    shape: Shape
    checkpointing: bool
    memory: Memory
    machine: Machine
    verdict: Verdict
    changes: tuple[Change, ...]
    warnings: tuple[Problem, ...]
    problems: tuple[Problem, ...]

    @property
    def measured(self) -> bool:
        """The time comes from a measurement or an earlier run, not from an estimate."""
        return self.speed.basis != "estimate"

    @property
    def memory_bytes(self) -> int:
        """The peak: as it was measured, else as it was counted."""
        return self.speed.peak_bytes or self.memory.total

    @property
    def memory_total(self) -> int:
        return self.machine.total

    @property
    def fits(self) -> bool:
        return self.verdict != "does_not_fit"

    @property
    def adapter_bytes(self) -> int:
        """The size of what is saved: four bytes a trained weight."""
        return 4 * self.trained_parameters

    def summary(self) -> dict[str, Any]:
        """Return the plan as plain values: what `studio plan --json` ends with, and what a run keeps of it."""
        names = ("examples", "validation_examples", "tokens", "learnt_tokens", "dropped", "lost_rows", "lost_tokens", "steps",
                 "steps_per_epoch", "epochs", "parameters", "trained_parameters", "seconds", "measured", "memory_bytes",
                 "memory_total", "verdict", "checkpointing", "key")  # fmt: skip
        return {
            **{name: getattr(self, name) for name in names},
            "basis": self.speed.basis,
            "load_seconds": self.speed.load_seconds,
            "memory": self.memory.parts(),
            "memory_free": self.machine.free,
            "device": self.machine.name,
            "shape": asdict(self.shape),
            "sources": [asdict(source) for source in self.sources],
            "changes": [asdict(change) for change in self.changes],
        }


def plan(workspace: Workspace, settings: RunSettings, progress: Progress = silent) -> Plan:
    """Return the plan of a run.

    Args:
        progress: told how much of the data is tokenised, where it was not before.

    Raises:
        StudioError: if the model, the data or the prompt cannot be used.
    """
    registry = Registry(workspace)
    model = models.find_model(workspace, settings.model.path)
    facts, here = conflicting.model_facts(model), this_machine()
    entries = [registry.get(name) for name in settings.data.train]
    data = data_of(workspace, settings, model, progress)
    schedule, batch = settings.schedule, settings.batch
    steps = total_steps(data.per_pass, batch.global_batch_size, schedule.epochs, schedule.max_steps)
    per_epoch = steps_per_epoch(data.per_pass, batch.global_batch_size)
    passes = min(schedule.epochs, steps * batch.global_batch_size / data.per_pass)
    micro = _micro_batch(settings, data, facts.size, here)
    shape = _shape(settings, data, micro)
    fingerprint = models.fingerprint(model)
    found = speed(workspace, settings, facts.size, fingerprint, models.weight_bytes(model), here, shape)
    memory = needed(facts.size, settings, here, micro, models.weight_bytes(model) / facts.size.parameters)
    judged = verdict(found.peak_bytes or memory.total, here)
    identities = {entry.name for entry in entries if teaches_identity(workspace, entry)}
    interval = validation_interval(settings.log, steps, per_epoch)
    rows, tokens = data.dropped, data.dropped_tokens
    return Plan(
        examples=len(data.train),
        validation_examples=len(data.validation),
        tokens=data.tokens,
        learnt_tokens=data.learnt_tokens,
        dropped=rows,
        lost_rows=rows / max(1, rows + len(data.train) + len(data.validation)),
        lost_tokens=tokens / max(1, tokens + sum(source.tokens for source in data.sources)),
        sources=tuple(replace(each, repetitions=each.weight * passes) for each in data.sources),
        steps=steps,
        steps_per_epoch=per_epoch,
        epochs=passes,
        parameters=facts.size.parameters,
        trained_parameters=trained_parameters(facts.size, settings),
        seconds=_seconds(settings, data, steps, interval, found),
        speed=found,
        key=key_of(settings, fingerprint, here),
        shape=shape,
        checkpointing=micro.checkpointing,
        memory=memory,
        machine=here,
        verdict=judged,
        changes=changes(facts.size, settings, here, int(_lengths(settings, data).max()), MOST_TOKENS[here.device])
        if judged != "fits"
        else (),
        warnings=(
            *conflicting.notes(settings, facts, here),
            *advice(settings, facts.size, data, steps, passes, identities),
            *_of_the_data(registry, settings, data),
            *going_on.advice(workspace, settings, steps),
        ),
        problems=(
            *conflicting.conflicts(settings, facts, here),
            *going_on.check(workspace, settings),
            *conflicting.schedule_conflicts(settings, steps, len(data.validation), interval),
        ),
    )


def data_of(workspace: Workspace, settings: RunSettings, model: Path, progress: Progress = silent) -> RunData:
    """Return the data of a run, as the worker will read it.

    Raises:
        StudioError: if the data or the prompt cannot be used.
        Cancelled: from `progress`.
    """
    prompt = PromptStore(workspace).get(settings.prompt.name, settings.prompt.version, settings.prompt.blanks)
    return run_data(workspace, settings, model, prompt.text, progress)


def _of_the_data(registry: Registry, settings: RunSettings, data: RunData) -> list[Problem]:
    found = data.remarks()
    # A set with a test part of its own is tested on that.
    both = sorted(set(settings.data.train) & set(settings.data.test))
    overlap = [name for name in both if not ((parts := registry.get(name).parts) and parts.test)]
    if overlap:
        found.append(problem("plan.test_is_trained", "data.test", names=", ".join(overlap)))
    known = {*settings.data.train, *(source.name for source in data.sources)}
    unused = sorted(set(settings.data.weights) - known)
    if unused:
        found.append(problem("plan.weight_unused", "data.weights", names=", ".join(unused)))
    return found


def _lengths(settings: RunSettings, data: RunData) -> numpy.ndarray:
    """Return the tokens of each example as they go through the model, learnt ones before them included."""
    return data.train.lengths + virtual_tokens(settings)


def _micro_batch(settings: RunSettings, data: RunData, size: Size, machine: Machine) -> MicroBatch:
    """Return the largest micro-batch of the run, as the trainer will cut it."""
    batch, lengths = settings.batch, _lengths(settings, data)
    longest = int(lengths.max())
    found = fitting(size, settings, machine, machine.free, longest, MOST_TOKENS[machine.device])
    steps = batches(data.of_pass, batch.global_batch_size, settings.seed)
    looked_at = min(_LOOKED_AT, steps_per_epoch(data.per_pass, batch.global_batch_size))
    largest = max(int(lengths[next(steps)].sum()) for _ in range(looked_at))
    most = longest * (batch.micro_batch_size or batch.global_batch_size)
    typical = int((lengths.astype(float) ** 2).sum() / lengths.sum())  # of the example that a token stands in
    return replace(found, tokens=min(found.tokens, largest, most), length=typical)


def _shape(settings: RunSettings, data: RunData, micro: MicroBatch) -> Shape:
    example = data.tokens / max(1, data.per_pass)
    return Shape(micro.tokens, example * settings.batch.global_batch_size, example)


def _seconds(settings: RunSettings, data: RunData, steps: int, interval: int, found: Speed) -> float:
    """Return the time of a whole run.

    A validation, of which one comes before the first step, is a forward pass: a third of a step.
    """
    example = data.tokens / max(1, data.per_pass)
    trained = example * settings.batch.global_batch_size * steps
    validated = int(data.validation.lengths.sum()) * (1 + steps // interval + (steps % interval > 0))
    return found.load_seconds + found.seconds_per_token * (trained + validated / 3)
