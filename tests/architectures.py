"""Tiny random models of the families that people train, in memory: what is true of one must be true of all."""

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

VOCABULARY = 120
_COMMON = {"vocab_size": VOCABULARY, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
           "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256, "pad_token_id": 0,
           "bos_token_id": 1, "eos_token_id": 2, "attention_dropout": 0.0}  # fmt: skip
_OWN = {
    "llama": {"tie_word_embeddings": True},
    "qwen2": {},
    "qwen3": {"head_dim": 16},
    "mistral": {"sliding_window": 8, "head_dim": 16},
    "gemma": {"head_dim": 16},
    "gemma2": {"head_dim": 16, "sliding_window": 8, "attn_logit_softcapping": 20.0, "final_logit_softcapping": 5.0,
               "query_pre_attn_scalar": 16},
    "gemma3_text": {"head_dim": 16, "sliding_window": 8, "query_pre_attn_scalar": 16},
    "phi": {"resid_pdrop": 0.0, "embd_pdrop": 0.0},
    "phi3": {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "sliding_window": 8},
    "glm": {"head_dim": 16},
    "glm4": {"head_dim": 16},
    "granite": {"logits_scaling": 4.0, "residual_multiplier": 0.5},
    "cohere": {"logit_scale": 0.25},
}  # fmt: skip
FAMILIES = tuple(_OWN)


def build(family: str, seed: int = 0) -> PreTrainedModel:
    """Return a model of a family, float32, with weights wide enough that every token matters."""
    config = AutoConfig.for_model(family, **_COMMON, **_OWN.get(family, {}))
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=draw)
            if weight.ndim > 1:
                weight.copy_(noise * (1.0 if "embed" in name else 0.2))
            else:  # biases, which begin at nothing, and norms
                weight.add_(noise * 0.2)
    return model


def build_hybrid(seed: int = 0) -> PreTrainedModel:
    """Return a model of which one layer carries a state along the whole row, whatever examples lie there."""
    config = AutoConfig.for_model(
        "lfm2", vocab_size=VOCABULARY, hidden_size=64, intermediate_size=96, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256, pad_token_id=0,
        layer_types=["conv", "full_attention"],
    )  # fmt: skip
    torch.manual_seed(seed)
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32)
