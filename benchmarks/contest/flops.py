"""How many floating-point operations a LoRA training needs.

Counted is what the task needs, not what a contender happens to do: padding, logits of tokens that are not learnt and
activations that are computed a second time all lower its share. A product of (m, k) and (k, n) has 2 m k n operations.

- each frozen matrix: 2 a weight and token forward, 2 for the gradient of its input; its own gradient is not needed
- each matrix of the adapter: 2 forward, 4 backward
- attention, causal: a token sees half of its example on average, so (T^2 / 2) pairs an example, 4 d forward, 8 d backward
- the head: at learnt tokens only, 2 forward and 2 backward a weight
"""

import json
from collections.abc import Sequence
from pathlib import Path


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
