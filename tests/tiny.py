"""A tiny random Llama with a byte-level tokenizer, and a run directory around it: what the engine's tests work on.

Written straight to files, without torch, so that it takes milliseconds. Two layers, 64 wide (the block size
of bitsandbytes, whose fast CPU kernel cannot do with less), 259 tokens (256 bytes and three
control tokens), ChatML template with generation marks. The weights are wide enough for answers to differ between questions.
"""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from core.models.folder import copy_tokenizer, fingerprint
from core.runs import directory, events

CONTROL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")  # ids 256, 257, 258
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' + message['role'] + '\\n' -}}"
    "{%- if message['role'] == 'assistant' -%}"
    "{% generation %}{{- message['content'] + '<|im_end|>' -}}{% endgeneration %}{{- '\\n' -}}"
    "{%- else -%}{{- message['content'] + '<|im_end|>\\n' -}}{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)
_HIDDEN, _INNER, _LAYERS, _HEADS, _KV_HEADS = 64, 128, 2, 4, 2


def build_tiny_model(folder: Path, seed: int = 0, context: int = 512) -> Path:
    """Write the model and its tokenizer into `folder` (made where needed) and return the folder."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = _write_tokenizer(folder)
    _write_json(folder / "config.json", _config(vocabulary, context))
    _write_json(
        folder / "generation_config.json",
        # Sampling defaults such as many published models have: whoever asks for greedy answers must not inherit them.
        {"do_sample": True, "temperature": 1.5, "top_p": 0.9, "eos_token_id": [258, 256], "pad_token_id": 256},
    )
    save_file(_weights(vocabulary, seed), folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def write_adapter(folder: Path, base: Path, seed: int = 1, strength: float = 0.1, rank: int = 4) -> Path:
    """Write a LoRA adapter with random, non-zero weights for `base`, with tokenizer, template and COMPLETE marker."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
    tuned = get_peft_model(model, config)
    generator = torch.Generator().manual_seed(seed)
    for name, weight in tuned.named_parameters():
        if "lora_" in name:
            weight.data = torch.randn(weight.shape, generator=generator) * strength
    tuned.save_pretrained(folder)
    copy_tokenizer(base, folder)
    (folder / "COMPLETE").touch()
    return folder


def build_tiny_run(
    root: Path,
    base: Path,
    *,
    method: str = "lora",
    prompt: str | None = None,
    data: list[dict[str, Any]] | None = None,
    test: list[str] | None = None,
    adapter: Path | None = None,
    settings: dict[str, Any] | None = None,
) -> Path:
    """Make a finished run directory in `root/runs` for `base`, as training would leave it, and return it.

    Args:
        adapter: a ready folder of an adapter or a whole model to copy (making one costs a second or two of imports); None
            makes an adapter.
        settings: groups of settings that the run had besides.
    """
    config = {
        "kind": "train",
        "settings": {
            "model": {"path": str(base)},
            "data": {"train": [each["name"] for each in data or []] or ["none"], "test": test or []},
            "method": {"name": method},
            **(settings or {}),
        },
        "data": data or [],
        "model": {"path": str(base), "folder": str(base), "fingerprint": fingerprint(base)},
        "prompt": {
            "name": "none" if prompt is None else "tiny",
            "version": 1,
            "text": prompt,
            "sha256": hashlib.sha256((prompt or "").encode()).hexdigest(),
        },
        "versions": {},
        "created": "2026-11-20T12:00:00",
    }
    run = directory.create(root / "runs", "tiny", config)
    if adapter is None:
        write_adapter(run / "final", base)
    else:
        shutil.copytree(adapter, run / "final")
    events.append(run / "events.jsonl", events.RunFinished())
    return run


def _config(vocabulary: int, context: int) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": vocabulary,
        "hidden_size": _HIDDEN,
        "intermediate_size": _INNER,
        "num_hidden_layers": _LAYERS,
        "num_attention_heads": _HEADS,
        "num_key_value_heads": _KV_HEADS,
        "head_dim": _HIDDEN // _HEADS,
        "max_position_embeddings": context,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": 258,
        "pad_token_id": 256,
        "dtype": "float32",
    }


def _weights(vocabulary: int, seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)

    def normal(*shape: int, scale: float = 0.25) -> np.ndarray:
        return (random.standard_normal(shape) * scale).astype(np.float32)

    kv = _HIDDEN // _HEADS * _KV_HEADS
    weights = {
        "model.embed_tokens.weight": normal(vocabulary, _HIDDEN, scale=0.5),
        "model.norm.weight": np.ones(_HIDDEN, dtype=np.float32),
    }
    for layer in range(_LAYERS):
        at = f"model.layers.{layer}"
        weights[f"{at}.input_layernorm.weight"] = np.ones(_HIDDEN, dtype=np.float32)
        weights[f"{at}.post_attention_layernorm.weight"] = np.ones(_HIDDEN, dtype=np.float32)
        weights[f"{at}.self_attn.q_proj.weight"] = normal(_HIDDEN, _HIDDEN)
        weights[f"{at}.self_attn.k_proj.weight"] = normal(kv, _HIDDEN)
        weights[f"{at}.self_attn.v_proj.weight"] = normal(kv, _HIDDEN)
        weights[f"{at}.self_attn.o_proj.weight"] = normal(_HIDDEN, _HIDDEN)
        weights[f"{at}.mlp.gate_proj.weight"] = normal(_INNER, _HIDDEN)
        weights[f"{at}.mlp.up_proj.weight"] = normal(_INNER, _HIDDEN)
        weights[f"{at}.mlp.down_proj.weight"] = normal(_HIDDEN, _INNER)
    return weights


def _write_tokenizer(folder: Path) -> int:
    """Write tokenizer.json, its config and the template; return the size of the vocabulary."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    alphabet = {character: number for number, character in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocab=alphabet, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in CONTROL_TOKENS])
    tokenizer.save(str(folder / "tokenizer.json"))
    _write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "eos_token": "<|im_end|>",
            "pad_token": "<|endoftext|>",
            "additional_special_tokens": ["<|im_start|>"],
            "clean_up_tokenization_spaces": False,
            "model_max_length": 512,
        },
    )
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")
    return tokenizer.get_vocab_size()


def _write_json(file: Path, value: dict[str, Any]) -> None:
    file.write_text(json.dumps(value, indent=1), encoding="utf-8")
