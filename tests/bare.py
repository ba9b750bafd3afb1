"""A tiny base model as it comes from pretraining: no chat template, no ChatML tokens, and a text-ending token of its own."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer

from tests.tiny import build_tiny_model

END_OF_TEXT = 256  # the only control token; ids 0 to 255 are bytes
FIRST_NEW = 257


def build_bare_model(
    folder: Path, *, tied: bool = True, spare_rows: int = 0, spare_scale: float = 0.1, seed: int = 0
) -> Path:
    """Write the model into `folder` and return it. `spare_rows` are embedding rows that no token uses."""
    build_tiny_model(folder, seed=seed)
    (folder / "chat_template.jinja").unlink()
    values = json.loads((folder / "tokenizer.json").read_text())
    values["added_tokens"] = [each for each in values["added_tokens"] if each["id"] == END_OF_TEXT]
    Tokenizer.from_str(json.dumps(values)).save(str(folder / "tokenizer.json"))
    _change(folder / "tokenizer_config.json", eos_token="<|endoftext|>", additional_special_tokens=[])
    _change(folder / "generation_config.json", eos_token_id=END_OF_TEXT)
    rows = FIRST_NEW + spare_rows
    _change(folder / "config.json", vocab_size=rows, eos_token_id=END_OF_TEXT, tie_word_embeddings=tied)
    weights = load_file(folder / "model.safetensors")
    draw = np.random.default_rng(seed + 1)
    known = weights["model.embed_tokens.weight"][:FIRST_NEW]
    spare = draw.standard_normal((spare_rows, known.shape[1])).astype(np.float32) * spare_scale
    weights["model.embed_tokens.weight"] = np.concatenate([known, spare])
    if not tied:
        weights["lm_head.weight"] = (draw.standard_normal((rows, known.shape[1])) * 0.5).astype(np.float32)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def _change(file: Path, **values: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))
