"""Memory of a training, counted before anything is loaded: from the model's config.json, the settings and the micro-batch.

The counts are arithmetic on shapes; what a library adds to them (its own size, copies it makes) was measured, see
`benchmarks/memory.py`, which compares this with what a worker really takes.
"""

from dataclasses import dataclass
from typing import Any, Literal

from core.models.methods import TRAITS, bits_of
from core.models.size import Linear, Size
from core.settings import RunSettings, from_dict
from core.train.conflicts import LORA
from core.train.machine import Machine

Verdict = Literal["fits", "tight", "does_not_fit"]
TIGHT, FULL = 0.8, 0.95  # of the memory there; chosen by us: other programs and the allocator's gaps want the rest
MOST_TOKENS = {"cpu": 4_096, "cuda": 16_384}  # of a micro-batch; on 2 cores more gained nothing
# Logits that exist at a time, and bytes of each: as the head gives them, in float32, their softmax and both gradients.
_LOGITS, _LOGIT_BYTES = {"cpu": 2**23, "cuda": 2**27}, 16
_PROGRAM = {
    "cpu": 650_000_000,
    "cuda": 600_000_000,
}  # resident size with torch, transformers and peft; a card's context
_MOST_CHANGES = 4


@dataclass(frozen=True)
class Memory:
    """Bytes at the peak, by what they are for. `program` is the libraries, and on a card its context."""

    program: int
    weights: int
    trained: int
    gradients: int
    optimizer: int
    activations: int
    logits: int

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
    """The largest micro-batch of a run: its tokens, padding included, and how its activations are kept."""

    tokens: int
    checkpointing: bool


def trained_parameters(size: Size, settings: RunSettings) -> int:
    """Return how many weights the run's method trains."""
    name, method = settings.method.name, settings.method
    if name == "full":
        return size.parameters
    if name == "freeze":
        inside = size.parameters - size.embedding_weights
        return inside * min(method.layers, size.layers) // max(1, size.layers)
    if name == "prompt":
        return method.virtual_tokens * size.hidden
    if name == "prefix":
        return method.virtual_tokens * size.layers * 2 * size.key_value_heads * size.head_dim
    adapted = _adapted(size, settings.lora.targets)
    matrices = sum(each.count * settings.lora.rank * (each.rows + each.columns) for each in adapted)
    return matrices + (sum(each.count * each.rows for each in adapted) if name == "dora" else 0)


def _adapted(size: Size, targets: list[str]) -> list[Linear]:
    if "all-linear" in targets:
        return list(size.linears)
    ends = {target.rpartition(".")[2] for target in targets}
    output = [Linear("lm_head", size.vocabulary, size.hidden)] if "lm_head" in ends else []
    return [each for each in size.linears if each.name in ends] + output


def needed(size: Size, settings: RunSettings, machine: Machine, micro: MicroBatch) -> Memory:
    """Return the memory that a training takes at its peak with micro-batches like `micro`."""
    trained = trained_parameters(size, settings)
    whole = settings.method.name in ("full", "freeze")  # what is trained is among the weights
    return Memory(
        program=_PROGRAM[machine.device],
        weights=_weights(size, settings, machine),
        trained=0 if whole else 4 * trained,
        gradients=4 * trained,
        optimizer=_optimizer(settings, trained),
        activations=_activations(size, settings, machine, micro),
        logits=min(micro.tokens * size.vocabulary, _LOGITS[machine.device]) * _LOGIT_BYTES,
    )


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
        MicroBatch(_most(size, settings, machine, free, longest, most, each), each) for each in (False, True)
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
        if needed(size, settings, machine, MicroBatch(middle, again)).total <= TIGHT * free:
            low = middle
        else:
            high = middle - 1
    return low


def _weights(size: Size, settings: RunSettings, machine: Machine) -> int:
    """Return the bytes of the base: its linear layers in the method's bits, everything else whole.

    4 bits are NF4 with double quantisation: half a byte, a byte for each 64 weights, 4 bytes for each 64 x 256 of them.
    """
    whole = 4 if machine.device == "cpu" else 2
    bits = bits_of(settings)
    linear = {4: 0.5 + 1 / 64 + 4 / (64 * 256), 8: 1.0, 16: float(whole)}[bits]
    return int(size.linear_weights * linear + (size.parameters - size.linear_weights) * whole)


def _optimizer(settings: RunSettings, trained: int) -> int:
    match settings.optim.name:
        case "paged_adamw_8bit":
            return 2 * trained
        case "adafactor":
            return trained // 16  # a row and a column of each matrix; less for large ones
        case _:
            return 8 * trained


def _activations(size: Size, settings: RunSettings, machine: Machine, micro: MicroBatch) -> int:
    """Return the bytes of what the forward pass keeps for the backward pass."""
    compute = 4 if settings.compute.dtype == "float32" or machine.bfloat16 is False else 2
    width = sum(each.count * (each.rows + each.columns) for each in size.linears) / max(1, size.layers)
    layer = width * compute + 4 * size.hidden * 4
    kept = size.hidden * 4 * size.layers + layer if micro.checkpointing else size.layers * layer
    return int(micro.tokens * kept)
