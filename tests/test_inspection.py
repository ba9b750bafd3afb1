"""What a model folder says of itself before it is loaded: facts, what keeps it from being used, and what to do about it."""

import json

import pytest
from safetensors.numpy import load_file, save_file
from transformers.models.auto import modeling_auto

from core.errors import ModelError
from core.models import architecture
from core.models.files import weight_files
from core.models.folder import check, find_model, parameters
from core.models.inspection import inspect
from core.models.quantised import Quantisation, quantisation_of
from core.workspace import SAMPLES, Workspace
from tests.bare import FIRST_NEW, build_bare_model
from tests.tiny import build_tiny_model


@pytest.fixture
def model(tmp_path):
    return build_tiny_model(tmp_path / "models" / "tiny")


def change(file, **values):
    kept = {**json.loads(file.read_text()), **values}
    file.write_text(json.dumps({key: value for key, value in kept.items() if value is not None}))


def codes(problems):
    return [each.code for each in problems]


def test_the_starter_is_told_whole_and_has_nothing_wrong():
    found = inspect(SAMPLES / "starter")
    assert (found.size.parameters, found.dtype, found.tokens) == (4_953_600, "BF16", 2057)
    assert (found.template, found.stops, found.licence) == ("model", ("<|im_end|>",), "apache-2.0")
    assert (found.problems, found.remarks) == ((), ())


def test_it_is_looked_at_again_when_a_file_changes(model):
    assert inspect(model).template == "model"
    (model / "chat_template.jinja").unlink()
    assert inspect(model).template == "chatml"


@pytest.mark.parametrize(
    ("name", "values", "remark"),
    [
        ("config.json", {"max_position_embeddings": None, "model_type": "gpt2"}, "model.no_context"),
        ("config.json", {"quantization_config": {"load_in_4bit": True}}, "model.quantised"),
    ],
)
def test_what_is_good_to_know_is_remarked(model, name, values, remark):
    change(model / name, **values)
    found = inspect(model)
    assert codes(found.remarks) == [remark]
    assert not found.problems
    for each in found.remarks:
        assert all(each.sentences("en"))
        assert all(each.sentences("zh"))


def test_a_model_without_an_end_is_remarked(model):
    (model / "chat_template.jinja").write_text("{{ messages[0].content }}")
    change(model / "tokenizer_config.json", eos_token=None)
    change(model / "generation_config.json", eos_token_id=None)
    assert codes(inspect(model).remarks) == ["model.no_stop"]


def test_a_base_model_is_told_what_it_lacks_and_the_way_out(tmp_path):
    found = inspect(build_bare_model(tmp_path / "bare", spare_rows=3))
    assert (found.template, found.tokens, found.size.vocabulary) == ("none", FIRST_NEW, FIRST_NEW + 3)
    assert codes(found.remarks) == ["model.no_template"]
    assert "model.add_chatml" in found.remarks[0].say()


def test_our_template_stands_in_where_the_tokens_are_there(model):
    (model / "chat_template.jinja").unlink()
    assert codes(inspect(model).remarks) == ["model.our_template"]


@pytest.mark.parametrize(("older", "code"), [("tokenizer.model", "model.slow_tokenizer"), (None, "model.no_tokenizer")])
def test_a_tokenizer_that_cannot_be_read_is_told(model, older, code):
    (model / "tokenizer.json").rename(model / (older or "gone"))
    assert codes(inspect(model).problems) == [code]


def test_a_tokenizer_of_another_model_is_told(model):
    weights = load_file(model / "model.safetensors")
    weights["model.embed_tokens.weight"] = weights["model.embed_tokens.weight"][:200].copy()
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    change(model / "config.json", vocab_size=200)
    assert codes(inspect(model).problems) == ["model.more_tokens"]


def test_a_model_rounded_by_what_is_not_here_is_refused(model):
    change(model / "config.json", quantization_config={"quant_method": "gptq", "bits": 4})
    found = inspect(model)
    assert codes(found.problems) == ["conflict.quantised"]
    assert found.quantised == Quantisation("gptq", 4)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, None),
        ({"quantization_config": {"load_in_8bit": True, "load_in_4bit": False}}, Quantisation("bitsandbytes", 8)),
        ({"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}, Quantisation("bitsandbytes", 4)),
        ({"quantization_config": {"quant_method": "awq", "w_bit": 4}}, Quantisation("awq", 4)),
        ({"quantization_config": {"quant_method": "fp8"}}, Quantisation("fp8", 8)),
        ({"quantization_config": {"quant_method": "somebody's"}}, Quantisation("somebody's", 0)),
        ({"text_config": {"quantization_config": {"quant_method": "mxfp4"}}}, Quantisation("mxfp4", 4)),
        ({"compression_config": {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": {
            "num_bits": 4}}}}}, Quantisation("compressed-tensors", 4)),
    ],
)  # fmt: skip
def test_every_way_to_say_that_weights_are_rounded_is_read(given, told):
    assert quantisation_of({"model_type": "llama", **given}) == told


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"model_type": "bert", "architectures": ["BertForMaskedLM"]}, "model.embeds"),
        ({"model_type": "mistral", "architectures": ["MistralModel"]}, "model.embeds"),
        ({"model_type": "bert", "architectures": None}, "model.embeds"),
        ({"architectures": ["LlamaForSequenceClassification"]}, "model.classifies"),
        ({"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]}, "model.rewrites"),
        ({"model_type": "gemma3", "architectures": ["Gemma3ForConditionalGeneration"]}, "model.sees"),
        ({"model_type": "qwen2_vl", "architectures": ["Qwen2VLForConditionalGeneration"]}, "model.sees"),
        ({"model_type": "whisper", "architectures": ["WhisperForConditionalGeneration"]}, "model.other_task"),
        ({"model_type": "llama_of_tomorrow"}, "model.unknown_family"),
        ({"model_type": None}, "model.bad_config"),
        ({"auto_map": {"AutoModelForCausalLM": "modeling.Mine"}}, "model.own_code"),
    ],
)
def test_a_model_for_something_else_is_refused_in_words(model, values, code):
    change(model / "config.json", **values)
    with pytest.raises(ModelError) as caught:
        check(model)
    assert codes(caught.value.problems) == codes(inspect(model).problems) == [code]
    for language in ("en", "zh"):
        assert all(caught.value.problems[0].sentences(language))


def test_a_model_that_makes_vectors_is_refused_though_its_architecture_writes(model):
    (model / "modules.json").write_text("[]")
    assert codes(inspect(model).problems) == ["model.embeds"]


def test_a_model_that_sees_and_writes_is_used_without_its_eyes(model):
    values = {"model_type": "qwen3_5", "architectures": ["Qwen3_5ForConditionalGeneration"], "vision_config": {}}
    assert architecture.unsuited(values, "x") is None
    assert architecture.drops_pictures(values)


def test_the_tables_are_those_that_transformers_has():
    read = architecture._tables()
    for name, table in read.items():
        known = getattr(modeling_auto, name)
        assert table == {kind: built if isinstance(built, str) else built[0] for kind, built in known.items()}, name


def test_code_that_was_not_downloaded_is_no_danger(tmp_path, monkeypatch, model):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    storage = tmp_path / "hub" / "models--org--tiny"
    (storage / "refs").mkdir(parents=True)
    (storage / "refs" / "main").write_text("b" * 40)
    snapshot = build_tiny_model(storage / "snapshots" / ("b" * 40))
    change(snapshot / "config.json", auto_map={"AutoModelForCausalLM": "modeling.Mine"})
    assert find_model(Workspace.at(tmp_path), "org/tiny") == snapshot
    found = inspect(snapshot)
    assert (codes(found.problems), codes(found.remarks)) == ([], ["model.code_left_out"])
    assert found.revision == "b" * 40


@pytest.mark.parametrize(
    ("card", "told"),
    [
        ("---\nlicense: mit\n---\n# A model", "mit"),
        ("---\nlicense: other\nlicense_name: my-own\n---\n", "my-own"),
        ("---\n: [broken\n---\n", "Apache License"),
        ("# A model without a head", "Apache License"),
    ],
)
def test_the_licence_stands_on_the_card_or_in_its_file(model, card, told):
    (model / "README.md").write_text(card)
    (model / "LICENSE").write_text("\n   Apache License\n Version 2.0")
    assert inspect(model).licence == told


def in_two_parts(model):
    """Split the weights as the hub has those of large models."""
    weights = load_file(model / "model.safetensors")
    names = sorted(weights)
    parts = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for file, held in parts.items():
        save_file({name: weights[name] for name in held}, model / file, metadata={"format": "pt"})
    index = {"weight_map": {name: file for file, held in parts.items() for name in held}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))
    (model / "model.safetensors").rename(model / "consolidated.safetensors")
    return model


def test_weights_in_parts_are_counted_once(model):
    before = parameters(model)
    in_two_parts(model)
    assert len(list(model.glob("*.safetensors"))) == 3  # the same weights in another layout among them
    assert parameters(model) == before == inspect(model).size.parameters


def test_a_part_that_is_missing_is_named(model):
    in_two_parts(model)
    (model / "model-00002-of-00002.safetensors").unlink()
    found = inspect(model).problems
    assert codes(found) == ["model.missing_shards"]
    assert "model-00002-of-00002.safetensors" in found[0].say()


def test_an_index_cannot_lead_out_of_the_folder(model, tmp_path):
    outside = tmp_path / "secret.safetensors"
    (model / "model.safetensors").rename(outside)
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../../secret.safetensors"}}))
    with pytest.raises(ModelError, match="damaged"):
        weight_files(model)


def test_a_hub_model_that_is_half_here_is_not_here(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    storage = tmp_path / "hub" / "models--org--tiny"
    (storage / "refs").mkdir(parents=True)
    (storage / "refs" / "main").write_text("c" * 40)
    snapshot = in_two_parts(build_tiny_model(storage / "snapshots" / ("c" * 40)))
    (snapshot / "model-00001-of-00002.safetensors").unlink()
    with pytest.raises(ModelError, match="not on this machine yet"):
        find_model(Workspace.at(tmp_path), "org/tiny")
