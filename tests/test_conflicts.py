"""Wrong combinations are refused before the start, all at once, each with the way out; what is only unwise is not."""

import json
import shutil

import pytest

from core.data.registry import Registry
from core.errors import StudioError
from core.models.methods import TRAITS
from core.runs.directory import listing
from core.settings import from_dict, load_recipe, to_yaml
from core.train.conflicts import conflicts, model_facts, notes, schedule_conflicts
from core.train.machine import Machine
from core.train.plan import plan
from core.train.prepare import prepare
from core.workspace import Workspace
from tests.shapes import SMALL_2B, shaped
from tests.tiny import build_tiny_model

CPU = Machine("cpu", "a processor", 16 << 30, 12 << 30, True)
OLD_CPU = Machine("cpu", "an old processor", 16 << 30, 12 << 30, False)
CARD = Machine("cuda", "a card", 24 << 30, 23 << 30, True)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    made = {"plain": shaped(root / "plain", SMALL_2B), "bare": shaped(root / "bare", SMALL_2B, template=False)}
    ways = {
        "four_bit": {"quant_method": "bitsandbytes", "load_in_4bit": True},
        "eight_bit": {"quant_method": "bitsandbytes", "load_in_8bit": True},
        "gptq": {"quant_method": "gptq", "bits": 4},
        "awq": {"quant_method": "awq", "bits": 4},
        "fp8": {"quant_method": "fp8"},
    }
    return made | {name: shaped(root / name, SMALL_2B, quantization_config=way) for name, way in ways.items()}


def settings(**overrides):
    given = {path.replace("__", "."): value for path, value in overrides.items()}
    return from_dict({"data": {"train": ["x"]}}, given)


def codes(folder, machine=CPU, **overrides):
    return [each.code for each in conflicts(settings(**overrides), model_facts(folder), machine)]


@pytest.mark.parametrize("method", TRAITS)
def test_each_method_with_its_defaults_has_no_conflict(folders, method):
    assert codes(folders["plain"], method__name=method) == []
    for bits in TRAITS[method].bits:
        assert codes(folders["plain"], method__name=method, method__bits=bits) == []


@pytest.mark.parametrize("method", ["lora", "pissa", "freeze", "full"])
def test_bits_are_refused_where_the_weights_themselves_are_changed_or_the_method_has_none(folders, method):
    assert codes(folders["plain"], method__name=method, method__bits=4) == ["conflict.bits"]
    found = conflicts(settings(method__name=method, method__bits=8), model_facts(folders["plain"]), CPU)
    assert "qlora" in found[0].say("en")


def test_whole_weights_are_refused_for_a_method_that_is_made_for_quantised_ones(folders):
    assert codes(folders["plain"], method__name="qlora", method__bits=16) == ["conflict.bits"]


@pytest.mark.parametrize(
    ("folder", "overrides", "expected"),
    [
        ("four_bit", {"method__name": "qlora", "method__bits": 8}, ["conflict.other_bits"]),
        ("four_bit", {"method__name": "lora"}, ["conflict.other_bits"]),
        ("four_bit", {"method__name": "qlora"}, []),
        ("eight_bit", {"method__name": "qlora"}, ["conflict.other_bits"]),
        ("eight_bit", {"method__name": "qlora", "method__bits": 8}, []),
        ("gptq", {"method__name": "qlora"}, ["conflict.quantised"]),
        ("awq", {"method__name": "lora"}, ["conflict.quantised"]),
        ("fp8", {"method__name": "full"}, ["conflict.quantised"]),
    ],
)
def test_a_checkpoint_that_is_quantised_already_is_not_quantised_otherwise(folders, folder, overrides, expected):
    assert codes(folders[folder], **overrides) == expected


@pytest.mark.parametrize("method", ["prefix", "prompt"])
def test_packing_is_refused_where_it_was_asked_for_and_left_out_where_it_was_not(folders, method):
    assert codes(folders["plain"], method__name=method, batch__packing=True) == ["conflict.packing"]
    assert codes(folders["plain"], method__name=method, batch__packing=False) == []
    told = notes(settings(method__name=method), model_facts(folders["plain"]), CPU)
    assert [each.code for each in told] == ["plan.no_packing"]


@pytest.mark.parametrize("method", ["prefix", "prompt", "freeze", "full"])
@pytest.mark.parametrize(
    "change", [{"lora__rank": 8}, {"lora__alpha": 8}, {"lora__dropout": 0.1}, {"lora__targets": "q_proj"}]
)
def test_a_setting_of_lora_is_refused_for_a_method_that_does_not_read_it(folders, method, change):
    assert codes(folders["plain"], method__name=method, **change) == ["conflict.unread"]


def test_a_setting_of_one_method_is_refused_for_another_and_its_default_is_named(folders):
    assert codes(folders["plain"], lora__plus_ratio=4) == ["conflict.unread"]
    assert codes(folders["plain"], method__layers=5) == ["conflict.unread"]
    assert codes(folders["plain"], method__name="prompt", method__virtual_tokens=5) == []
    found = conflicts(settings(method__name="full", lora__rank=64), model_facts(folders["plain"]), CPU)
    assert "Set it back to 16" in found[0].say("en")


def test_more_layers_than_there_are_cannot_be_trained(folders):
    assert codes(folders["plain"], method__name="freeze", method__layers=24) == []
    assert codes(folders["plain"], method__name="freeze", method__layers=25) == ["conflict.layers"]


def test_targets_must_be_layers_of_this_model(folders):
    assert codes(folders["plain"], lora__targets="q_proj, self_attn.v_proj, lm_head") == []
    assert codes(folders["plain"], lora__targets="q_proj, qkv_proj") == ["conflict.targets"]
    found = conflicts(settings(lora__targets="c_attn"), model_facts(folders["plain"]), CPU)
    assert "q_proj" in found[0].say("en")


@pytest.mark.parametrize("target", ["input_layernorm", "embed_tokens", "model.norm", "q_proj, input_layernorm"])
def test_an_adapter_sits_on_no_norm_and_no_embedding(folders, target):
    found = conflicts(settings(lora__targets=target), model_facts(folders["plain"]), CPU)
    assert [each.code for each in found] == ["conflict.targets"]
    assert "linear" in found[0].say("en")
    assert found[0].values["names"] == target.rpartition(" ")[2]


def test_a_prefix_wants_keys_and_values_in_every_layer(folders, tmp_path):
    hybrid = shutil.copytree(folders["plain"], tmp_path / "hybrid")
    values = json.loads((hybrid / "config.json").read_text())
    for kinds, found in (("conv", ["method.no_prefix"]), ("sliding_attention", []), ("attention", [])):
        layers = [kinds] + ["full_attention"] * (values["num_hidden_layers"] - 1)
        (hybrid / "config.json").write_text(json.dumps(values | {"layer_types": layers}))
        assert codes(hybrid, method__name="prefix") == found
    assert codes(hybrid, method__name="prompt") == []


def test_pissa_has_no_more_directions_than_a_layer(workspace):
    tiny = workspace.models / "tiny"  # keys and values are 32 wide
    assert codes(tiny, method__name="pissa", lora__rank=32, batch__cutoff_len=512) == []
    assert codes(tiny, method__name="pissa", lora__rank=33, batch__cutoff_len=512) == ["method.rank_over_layer"]
    assert codes(tiny, method__name="lora", lora__rank=33, batch__cutoff_len=512) == []


def test_chatml_is_not_added_to_a_model_that_has_a_template(folders):
    assert codes(folders["plain"], model__add_chatml=True) == ["conflict.has_template"]
    assert codes(folders["bare"], model__add_chatml=True) == []


def test_the_hardware_is_asked_for_what_it_has(folders):
    assert codes(folders["plain"], compute__dtype="bfloat16") == []
    assert codes(folders["plain"], OLD_CPU, compute__dtype="bfloat16") == ["conflict.no_bfloat16"]
    assert codes(folders["plain"], compute__compile=True) == ["conflict.compile_on_cpu"]
    assert codes(folders["plain"], CARD, compute__compile=True) == []


def test_paging_on_a_processor_is_told_and_not_refused(folders):
    paged = settings(optim__name="paged_adamw_32bit")
    assert conflicts(paged, model_facts(folders["plain"]), CPU) == []
    assert [each.code for each in notes(paged, model_facts(folders["plain"]), CPU)] == ["plan.no_paging"]
    assert notes(paged, model_facts(folders["plain"]), CARD) == []


def test_a_prefix_cannot_be_computed_again(folders):
    assert codes(folders["plain"], method__name="prefix", compute__checkpointing="on") == ["conflict.checkpointing"]
    assert codes(folders["plain"], method__name="prefix", compute__checkpointing="auto") == []


def test_a_cutoff_over_the_context_is_refused_where_it_was_asked_for(folders):
    assert codes(folders["plain"], batch__cutoff_len=4096) == []
    assert codes(folders["plain"], batch__cutoff_len=4097) == ["conflict.cutoff"]


@pytest.mark.parametrize(
    ("overrides", "steps", "validation", "interval", "expected"),
    [
        ({"schedule__patience": 3}, 100, 20, 10, []),
        ({"schedule__patience": 3}, 100, 0, 10, ["conflict.patience_blind"]),
        ({"schedule__patience": 10}, 100, 20, 10, ["conflict.patience_long"]),
        ({"schedule__patience": 9}, 100, 20, 10, []),
        ({"schedule__warmup_share": 0.9}, 5, 20, 1, ["conflict.all_warmup"]),
        ({"schedule__warmup_share": 0.9}, 100, 20, 10, []),
    ],
)
def test_what_contradicts_the_length_of_the_run_is_refused(overrides, steps, validation, interval, expected):
    found = schedule_conflicts(settings(**overrides), steps, validation, interval)
    assert [each.code for each in found] == expected


def test_the_way_out_of_too_much_patience_leads_out():
    found = schedule_conflicts(settings(schedule__patience=10), 100, 20, 10)[0]
    assert schedule_conflicts(settings(schedule__patience=10), 100, 20, found.values["every"]) == []


@pytest.fixture
def workspace(tmp_path):
    workspace = Workspace.at(tmp_path / "workspace")
    build_tiny_model(workspace.models / "tiny")
    rows = [{"instruction": f"Which number is {n}?", "output": f"It is {n}."} for n in range(200)]
    (tmp_path / "facts.json").write_text(json.dumps(rows))
    Registry(workspace).add(tmp_path / "facts.json", name="facts")
    return workspace


def run_settings(**overrides):
    given = {path.replace("__", "."): value for path, value in overrides.items()}
    return from_dict({"model": {"path": "models/tiny"}, "data": {"train": ["facts"]}}, given)


def test_a_start_is_refused_with_all_conflicts_at_once_and_nothing_is_made(workspace):
    wrong = run_settings(
        method__name="prompt", method__bits=4, lora__rank=8, batch__packing=True, batch__cutoff_len=2000,
        compute__compile=True, data__validation_share=0, schedule__patience=2,
    )  # fmt: skip
    with pytest.raises(StudioError) as caught:
        prepare(workspace, wrong)
    assert {each.code for each in caught.value.problems} == {
        "conflict.unread", "conflict.packing", "conflict.cutoff", "conflict.compile_on_cpu", "conflict.patience_blind",
    }  # fmt: skip
    assert listing(workspace) == []
    assert {each.code for each in plan(workspace, wrong).problems} == {each.code for each in caught.value.problems}


def test_conflicts_are_told_beside_other_problems(workspace):
    with pytest.raises(StudioError) as caught:
        prepare(workspace, run_settings(method__name="full", method__bits=4, prompt__name="nobody"))
    assert {each.code for each in caught.value.problems} == {"prompt.unknown", "conflict.bits"}


def test_conflicts_are_told_beside_what_is_wrong_with_the_rows(workspace):
    with pytest.raises(StudioError) as caught:
        prepare(workspace, run_settings(batch__cutoff_len=16, compute__compile=True))
    assert {each.code for each in caught.value.problems} == {"data.too_long", "conflict.compile_on_cpu"}


def test_a_model_that_is_not_here_yet_keeps_no_conflict_back(workspace):
    with pytest.raises(StudioError) as caught:
        prepare(workspace, run_settings(model__path="nobody/has-this-model", method__name="lora", method__bits=4))
    assert {each.code for each in caught.value.problems} == {"conflict.bits"}


def test_the_recipe_of_a_run_without_packing_can_start_again(workspace, tmp_path):
    """Written back, a default stands in the file as if somebody had asked for it."""
    run = prepare(workspace, run_settings(method__name="prompt", optim__learning_rate=1e-2))
    written = to_yaml(run.settings)
    assert "packing" in written
    (tmp_path / "again.yaml").write_text(written)
    assert prepare(workspace, load_recipe(tmp_path / "again.yaml")).path.exists()
