"""What a run will do, said before it starts: examples, tokens, steps, time, memory, and what is unwise about it.

No torch here: the page keeps this true while a person changes settings.
"""

import contextlib
import math
import time
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy
import psutil

from core.data.mix import advice
from core.data.registry import Registry
from core.errors import Problem, problem
from core.models import folder as models
from core.prompts.store import PromptStore
from core.runs import events
from core.runs.directory import Run, listing
from core.runs.process import last_event
from core.settings import RunSettings
from core.train.batches import micro_batch_size, total_steps
from core.train.examples import RunData, Source, run_data
from core.workspace import Workspace

FEW_STEPS = 60  # facts/training: runs below it changed nothing that anyone could see
LARGE_MODEL = 100_000_000  # parameters; above it a rate over 5e-4 tears the model apart
_WORKER_BYTES = 650_000_000  # resident size of a worker that has imported torch and peft; measured, Linux, CPU build
_STEP_SECONDS = 0.06  # of a step beside its arithmetic; measured on the starter model, 2 cores


@dataclass(frozen=True)
class Plan:
    """The resolved size of a run.

    `examples` counts each row once; tokens are those of one pass, where a row with a weight counts as often as it is shown.
    """

    examples: int
    validation_examples: int
    tokens: int
    learnt_tokens: int
    dropped: int
    sources: tuple[Source, ...]
    steps: int
    seconds: float
    measured: bool  # the time comes from an earlier run of this model on this machine
    memory_bytes: int
    memory_total: int
    adapter_bytes: int
    warnings: tuple[Problem, ...]

    @property
    def fits(self) -> bool:
        return self.memory_bytes < 0.9 * self.memory_total


def plan(workspace: Workspace, settings: RunSettings) -> Plan:
    """Return the plan of a run.

    Raises:
        StudioError: if the model, the data or the prompt cannot be used.
    """
    registry = Registry(workspace)
    model = models.find_model(workspace, settings.model.path)
    prompt = PromptStore(workspace).get(settings.prompt.name, settings.prompt.version, settings.prompt.blanks)
    data = run_data(
        [registry.get(name) for name in settings.data.train],
        model,
        prompt.text,
        cutoff_len=settings.batch.cutoff_len,
        validation_share=settings.data.validation_share,
        seed=settings.seed,
        weights=settings.data.weights,
        balance=settings.data.balance,
    )
    schedule, batch = settings.schedule, settings.batch
    steps = total_steps(data.per_pass, batch.global_batch_size, schedule.epochs, schedule.max_steps)
    passes = min(schedule.epochs, steps * batch.global_batch_size / data.per_pass)
    seconds, measured = _seconds(workspace, settings, model, data, steps)
    adapter = _adapter_parameters(model, settings.lora.rank)
    memory, total = _memory(settings, model, data, adapter), _memory_total()
    return Plan(
        examples=len(data.train),
        validation_examples=len(data.validation),
        tokens=data.tokens,
        learnt_tokens=data.learnt_tokens,
        dropped=data.dropped,
        sources=tuple(replace(each, repetitions=each.weight * passes) for each in data.sources),
        steps=steps,
        seconds=seconds,
        measured=measured,
        memory_bytes=memory,
        memory_total=total,
        adapter_bytes=4 * adapter,
        warnings=(
            *_warnings(settings, model, data, steps, memory, total),
            *_of_the_data(registry, settings, data),
            *advice(data.parts, passes),
        ),
    )


def _warnings(settings: RunSettings, model: Path, data: RunData, steps: int, memory: int, total: int) -> list[Problem]:
    found = []
    if steps < FEW_STEPS:
        per_pass = math.ceil(data.per_pass / settings.batch.global_batch_size)
        needed = math.ceil(FEW_STEPS * 2 / per_pass)
        found.append(problem("plan.few_steps", "schedule.epochs", steps=steps, few=FEW_STEPS, epochs=needed))
    limit = models.context_length(model)
    if limit and settings.batch.cutoff_len > limit:
        cutoff = settings.batch.cutoff_len
        found.append(problem("plan.cutoff_over_context", "batch.cutoff_len", value=cutoff, limit=limit))
    rate = settings.optim.learning_rate
    if rate > 5e-4 and models.parameters(model) > LARGE_MODEL:
        found.append(problem("plan.high_rate", "optim.learning_rate", rate=f"{rate:g}"))
    if rate < 5e-4 and models.parameters(model) < LARGE_MODEL:
        found.append(problem("plan.low_rate", "optim.learning_rate", rate=f"{rate:g}"))
    if settings.schedule.warmup_share > 0.3:
        found.append(
            problem("plan.long_warmup", "schedule.warmup_share", share=f"{settings.schedule.warmup_share:.0%}")
        )
    if memory >= 0.9 * total:
        found.append(problem("plan.memory", "", needed=f"{memory / 1e9:.1f}", total=f"{total / 1e9:.1f}"))
    return found


def _of_the_data(registry: Registry, settings: RunSettings, data: RunData) -> list[Problem]:
    found = []
    if data.dropped:
        cutoff = settings.batch.cutoff_len
        found.append(problem("plan.dropped", "batch.cutoff_len", dropped=data.dropped, cutoff=cutoff))
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


def _seconds(workspace: Workspace, settings: RunSettings, model: Path, data: RunData, steps: int) -> tuple[float, bool]:
    tokens = data.tokens / max(1, data.per_pass) * settings.batch.global_batch_size * steps
    for run in listing(workspace)[:10]:
        same = run.config["model"]["fingerprint"] == models.fingerprint(model)
        last = _last_step(run) if same and run.config["settings"]["method"] == settings.method.model_dump() else None
        if last is not None:
            return tokens / last.tokens_per_second, True
    # 2 operations a weight forward and 4 backward, less the frozen weights' own gradient (2).
    work = tokens * 4 * models.parameters(model)
    return steps * _STEP_SECONDS + work / _operations_per_second(), False


def _last_step(run: Run) -> events.StepFinished | None:
    """Return a late step of a run that has ended, cheaply: from the end of its log."""
    if last_event(run.path) is None:
        return None
    offset = max(0, run.log.stat().st_size - 20_000)
    with run.log.open("rb") as file:
        file.seek(offset)
        offset += file.read(20_000).find(b"\n") + 1 if offset else 0
    seen, _ = events.read_from(run.log, offset)
    steps = [event for event in seen if isinstance(event, events.StepFinished) and event.tokens_per_second > 0]
    return steps[-1] if steps and steps[-1].step >= 20 else None


@lru_cache
def _operations_per_second() -> float:
    """Measure a float32 matrix product: what a training of this machine reaches at the least."""
    a = numpy.ones((512, 512), dtype=numpy.float32)
    a @ a
    began = time.perf_counter()
    for _ in range(4):
        a @ a
    return 4 * 2 * 512**3 / (time.perf_counter() - began)


def _adapter_parameters(model: Path, rank: int) -> int:
    """Return the parameters of a LoRA on all linear layers but the output."""
    return sum(rank * (rows + columns) for rows, columns in models.linear_shapes(model))


def _memory(settings: RunSettings, model: Path, data: RunData, adapter: int) -> int:
    """Estimate the peak in bytes: weights, adapter with its optimizer, activations and logits of a micro-batch."""
    linear = sum(rows * columns for rows, columns in models.linear_shapes(model))
    other = models.parameters(model) - linear
    weights = linear * (0.6 if settings.method.name == "qlora" else 4) + other * 4
    longest = max(len(example.input_ids) for example in data.train)
    micro = micro_batch_size(settings.batch.micro_batch_size, settings.batch.global_batch_size, longest)
    values = models.config(model)
    width = sum(rows + columns for rows, columns in models.linear_shapes(model))
    activations = micro * longest * (width * 6 + int(values.get("vocab_size", 0)) * 12)
    return int(_WORKER_BYTES + weights + adapter * 16 + activations)


def _memory_total() -> int:
    """Return the memory a run can have: of the machine, or of the container it lives in."""
    limits = [psutil.virtual_memory().total]
    with contextlib.suppress(OSError, ValueError):
        limits.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return min(limits)
