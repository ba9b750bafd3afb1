"""The bytes of each part of a training, as arithmetic on the shapes of the model.

Which tensors a forward pass keeps for the backward pass was read off autograd's own list on Llamas of three sizes; a test
compares the two. What the C library's heap adds to that was measured (`benchmarks/memory.py`).
"""

from core.models.methods import TRAITS, bits_of
from core.models.size import FAMILIES, Family, Linear, Size
from core.settings import RunSettings
from core.train.machine import Machine

FLOAT = 4  # bytes
_SHORT = 512  # tokens; up to there a CPU attends in bfloat16 by plain products, whose weights are kept (core.train.attention)
_ROUNDED = 1.2  # times a typical length: examples are attended to in rows of few lengths
_NF4 = 0.5 + 1 / 64 + 4 / (64 * 256)  # bytes a weight: 4 bits, a byte for each 64, a float for each 256 of those
# What is kept is this much larger in memory, by the bytes of a number: a heap has gaps between blocks of many sizes
# (measured, benchmarks/memory.py); a card's allocator has few.
_GAPS = {"cpu": {2: 1.2, 4: 1.38}, "cuda": {2: 1.08, 4: 1.08}}
_WHOLE = ("full", "freeze")
# Logits that exist at a time. On 2 cores, with 8,000 tokens, 4 million (in the cache) took 0.7 of the time of 8 million; with
# 150,000, products of fewer than 64 rows took twice the time. More on a card gained nothing.
_LOGITS, _FEWEST_ROWS = {"cpu": 2**22, "cuda": 2**27}, 64
_NEW_TOKENS = 2  # of ChatML (core.models.new_tokens)
_USUAL = Family({}, plain_norms=False)  # what is taken for one that has no row


def logit_rows(device: str, vocabulary: int) -> int:
    """Return of how many tokens the logits are computed at a time."""
    return max(_FEWEST_ROWS, _LOGITS[device] // max(1, vocabulary))  # 0 where nobody could tell it


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
    magnitudes = sum(each.count * each.rows for each in adapted) if name == "dora" else 0
    new_rows = _NEW_TOKENS * (1 if size.tied else 2) if settings.model.add_chatml else 0
    return matrices + magnitudes + new_rows * size.hidden


def product_bytes(settings: RunSettings, machine: Machine) -> int:
    """Return the bytes of a number in the products: 2 where the hardware has bfloat16, or a card float16."""
    if settings.compute.dtype != "auto":
        return 2 if settings.compute.dtype == "bfloat16" else FLOAT
    return 2 if machine.device == "cuda" or machine.bfloat16 else FLOAT


def weight_bytes(size: Size, settings: RunSettings, machine: Machine) -> int:
    """Return the bytes of the model's own weights, and of copies of them that are kept for the backward pass.

    Frozen ones are held in the precision of the products, or quantised. Those that are trained are held in float32 and
    converted in each forward pass.
    """
    each, name = product_bytes(settings, machine), settings.method.name
    others = size.parameters - size.linear_weights
    if name in _WHOLE:
        trained = trained_parameters(size, settings)
        frozen = (size.parameters - trained) * (FLOAT if machine.device == "cpu" else each)
        linear = min(trained, size.linear_weights) if name == "full" else trained
        return trained * FLOAT + frozen + (linear * each if each < FLOAT else 0)
    if name == "pissa":  # what is left of its weights stays as exact as it was stored
        return size.parameters * FLOAT + (size.linear_weights * each if each < FLOAT else 0)
    linear_bytes = {4: _NF4, 8: 1.0, 16: float(each)}[bits_of(settings)]
    # PEFT writes trained rows into copies of the embedding: one for the output, one more while it is made (measured).
    copies = 2 * size.vocabulary * size.hidden if settings.model.add_chatml else 0
    if name == "dora":  # the sum of base and adapter, whose lengths it needs, in two steps
        copies += 2 * size.linear_weights
    return int(size.linear_weights * linear_bytes + (others + copies) * each)


def optimizer_bytes(settings: RunSettings, trained: int) -> int:
    """Return the bytes that the optimizer remembers."""
    match settings.optim.name:
        case "paged_adamw_8bit":
            return 2 * trained
        case "adafactor":
            return trained // 16  # a row and a column of each matrix; less for large ones
        case _:
            return 2 * FLOAT * trained


def activation_bytes(
    size: Size, settings: RunSettings, machine: Machine, tokens: int, length: int, checkpointing: bool
) -> int:
    """Return the bytes of what the forward pass keeps for the backward pass; `length` is that of a typical example."""
    gaps = _GAPS[machine.device][product_bytes(settings, machine)]
    return int(tokens * token_bytes(size, settings, machine, length, checkpointing) * gaps)


def token_bytes(size: Size, settings: RunSettings, machine: Machine, length: int, checkpointing: bool) -> float:
    """Return the bytes that autograd keeps for each token, in all layers together."""
    each, layers = product_bytes(settings, machine), size.layers
    layer = _layer(size, settings, machine, each, length)
    if settings.method.name == "freeze":
        layers = min(settings.method.layers, layers)
    if not checkpointing:
        return layers * layer
    entering = size.hidden * (FLOAT if settings.method.name in _WHOLE else each)
    return layers * entering + layer  # one layer at a time is computed again


def _layer(size: Size, settings: RunSettings, machine: Machine, each: int, length: int) -> float:
    """Return the bytes that one layer keeps for each token."""
    family, hidden = FAMILIES.get(size.family, _USUAL), size.hidden
    queries = size.heads * size.head_dim or hidden
    pairs = size.key_value_heads * size.head_dim or queries
    # What goes in and out of the activation, and the product with the gate; GELU, as Phi writes it, keeps its own steps.
    inner = (5 if family.mlp == "plain" else 4) * size.intermediate
    by_products = machine.device == "cpu" and each < FLOAT and length <= _SHORT
    attention = queries + _ROUNDED * size.heads * length if by_products else 2 * queries
    kept = each * (inner + 2 * hidden + queries + 2 * pairs + attention)
    # What goes into a norm: in float32, unless it is a frozen one that core.train.lean_norm knows.
    normed = each if family.plain_norms and settings.method.name not in _WHOLE else FLOAT
    kept += normed * hidden * family.norms
    if family.head_norms or family.fused_qkv:
        kept += normed * (queries + pairs)
    if (
        settings.method.name in _WHOLE
    ):  # the stream between layers is in float32; converted inputs are kept for the weights
        return kept + FLOAT * hidden * family.norms + (3 * each * hidden if each < FLOAT else 0)
    adapted = [linear for linear in _adapted(size, settings.lora.targets) if linear.name != "lm_head"]
    if TRAITS[settings.method.name].mergeable and size.layers:
        if settings.lora.dropout:  # the input that is left, and what was dropped
            kept += 4.6 * sum(linear.columns * linear.count for linear in adapted) / size.layers
        elif settings.method.name != "dora":  # the small product (core.train.lean_lora)
            kept += each * settings.lora.rank * sum(linear.count for linear in adapted) / size.layers
        if settings.method.name == "dora":  # the output before it is scaled
            kept += 4.7 * sum(linear.rows * linear.count for linear in adapted) / size.layers
    return kept


def _adapted(size: Size, targets: list[str]) -> list[Linear]:
    if "all-linear" in targets:
        return list(size.linears)
    ends = {target.rpartition(".")[2] for target in targets}
    output = [Linear("lm_head", size.vocabulary, size.hidden)] if "lm_head" in ends else []
    return [each for each in size.linears if each.name in ends] + output
