"""Settings: what is refused and how, and that a recipe means the same everywhere."""

import math

import pytest
import yaml

from core.errors import SettingsError
from core.settings import fields, from_dict, load_recipe, to_yaml
from core.workspace import SAMPLES

DATA = {"data": {"train": ["identity"]}}
ISSUE_RECIPE = """
model: {path: data/starter}
data: {train: [identity, desk, general], test: [desk_test, general_test]}
prompt: {name: none}
method: {name: qlora}
lora: {rank: 16}
optim: {learning_rate: 2e-4}
schedule: {epochs: 3, max_steps: null}
batch: {global_batch_size: 8, cutoff_len: 1024}
checkpoint: {every_steps: 50}
seed: 7
"""


def codes(error: SettingsError) -> list[tuple[str, str]]:
    return [(each.where, each.code) for each in error.problems]


def test_a_recipe_is_read_and_2e_4_is_a_number(tmp_path):
    file = tmp_path / "recipe.yaml"
    file.write_text(ISSUE_RECIPE)
    settings = load_recipe(file)
    assert settings.optim.learning_rate == 0.0002
    assert settings.data.train == ["identity", "desk", "general"]


def test_the_recipe_written_back_gives_the_same_settings(tmp_path):
    settings = from_dict({**DATA, "lora": {"rank": 5}, "prompt": {"blanks": {"name": "小明"}}})
    file = tmp_path / "again.yaml"
    file.write_text(to_yaml(settings), encoding="utf-8")
    assert load_recipe(file) == settings


def test_the_shipped_recipes_are_valid():
    recipes = list((SAMPLES / "recipes").glob("*.yaml"))
    assert recipes
    for recipe in recipes:
        load_recipe(recipe)


def test_flags_win_over_the_recipe(tmp_path):
    file = tmp_path / "recipe.yaml"
    file.write_text(ISSUE_RECIPE)
    settings = load_recipe(file, {"lora.rank": "32", "data.train": "a, b", "seed": "9", "prompt.blanks.name": "Lumen"})
    assert (settings.lora.rank, settings.data.train, settings.seed) == (32, ["a", "b"], 9)
    assert settings.prompt.blanks == {"name": "Lumen"}


def test_all_problems_are_told_at_once():
    with pytest.raises(SettingsError) as caught:
        from_dict({"optim": {"learning_rate": 0}, "lora": {"rnk": 3}, "method": {"name": "magic"}})
    assert codes(caught.value) == [
        ("data", "settings.missing"),
        ("method.name", "settings.not_a_choice"),
        ("lora.rnk", "settings.unknown_close"),
        ("optim.learning_rate", "settings.out_of_range"),
    ]


@pytest.mark.parametrize("wrong", ["lora.rnk", "optim.learningrate", "rank"])
def test_an_unknown_setting_is_answered_with_the_one_that_was_meant(wrong):
    with pytest.raises(SettingsError, match=r"Did you mean (lora\.rank|optim\.learning_rate)\?"):
        from_dict(DATA, {wrong: "3"})


@pytest.mark.parametrize("value", [0, -1e-4, "0", 2, math.inf, math.nan, "nan", "quick"])
def test_a_learning_rate_that_cannot_train_is_refused(value):
    with pytest.raises(SettingsError) as caught:
        from_dict(DATA, {"optim.learning_rate": value})
    assert caught.value.problems[0].where == "optim.learning_rate"


def test_a_range_says_whether_its_end_is_allowed():
    with pytest.raises(SettingsError, match="> 0, ≤ 1"):
        from_dict(DATA, {"optim.learning_rate": 0})


def test_batch_sizes_that_do_not_divide_are_refused():
    with pytest.raises(SettingsError, match="8 is not a multiple of 3"):
        from_dict(DATA, {"batch.micro_batch_size": 3})


@pytest.mark.parametrize(
    ("text", "words"),
    [("a: [1", "not valid YAML"), ("- 1\n- 2", "holds a list"), ("", "missing"), ("data: 5", "cannot be used")],
)
def test_a_file_that_is_no_recipe_is_told_in_words(tmp_path, text, words):
    file = tmp_path / "recipe.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=words):
        load_recipe(file)


def test_a_recipe_that_is_not_there_is_told_in_words(tmp_path):
    with pytest.raises(SettingsError, match=r"none\.yaml does not exist"):
        load_recipe(tmp_path / "none.yaml")


def test_every_setting_has_its_default_in_the_table():
    table = {row.path: row for row in fields()}
    settings = yaml.safe_load(to_yaml(from_dict(DATA)))
    flat = {f"{group}.{name}": value for group, values in settings.items() if isinstance(values, dict)
            for name, value in values.items()}  # fmt: skip
    flat |= {name: value for name, value in settings.items() if not isinstance(value, dict)}
    assert {path: row.default for path, row in table.items() if not row.required} == {
        path: value for path, value in flat.items() if path != "data.train"
    }


def test_a_group_with_nothing_under_it_takes_flags():
    assert from_dict({**DATA, "lora": None}, {"lora.rank": "32"}).lora.rank == 32


def test_a_flag_can_empty_a_setting_that_may_be_empty():
    assert from_dict({**DATA, "schedule": {"max_steps": 5}}, {"schedule.max_steps": "null"}).schedule.max_steps is None


@pytest.mark.parametrize("path", ["lora.rank.x", "data.train.0", "seed.x"])
def test_a_flag_below_a_value_is_unknown(path):
    with pytest.raises(SettingsError, match="no setting of this name"):
        from_dict({"data": {"train": ["a"]}, "lora": {"rank": 4}, "seed": 3}, {path: "3"})


def test_weights_are_given_by_name_and_have_bounds():
    settings = from_dict(DATA, {"data.weights.identity": "4", "data.balance": "0.5", "data.accept_warnings": "true"})
    assert settings.data.weights == {"identity": 4.0}
    assert (settings.data.balance, settings.data.accept_warnings) == (0.5, True)
    for value, bound in (("0", "> 0"), ("-1", "> 0"), ("101", "≤ 100")):
        with pytest.raises(SettingsError, match=bound) as caught:
            from_dict(DATA, {"data.weights.identity": value})
        assert codes(caught.value) == [("data.weights.identity", "settings.out_of_range")]
