"""Model folders: what is refused, and what is told without loading them."""

import json
import pickle
import shutil

import huggingface_hub
import pytest
import torch

from core.errors import ModelError, PathError
from core.models import folder as models
from core.models.load import load_base
from core.workspace import Workspace
from tests.tiny import build_tiny_model


@pytest.fixture
def workspace(tmp_path):
    return Workspace.at(tmp_path)


@pytest.fixture
def model(workspace):
    return build_tiny_model(workspace.models / "tiny")


def test_a_good_folder_is_found_by_its_relative_path(workspace, model):
    assert models.find_model(workspace, "models/tiny") == model


def test_a_missing_folder_is_told(workspace):
    with pytest.raises(ModelError, match="There is no model at models/none/deep"):
        models.find_model(workspace, "models/none/deep")


def test_a_hub_name_that_is_not_cached_is_told_without_a_download(workspace):
    with pytest.raises(ModelError, match="not on this machine yet"):
        models.find_model(workspace, "some-org/some-model-that-is-not-there")


def test_a_path_outside_is_refused(workspace):
    with pytest.raises(PathError):
        models.find_model(workspace, "../../etc")


class Evil:
    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return (open, (str(self.canary), "w"))


def test_a_pickle_only_folder_is_refused_and_never_opened(workspace, model, tmp_path):
    (model / "model.safetensors").unlink()
    (model / "pytorch_model.bin").write_bytes(pickle.dumps(Evil(tmp_path / "canary")))
    with pytest.raises(ModelError, match=r"pickle files \(pytorch_model\.bin\)"):
        models.find_model(workspace, "models/tiny")
    assert not (tmp_path / "canary").exists()


def test_a_folder_that_brings_code_is_refused(workspace, model):
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoModel": "evil.Model"}}))
    with pytest.raises(ModelError, match="program code of its own"):
        models.find_model(workspace, "models/tiny")


def test_a_damaged_weight_file_is_told(workspace, model):
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ModelError, match=r"model\.safetensors is damaged"):
        models.find_model(workspace, "models/tiny")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("config.json", None, "no config.json"),
        ("config.json", "{", "cannot be read"),
        ("model.safetensors", None, "no weights"),
    ],
)
def test_an_incomplete_folder_is_told(workspace, model, name, content, words):
    (model / name).unlink()
    if content:
        (model / name).write_text(content)
    with pytest.raises(ModelError, match=words):
        models.find_model(workspace, "models/tiny")


def test_an_adapter_is_not_a_base(workspace, model):
    (model / "config.json").rename(model / "adapter_config.json")
    with pytest.raises(ModelError, match="is an adapter"):
        models.find_model(workspace, "models/tiny")


def test_the_header_counts_the_parameters_that_torch_loads(model):
    loaded = load_base(model)
    assert models.parameters(model) == sum(weight.numel() for weight in loaded.parameters())


def test_the_fingerprint_tells_models_apart(workspace, model):
    other = build_tiny_model(workspace.models / "other", seed=1)
    copy = shutil.copytree(model, workspace.models / "copy")
    assert models.fingerprint(model) == models.fingerprint(copy) != models.fingerprint(other)


def test_beside_the_weights_lie_the_template_and_all_that_ends_an_answer(model, tmp_path):
    from core.models.companions import write_companions

    source, target = shutil.copytree(model, tmp_path / "source"), tmp_path / "target"
    (source / "chat_template.jinja").unlink()
    (source / "generation_config.json").write_text(json.dumps({"temperature": 0.6, "eos_token_id": 256}))
    target.mkdir()
    write_companions(source, target)
    assert "<|im_start|>" in (target / "chat_template.jinja").read_text()
    generation = json.loads((target / "generation_config.json").read_text())
    assert generation["temperature"] == 0.6
    assert sorted(generation["eos_token_id"]) == [256, 258]
    assert (target / "tokenizer.json").read_bytes() == (source / "tokenizer.json").read_bytes()


def test_four_bit_layers_are_really_four_bit(model):
    loaded = load_base(model, bits=4)
    kinds = {type(m).__name__ for m in loaded.modules() if isinstance(m, torch.nn.Linear)}
    assert "Linear4bit" in kinds


def test_a_hub_name_is_found_in_the_cache(workspace, tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    cached = tmp_path / "hub" / "models--org--tiny"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text("0" * 40)
    snapshot = build_tiny_model(cached / "snapshots" / ("0" * 40))
    assert models.find_model(workspace, "org/tiny") == snapshot
