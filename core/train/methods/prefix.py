"""Prefix tuning: each layer attends to a few learnt keys and values that stand before every text (Li & Liang 2021).

They start as the keys and values that the model itself computes for tokens drawn from its vocabulary; the paper found real
activations far better than random numbers (§7.4).
"""

import torch
from peft import PrefixTuningConfig, initialize_kv_prefix_from_past_key_values
from transformers import PreTrainedModel

from core.errors import ModelError, problem
from core.models.virtual_tokens import VirtualTokens
from core.settings import RunSettings
from core.train.methods.method import Method
from core.train.methods.virtual import restore_virtual, save_virtual


def attach(base: PreTrainedModel, settings: RunSettings) -> VirtualTokens:
    """Freeze the base and put `method.virtual_tokens` keys and values before its texts, in every layer.

    Raises:
        ModelError: if not every layer of the model keeps keys and values, or not all of the same shape.
    """
    count = settings.method.virtual_tokens
    words = base.get_input_embeddings().num_embeddings
    tokens = torch.randint(words, (1, count)).to(base.device)
    refused = ModelError(problem("method.no_prefix", "method.name", family=base.config.model_type))
    try:
        with torch.no_grad():
            started = base(input_ids=tokens, use_cache=True).past_key_values
        kept = {tuple(getattr(layer, "keys", torch.empty(0)).shape) for layer in started.layers}
        shape = kept.pop()  # (1, key heads, count, width)
    except (AttributeError, ValueError, RuntimeError) as error:  # what models raise whose layers keep something else
        raise refused from error
    if kept or len(shape) != 4 or shape[2] != count:
        raise refused
    config = PrefixTuningConfig(
        num_virtual_tokens=count, token_dim=shape[1] * shape[3], num_attention_heads=shape[1], task_type="CAUSAL_LM"
    )
    model = VirtualTokens(base, config)
    initialize_kv_prefix_from_past_key_values(model, past_key_values=started)
    return model


METHOD = Method(attach, save_virtual, restore_virtual)
