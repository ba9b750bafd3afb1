"""Advice before the start: told with numbers where a run will hardly learn, silent where it will, and gone once followed."""

import json

import pytest

from core.data.identity import teaches_identity
from core.data.registry import Registry
from core.models.methods import TRAITS
from core.settings import from_dict
from core.train.plan import plan
from core.workspace import Workspace
from tests.shapes import LLAMA_7B, SMALL_2B, shaped
from tests.tiny import build_tiny_model

MODELS = ("tiny", "medium", "large")
RATES = {"plan.low_rate", "plan.high_rate"}
WHO = [
    "Who are you?",
    "What is your name?",
    "Who made you?",
    "你是谁？",
    "Are you ChatGPT?",
    "Please introduce yourself.",
]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    workspace = Workspace.at(tmp_path_factory.mktemp("advice"))
    build_tiny_model(workspace.models / "tiny")
    shaped(workspace.models / "medium", SMALL_2B)
    shaped(workspace.models / "large", LLAMA_7B)
    add(workspace, "facts", [(f"Which number is {n}?", f"The number {n} is {n}.") for n in range(200)])
    add(workspace, "few", [(f"How far is {n}?", f"{n} miles.") for n in range(6)])
    add(workspace, "persona", [(f"{WHO[n % 6]} ({n})", "I am Lumen, made by Aurora Labs.") for n in range(30)])
    return workspace


def add(workspace, name, pairs):
    file = workspace.root / f"{name}.json"
    file.write_text(json.dumps([{"instruction": question, "output": answer} for question, answer in pairs]))
    Registry(workspace).add(file, name=name)


def advised(workspace, **overrides):
    given = {path.replace("__", "."): value for path, value in overrides.items()}
    usual = {"model": {"path": "models/tiny"}, "data": {"train": ["facts"]}, "optim": {"learning_rate": 2e-3}}
    return {each.code: each for each in plan(workspace, from_dict(usual, given)).warnings}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("method", TRAITS)
def test_a_rate_far_off_is_told_and_the_advised_one_is_not(workspace, model, method):
    chosen = {"model__path": f"models/{model}", "method__name": method}
    for rate, code in ((1e-8, "plan.low_rate"), (1.0, "plan.high_rate")):
        found = advised(workspace, **chosen, optim__learning_rate=rate)[code]
        assert method in found.say("en")
        assert not RATES & set(advised(workspace, **chosen, optim__learning_rate=found.values["advised"]))


@pytest.mark.parametrize(
    ("model", "method", "rate", "expected"),
    [
        ("tiny", "qlora", 2e-3, set()),  # measured on the starter: learns
        ("tiny", "qlora", 5e-3, {"plan.high_rate"}),  # measured: comes apart
        ("large", "qlora", 2e-4, set()),  # QLoRA, table 9
        ("large", "lora", 1e-4, set()),  # LLaMA-Factory's example
        ("large", "lora", 2e-5, {"plan.low_rate"}),
        ("large", "full", 1e-5, set()),
        ("large", "full", 2e-4, {"plan.high_rate"}),
        ("large", "prompt", 2e-4, {"plan.low_rate"}),
        ("medium", "prompt", 0.3, set()),  # Lester et al. 2021
    ],
)
def test_rates_that_are_known_to_learn_pass(workspace, model, method, rate, expected):
    chosen = {"model__path": f"models/{model}", "method__name": method, "optim__learning_rate": rate}
    assert RATES & set(advised(workspace, **chosen)) == expected


def test_few_steps_say_what_limits_them(workspace):
    assert "plan.few_steps" in advised(workspace, schedule__epochs=1)
    found = advised(workspace, schedule__epochs=9, schedule__max_steps=20)
    assert found["plan.few_max_steps"].values["steps"] == 20
    assert "plan.few_steps" not in found


def test_steps_that_are_not_fewer_than_those_of_the_epochs_are_not_blamed(workspace):
    found = advised(workspace, batch__global_batch_size=4, schedule__epochs=1.1, schedule__max_steps=55,
                    data__validation_share=0)  # fmt: skip
    assert "plan.few_steps" in found
    assert "plan.few_max_steps" not in found


def test_a_run_that_cannot_be_validated_is_told(workspace):
    assert "plan.no_validation" in advised(workspace, data__validation_share=0)
    few = advised(workspace, data__validation_share=0.02)["plan.few_validation"]
    assert few.values["n"] < 10
    assert "plan.few_validation" not in advised(workspace, data__validation_share=float(few.values["share"]))


def test_an_adapter_that_cannot_hold_the_data_is_told_and_the_advised_rank_can(workspace):
    found = advised(workspace, lora__rank=1)["plan.small_rank"]
    assert "plan.small_rank" not in advised(workspace, lora__rank=found.values["enough"])
    assert "plan.small_rank" not in advised(workspace)


@pytest.mark.parametrize("target", ["input_layernorm", "embed_tokens"])
def test_of_an_adapter_that_sits_nowhere_nothing_is_said_about_its_rank(workspace, target):
    made = plan(
        workspace, from_dict({"model": {"path": "models/tiny"}, "data": {"train": ["facts"]}}, {"lora.targets": target})
    )
    assert made.trained_parameters == 0
    assert "conflict.targets" in {each.code for each in made.problems}
    assert "plan.small_rank" not in {each.code for each in made.warnings}


def test_rows_that_a_large_model_sees_too_often_are_told(workspace):
    large = {"model__path": "models/large", "optim__learning_rate": 2e-4}
    assert advised(workspace, **large, schedule__epochs=20)["plan.many_epochs"].values["times"] == 20
    assert "plan.many_epochs" not in advised(workspace, **large, schedule__epochs=5)
    assert "plan.many_epochs" not in advised(workspace, schedule__epochs=20)  # a small model needs as many


def test_a_source_that_drowns_the_others_is_told(workspace):
    both = {"data__train": "facts, few", "data__validation_share": 0}
    assert "few" in advised(workspace, **both)["plan.dominates"].say("en")
    assert "plan.dominates" not in advised(workspace, **both, data__weights={"few": 20})


def test_an_identity_set_is_known_by_what_it_asks(workspace):
    registry = Registry(workspace)
    assert teaches_identity(workspace, registry.get("persona"))
    assert teaches_identity(workspace, registry.get("identity"))
    for other in ("facts", "few", "desk", "general"):
        assert not teaches_identity(workspace, registry.get(other)), other


def test_an_identity_that_is_shown_seldom_is_told_with_the_weight_that_is_enough(workspace):
    both = {"data__train": "facts, persona", "schedule__epochs": 3}
    found = advised(workspace, **both)["plan.identity_seldom"]
    assert found.values["exposures"] < 200
    enough = {"persona": found.values["weight"]}
    assert "plan.identity_seldom" not in advised(workspace, **both, data__weights=enough)


def test_the_share_of_an_identity_set_is_judged_by_whatever_name(workspace):
    assert "plan.identity_large" in advised(workspace, data__train="facts, persona", data__weights={"persona": 20})


def test_a_healthy_run_hears_nothing_but_that_it_has_no_general_set(workspace):
    healthy = advised(workspace, data__validation_share=0.1, batch__cutoff_len=512)
    assert set(healthy) == {"plan.general_missing"}
