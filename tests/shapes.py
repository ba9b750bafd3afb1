"""Model folders of a real size that take no room: the header of the weights, and a hole in the file where they would be."""

import json
import struct
from pathlib import Path

from core.models.folder import copy_tokenizer
from core.models.size import size_of
from core.workspace import SAMPLES

LLAMA_7B = {"vocab_size": 32_000, "hidden_size": 4096, "intermediate_size": 11_008, "num_hidden_layers": 32,
            "num_attention_heads": 32, "num_key_value_heads": 32}  # fmt: skip
SMALL_2B = {"vocab_size": 49_152, "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 24,
            "num_attention_heads": 32, "num_key_value_heads": 32}  # fmt: skip


def shaped(folder: Path, shape: dict[str, int], *, template: bool = True, **more: object) -> Path:
    """Write a Llama of this shape with the starter's tokenizer, with or without a chat template, and return the folder."""
    folder.mkdir(parents=True)
    copy_tokenizer(SAMPLES / "starter", folder)
    if not template:
        (folder / "chat_template.jinja").unlink()
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "max_position_embeddings": 4096,
              "tie_word_embeddings": False, "dtype": "bfloat16", "rms_norm_eps": 1e-5, **shape, **more}  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    _write_hole(folder / "model.safetensors", _tensors(config))
    return folder


def _tensors(config: dict) -> dict[str, list[int]]:
    found = size_of(config)
    tensors = {"model.embed_tokens.weight": [found.vocabulary, found.hidden], "model.norm.weight": [found.hidden],
               "lm_head.weight": [found.vocabulary, found.hidden]}  # fmt: skip
    for layer in range(found.layers):
        for each in found.linears:
            part = "self_attn" if each.name[0] in "qkvo" else "mlp"
            tensors[f"model.layers.{layer}.{part}.{each.name}.weight"] = [each.rows, each.columns]
        for norm in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"model.layers.{layer}.{norm}.weight"] = [found.hidden]
    return tensors


def _write_hole(file: Path, tensors: dict[str, list[int]]) -> None:
    header, at = {}, 0
    for name, shape in tensors.items():
        length = 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + length]}
        at += length
    text = json.dumps(header).encode()
    with file.open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        stream.truncate(8 + len(text) + at)
