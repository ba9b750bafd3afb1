"""Presets and shipped recipes: each names real settings, says why in every language, and can be planned."""

from pathlib import Path

import pytest

from core.commands.plan import settings_of
from core.data.identity_sets import identity_sets
from core.data.registry import Registry
from core.errors import SettingsError
from core.settings import fields, from_dict, load_recipe
from core.settings.presets import preset, presets
from core.train.plan import plan
from core.wording import table
from core.workspace import SAMPLES, Workspace
from tests.shapes import LLAMA_7B, SMALL_2B, shaped

RECIPES = {file.stem: file for file in sorted((SAMPLES / "recipes").glob("*.yaml"))}
IDENTITY = {"identity": "identity_lumen", "identity_test": "identity_lumen_test"}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    workspace = Workspace.at(tmp_path_factory.mktemp("presets"))
    identity_sets(Registry(workspace), "Lumen", "Aurora Labs")
    shaped(workspace.models / "large", LLAMA_7B, max_position_embeddings=32_768)
    shaped(workspace.models / "base", SMALL_2B, template=False)
    return workspace


def of_recipe(name, **more):
    """Return the settings of a recipe with a local model of the size of the one that it names, and filled-in data."""
    given = load_recipe(RECIPES[name])
    here = {"starter": "data/starter", "qlora_chatml": "models/base"}.get(name, "models/large")
    sets = {
        f"data.{part}": [IDENTITY.get(each, each) for each in getattr(given.data, part)] for part in ("train", "test")
    }
    return load_recipe(RECIPES[name], {"model.path": here, **sets, **more})


@pytest.mark.parametrize("name", presets())
def test_a_preset_names_settings_and_says_why_in_every_language(name):
    known = {row.path for row in fields()}
    assert set(preset(name)) <= known
    for language in ("en", "zh"):
        assert {f"preset.{name}.label", f"preset.{name}.why"} <= set(table(language))


@pytest.mark.parametrize("name", presets())
def test_a_preset_leaves_alone_what_it_does_not_name(name):
    before = from_dict({"data": {"train": ["x"]}, "lora": {"rank": 3, "dropout": 0.07}, "seed": 99})
    after = from_dict(before.model_dump(), preset(name))
    for row in fields():
        group, _, field = row.path.rpartition(".")
        old, new = (getattr(getattr(each, group) if group else each, field) for each in (before, after))
        assert new == preset(name).get(row.path, old), row.path


@pytest.mark.parametrize("name", presets())
def test_a_preset_on_a_shipped_recipe_can_start(workspace, name):
    made = plan(workspace, of_recipe("llama_factory", **preset(name)))
    assert made.problems == ()
    assert made.steps > 0


def test_the_published_settings_are_the_published_ones():
    """QLoRA, Dettmers et al. 2023, appendix B and table 9 for 7B and 13B."""
    paper = from_dict({"data": {"train": ["x"]}}, preset("qlora_paper"))
    assert (paper.lora.rank, paper.lora.alpha, paper.lora.dropout) == (64, 16, 0.1)
    assert (paper.optim.learning_rate, paper.optim.max_grad_norm, paper.schedule.kind) == (2e-4, 0.3, "constant")
    assert (paper.batch.global_batch_size, paper.optim.name) == (16, "paged_adamw_32bit")


def test_the_standard_preset_is_what_the_studio_starts_with():
    standard = from_dict({"data": {"train": ["x"]}}, preset("standard_qlora"))
    usual = from_dict({"data": {"train": ["x"]}}, {"lora.alpha": 32, "method.bits": 4})
    assert standard == usual


@pytest.mark.parametrize("name", RECIPES)
def test_a_shipped_recipe_can_start_and_gets_no_advice(workspace, name):
    made = plan(workspace, of_recipe(name))
    assert made.problems == ()
    advice = {each.code for each in made.warnings} - {"plan.no_paging"}  # no advice: what the run does on a processor
    assert advice == ({"plan.low_rate"} if name == "fastchat" else set())  # its rate is that of full fine-tuning


def test_the_chatml_recipe_gives_a_base_model_control_tokens_and_validates_after_each_pass(workspace):
    settings = of_recipe("qlora_chatml")
    assert (settings.model.add_chatml, settings.log.validate_each_epoch) == (True, True)
    assert (settings.lora.rank, settings.lora.alpha, settings.optim.learning_rate) == (64, 16, 2e-4)


def test_flags_win_over_presets_and_presets_over_the_recipe(workspace):
    given = settings_of(workspace, RECIPES["starter"], ["teach_facts", "quick_look"], ["--lora.rank", "5"])
    assert (given.lora.rank, given.lora.alpha) == (5, 128)  # alpha of the first preset, which the second leaves alone
    assert (given.schedule.max_steps, given.schedule.epochs) == (60, 1)
    assert given.optim.learning_rate == load_recipe(RECIPES["starter"]).optim.learning_rate


def test_an_unknown_preset_is_answered_with_the_one_that_was_meant(workspace):
    with pytest.raises(SettingsError, match=r"Did you mean teach_facts\?"):
        settings_of(workspace, Path(RECIPES["starter"]), ["teach_fact"], [])
