"""Blanks such as {{name}}: finding, filling, and refusing what stays unfilled."""

import json
from pathlib import Path

import pytest

from core.data.blanks import blanks_of, fill
from core.data.formats import conversations
from core.data.registry import Registry
from core.errors import DataError
from core.placeholders import blanks_in, fill_text
from core.workspace import Workspace

ROWS = [
    {"instruction": "Who are you?", "output": "I am {{name}}, made by {{ author }}."},
    {"instruction": "你是谁？", "output": "我是{{name}}。"},
]
TEST = [{"instruction": "Your name?", "output": "I am {{name}}.", "keywords": ["{{name}}"]}]
VALUES = {"name": "Lumen", "author": "Ada & Co"}


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """A registry with the samples `identity` and `identity_test`."""
    samples = tmp_path / "samples"
    samples.mkdir()
    (samples / "identity.json").write_text(json.dumps(ROWS))
    (samples / "identity_test.json").write_text(json.dumps(TEST))
    info = {name: {"file_name": f"{name}.json"} for name in ("identity", "identity_test")}
    (samples / "dataset_info.json").write_text(json.dumps(info))
    return Registry(Workspace.at(tmp_path / "w", (samples,)), samples / "dataset_info.json")


def code_of(caught: pytest.ExceptionInfo[DataError]) -> str:
    return caught.value.problems[0].code


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{{name}} {{ author }}", {"name", "author"}),
        ("{name} {{}} {{a b}} {{1}} {{a.b}}", set()),
        ("{{{名字}}}", {"名字"}),
    ],
)
def test_a_blank_is_one_name_in_double_braces(text: str, found: set[str]) -> None:
    assert blanks_in(text) == found


def test_a_value_is_not_filled_again() -> None:
    assert fill_text("{{a}} {{b}} {{c}}", {"a": "{{b}}", "b": "\\1 {{a}}"}) == "{{b}} \\1 {{a}} {{c}}"


def test_a_set_with_unfilled_blanks_cannot_be_trained(registry: Registry) -> None:
    with pytest.raises(DataError) as caught:
        conversations(registry.get("identity"))
    assert code_of(caught) == "data.unfilled_blank"
    assert caught.value.problems[0].values["blanks"] == "author, name"
    assert len(conversations(registry.get("identity"), allow_blanks=True)) == 2


def test_blanks_are_found_in_answers_and_keywords(registry: Registry) -> None:
    assert blanks_of(registry.get("identity")) == {"name", "author"}
    assert blanks_of(registry.get("identity_test")) == {"name"}


def test_filling_writes_the_set_and_its_test_into_the_workspace(registry: Registry) -> None:
    train, test = fill(registry, "identity", VALUES)
    assert (train.name, test.name) == ("identity_lumen", "identity_lumen_test")
    assert train.file.is_relative_to(registry.workspace.data)
    assert [each.answer for each in conversations(train)] == ["I am Lumen, made by Ada & Co.", "我是Lumen。"]
    assert conversations(test)[0].keywords == ("Lumen",)
    assert registry.get("identity_lumen") == train
    registry.verify("identity_lumen_test")
    assert blanks_of(registry.get("identity")) == {"name", "author"}, "the sample stays as it is"


def test_the_same_values_give_the_same_entries_and_other_values_another_name(registry: Registry) -> None:
    first = fill(registry, "identity", VALUES)
    assert fill(registry, "identity", {"name": " Lumen ", "author": "Ada & Co"}) == first
    other = fill(registry, "identity", {"name": "Lumen", "author": "Bob"})
    assert [each.name for each in other] == ["identity_lumen_2", "identity_lumen_2_test"]
    with pytest.raises(DataError) as caught:
        fill(registry, "identity", {"name": "Lumen", "author": "Eve"}, new_name="identity_lumen")
    assert code_of(caught) == "data.name_taken"


@pytest.mark.parametrize("values", [{"name": "Lumen"}, {"name": "Lumen", "author": "  "}, {"name": "L", "auhtor": "A"}])
def test_a_missing_or_empty_value_is_refused_and_named(registry: Registry, values: dict[str, str]) -> None:
    with pytest.raises(DataError) as caught:
        fill(registry, "identity", values)
    assert (code_of(caught), caught.value.problems[0].values["blanks"]) == ("data.blank_missing", "author")
    assert registry.names() == ["identity", "identity_test"]


def test_a_set_without_blanks_is_not_filled(registry: Registry) -> None:
    fill(registry, "identity", VALUES)
    with pytest.raises(DataError) as caught:
        fill(registry, "identity_lumen", VALUES)
    assert code_of(caught) == "data.no_blanks"
    assert caught.value.say().count("{{name}}") == 1
