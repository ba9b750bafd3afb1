"""The size of a model from its config.json alone, held against what transformers makes of the same file."""

import dataclasses
import json

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from core.errors import ModelError
from core.models import folder as models
from core.models.size import FAMILIES, size, size_of
from tests.tiny import build_tiny_model

TINY = {"vocab_size": 300, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 24, "max_position_embeddings": 128, "pad_token_id": 0}  # fmt: skip
NO_HEAD_DIM = {"qwen2", "phi", "phi3"}  # their classes work the width of a head out
SWITCHES = {
    "llama": [{"attention_bias": True, "mlp_bias": True}, {"tie_word_embeddings": True}],
    "phi": [{"qk_layernorm": True}],
    "qwen3": [{"attention_bias": True, "tie_word_embeddings": True}],
    "gemma2": [{"attention_bias": True}],
    "glm4": [{"attention_bias": False}],
}
CASES = [(family, more) for family in FAMILIES for more in ({}, *SWITCHES.get(family, ()))]


def build(folder, values):
    """Write config.json and build the model that transformers makes of it, without memory for its weights."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(values))
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))


@pytest.mark.parametrize(("family", "more"), CASES, ids=lambda value: str(value))
def test_every_weight_is_counted(tmp_path, family, more):
    values = {"model_type": family, **TINY, **more}
    if family in NO_HEAD_DIM:
        del values["head_dim"]
    model, told = build(tmp_path, values), size(tmp_path)
    assert told.parameters == sum(weight.numel() for weight in model.parameters())
    inside = [each for each in model.model.modules() if isinstance(each, torch.nn.Linear)]
    shapes = [(each.rows, each.columns, each.bias) for each in told.linears for _ in range(each.count)]
    assert sorted(shapes) == sorted((each.out_features, each.in_features, each.bias is not None) for each in inside)
    embedding, config = model.get_input_embeddings(), model.config
    assert (told.vocabulary, told.hidden) == (embedding.num_embeddings, embedding.embedding_dim)
    assert told.tied == (model.get_output_embeddings().weight is embedding.weight)
    names = ("num_hidden_layers", "intermediate_size", "num_attention_heads", "max_position_embeddings")
    assert (told.layers, told.intermediate, told.heads, told.context) == tuple(getattr(config, name) for name in names)
    assert told.key_value_heads == 2


@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_config_leaves_out_is_what_transformers_fills_in(tmp_path, family):
    model, told = build(tmp_path, {"model_type": family}), size(tmp_path)
    assert told.parameters == sum(weight.numel() for weight in model.parameters())
    assert told.context == model.config.max_position_embeddings


def test_the_language_part_of_a_model_that_sees_is_told():
    told = size_of({"model_type": "gemma3", "text_config": {"hidden_size": 2560, "intermediate_size": 10240,
                    "num_hidden_layers": 34}, "vision_config": {}})  # fmt: skip
    assert told is not None
    assert 3.8e9 < told.parameters < 4.0e9  # the published model: 4 billion, of which 0.4 see


@pytest.mark.parametrize(
    ("name", "values", "billions"),
    [  # the numbers of the published config.json and model card
        ("Qwen3-0.6B", {"model_type": "qwen3", "hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28,
         "num_attention_heads": 16, "num_key_value_heads": 8, "tie_word_embeddings": True}, 0.596),
        ("Llama-3.1-8B", {"model_type": "llama", "vocab_size": 128256, "hidden_size": 4096, "intermediate_size": 14336,
         "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8}, 8.030),
    ],
)  # fmt: skip
def test_a_published_model_has_the_published_size(name, values, billions):
    told = size_of(values)
    assert told is not None
    assert told.parameters / 1e9 == pytest.approx(billions, abs=0.001)


def test_an_unknown_family_is_read_from_its_weights(tmp_path):
    folder = build_tiny_model(tmp_path / "tiny")
    known = size(folder)
    values = {**models.config(folder), "model_type": "llama_of_tomorrow"}
    (folder / "config.json").write_text(json.dumps(values))
    told = size(folder)
    shapes = {field: sorted((each.name, each.rows, each.columns, each.count) for each in which.linears)
              for field, which in (("known", known), ("told", told))}  # fmt: skip
    assert shapes["known"] == shapes["told"]
    same = {field.name for field in dataclasses.fields(told)} - {"family", "linears"}
    assert {name: getattr(told, name) for name in same} == {name: getattr(known, name) for name in same}
    assert told.parameters == models.parameters(folder)


def test_an_unknown_family_without_weights_cannot_be_told(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "llama_of_tomorrow"}')
    with pytest.raises(ModelError, match="llama_of_tomorrow"):
        size(tmp_path)


@pytest.mark.parametrize("wrong", [{"hidden_size": "64"}, {"num_hidden_layers": 0}, {"num_attention_heads": True}])
def test_a_number_that_is_none_is_told(wrong):
    with pytest.raises(ModelError, match=next(iter(wrong))):
        size_of({"model_type": "llama", **wrong})
