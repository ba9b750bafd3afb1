"""How many floating-point operations a LoRA training needs, and how many the machine can do.

Counted is what the task needs, not what a contender happens to do: padding, logits of tokens that are not learnt and
activations that are computed a second time all lower its share. A product of (m, k) and (k, n) has 2 m k n operations.

- each frozen matrix: 2 a weight and token forward, 2 for the gradient of its input; its own gradient is not needed
- each matrix of the adapter: 2 forward, 4 backward
- attention, causal: a token sees half of its example on average, so (T^2 / 2) pairs an example, 4 d forward, 8 d backward
- the head: at learnt tokens only, 2 forward and 2 backward a weight
"""

import json
import time
from collections.abc import Sequence
from pathlib import Path

# Dense bfloat16 operations a second with float32 sums, from NVIDIA's data sheets; the first name that fits counts.
DATASHEET = {
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "A6000": 155e12,
    "4090": 165e12,
    "3090": 71e12,
}


def needed(model: Path, lengths: Sequence[int], learnt: int, rank: int) -> float:
    """Return the operations of training once on examples of these lengths, with so many learnt tokens in all.

    Args:
        model: folder with a Llama's config.json.
    """
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    hidden, inner, layers = (config[key] for key in ("hidden_size", "intermediate_size", "num_hidden_layers"))
    head_dim = config.get("head_dim") or hidden // config["num_attention_heads"]
    queries, keys = config["num_attention_heads"] * head_dim, config["num_key_value_heads"] * head_dim
    shapes = [(hidden, queries), (hidden, keys), (hidden, keys), (queries, hidden)]
    shapes += [(hidden, inner), (hidden, inner), (inner, hidden)]
    frozen = sum(into * out for into, out in shapes) * layers
    adapter = sum(rank * (into + out) for into, out in shapes) * layers
    pairs = sum(length * length / 2 for length in lengths)
    return (
        sum(lengths) * (4 * frozen + 6 * adapter)
        + 12 * pairs * queries * layers
        + 4 * learnt * hidden * config["vocab_size"]
    )


def peak() -> dict[str, float | str]:
    """Return the operations a second that this machine can do: by data sheet on a GPU, else measured.

    Measured is the fastest of square products from 512 to 4096 in bfloat16 and float32, with torch's own number of threads.
    """
    import torch

    if torch.cuda.is_available():
        name = torch.cuda.get_device_name()
        for known, operations in DATASHEET.items():
            if known in name:
                return {"device": name, "operations": operations, "source": "data sheet, bfloat16 dense"}
    found = {
        (dtype, size): _measured(size, dtype)
        for dtype in (torch.bfloat16, torch.float32)
        for size in (512, 1024, 2048, 4096)
    }
    (dtype, size), operations = max(found.items(), key=lambda each: each[1])
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{torch.get_num_threads()} threads"
    return {"device": name, "operations": operations, "source": f"measured, {size} square, {str(dtype)[6:]}"}


def _measured(size: int, dtype: "torch.dtype") -> float:  # noqa: F821
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    left, right = (torch.randn(size, size, dtype=dtype, device=device) for _ in range(2))
    best = float("inf")
    for _ in range(4):
        began = time.perf_counter()
        product = left @ right
        float(product[0, 0])  # waits for a GPU
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best
