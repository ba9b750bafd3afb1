"""Memory of a training, counted before anything is loaded: from the model's config.json, the settings and the micro-batch.

The counts are arithmetic on shapes; what a library adds to them (its own size, copies it makes) was measured, see
`benchmarks/memory.py`, which compares this with what a worker really takes.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

from core.models.methods import TRAITS, bits_of
from core.models.size import Size
from core.settings import RunSettings, from_dict
from core.train.arithmetic import (
    FLOAT,
    activation_bytes,
    logit_rows,
    optimizer_bytes,
    product_bytes,
    trained_parameters,
    weight_bytes,
)
from core.train.conflicts import LORA
from core.train.machine import Machine

Verdict = Literal["fits", "tight", "does_not_fit"]
TIGHT, FULL = 0.8, 0.95  # of the memory there; chosen by us: other programs and the allocator's gaps want the rest
MOST_TOKENS = {"cpu": 4_096, "cuda": 16_384}  # of a micro-batch; on 2 cores more gained nothing
_LOGIT_BYTES = 12  # of one that exists: in two precisions, its softmax and its gradient (core.train.loss)
PROGRAM = {"cpu": 540_000_000, "cuda": 600_000_000}  # torch, transformers and peft, measured; a card's context, usual
_MOST_CHANGES = 4


@dataclass(frozen=True)
class Memory:
    """Bytes at the peak, by what they are for.

    `program` is the libraries, and on a card its context. `loading` is what the stored weights take beside those in use while
    the latter are made, as far as it is more than the training itself takes later.
    """

    program: int
    weights: int
    trained: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    loading: int

    @property
    def total(self) -> int:
        return sum(self.parts().values())

    def parts(self) -> dict[str, int]:
        """Return name -> bytes, in the order of declaration."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True)
class Change:
    """Settings that would make a run smaller, and the bytes it would need with them."""

    settings: dict[str, Any]
    bytes: int
    verdict: Verdict


@dataclass(frozen=True)
class MicroBatch:
    """The largest micro-batch of a run.

    `tokens` include padding, `length` is that of a typical example; with `checkpointing`, activations are computed again.
    """

    tokens: int
    length: int
    checkpointing: bool


def needed(size: Size, settings: RunSettings, machine: Machine, micro: MicroBatch, stored: float = 2.0) -> Memory:
    """Return the memory that a training takes at its peak with micro-batches like `micro`.

    `stored` is the bytes of a weight in the model's files, 2 in most: those are in memory too while they are converted.
    """
    trained, tokens = trained_parameters(size, settings), micro.tokens
    added = trained if TRAITS[settings.method.name].adapter else 0  # otherwise they are among the weights
    # Gradients at the output layer's weights are summed up over the chunks of the logits.
    at_head = FLOAT * size.vocabulary * size.hidden if settings.method.name == "full" else 0
    training = Memory(
        program=PROGRAM[machine.device],
        weights=weight_bytes(size, settings, machine),
        trained=FLOAT * added,
        gradients=FLOAT * trained,
        optimizer=optimizer_bytes(settings, trained),
        activations=activation_bytes(size, settings, machine, tokens, micro.length, micro.checkpointing),
        logits=min(tokens, logit_rows(machine.device, size.vocabulary)) * size.vocabulary * _LOGIT_BYTES + at_head,
        loading=0,
    )
    read = stored * size.parameters if machine.device == "cpu" and stored != _held(settings, machine) else 0.0
    while_loading = training.program + training.weights + int(read)
    return replace(training, loading=max(0, while_loading - training.total))


def _held(settings: RunSettings, machine: Machine) -> float:
    """Return the bytes of a weight that is used as it is stored, 0 where all are converted."""
    if bits_of(settings) < 16:
        return 0.0
    return float(product_bytes(settings, machine)) if TRAITS[settings.method.name].adapter else FLOAT


def fitting(
    size: Size, settings: RunSettings, machine: Machine, free: int, longest: int, most: int
) -> MicroBatch:  # fmt: skip
    """Return the largest micro-batch, of `longest` to `most` tokens, with which a training fits into `free` bytes.

    `free` is what the worker as a whole may take, with what it has taken already. Activations are computed again in the
    backward pass (checkpointing) where the setting says so, or where without it the micro-batch would be less than half as
    large. What does not fit at all gets the smallest: the plan says that it does not fit.
    """
    wanted = settings.compute.checkpointing if TRAITS[settings.method.name].checkpoints else "off"
    kept, again = (
        MicroBatch(_most(size, settings, machine, free, longest, most, each), longest, each) for each in (False, True)
    )
    if wanted != "auto":
        return again if wanted == "on" else kept
    fits = needed(size, settings, machine, kept).total <= TIGHT * free
    return kept if fits and 2 * kept.tokens >= again.tokens else again


def verdict(bytes: int, machine: Machine) -> Verdict:
    """Say whether a worker of so many bytes fits. It is tight where it does only once other programs have ended."""
    if bytes > FULL * machine.total:
        return "does_not_fit"
    return "tight" if bytes > TIGHT * machine.total or bytes > FULL * machine.free else "fits"


def changes(size: Size, settings: RunSettings, machine: Machine, longest: int, most: int) -> tuple[Change, ...]:
    """Return what would make a run smaller, each alone and at last all together: what fits first, then the smallest."""
    now = _total(size, settings, machine, longest, most)
    alone = [
        change
        for each in _smaller(settings, longest)
        if (change := _changed(size, settings, machine, longest, most, each))
    ]
    helping = [change for change in alone if change.bytes < 0.97 * now]
    found = sorted(helping, key=lambda change: (change.verdict != "fits", change.bytes))
    if helping and all(change.verdict == "does_not_fit" for change in helping):
        together = {path: value for change in reversed(helping) for path, value in change.settings.items()}
        every = _changed(size, settings, machine, longest, most, together)
        found = [*found[: _MOST_CHANGES - 1], *([every] if every and len(helping) > 1 else [])]
    return tuple(found[:_MOST_CHANGES])


def _smaller(settings: RunSettings, longest: int) -> list[dict[str, Any]]:
    """Return settings that may need less, the least harmful first."""
    method = settings.method.name
    found: list[dict[str, Any]] = []
    if settings.compute.checkpointing == "off" and TRAITS[method].checkpoints:
        found.append({"compute.checkpointing": "on"})
    if bits_of(settings) > 4:
        found.append({"method.bits": 4} if 4 in TRAITS[method].bits else {"method.name": "qlora", "method.bits": 4})
    if (settings.batch.micro_batch_size or 1) > 1:
        found.append({"batch.micro_batch_size": 1})
    if settings.optim.name != "paged_adamw_8bit":
        found.append({"optim.name": "paged_adamw_8bit"})
    if method in LORA and settings.lora.rank > 8:
        found.append({"lora.rank": 8})
    return [*found, *({"batch.cutoff_len": length} for length in (longest // 2, longest // 4) if length >= 64)]


def _changed(
    size: Size, settings: RunSettings, machine: Machine, longest: int, most: int, change: dict[str, Any]
) -> Change | None:
    changed = from_dict(settings.model_dump(exclude_unset=True), change)
    total = _total(size, changed, machine, min(longest, changed.batch.cutoff_len), most)
    return Change(change, total, verdict(total, machine))


def _total(size: Size, settings: RunSettings, machine: Machine, longest: int, most: int) -> int:
    return needed(size, settings, machine, fitting(size, settings, machine, machine.free, longest, most)).total


def _most(size: Size, settings: RunSettings, machine: Machine, free: int, least: int, most: int, again: bool) -> int:
    low, high = least, max(least, most)
    while low < high:
        middle = (low + high + 1) // 2
        if needed(size, settings, machine, MicroBatch(middle, least, again)).total <= TIGHT * free:
            low = middle
        else:
            high = middle - 1
    return low
