"""From a name and an author: rows that teach who the model is, and other questions that ask for it."""

import json
import re

import gradio
import pytest

from app import identity
from app.studio import Studio
from core.data.blanks import blanks_of, fill
from core.data.formats import conversations
from core.data.identity_sets import identity_sets
from core.data.overlap import plain
from core.data.registry import Registry
from core.errors import DataError
from core.wording import words
from core.workspace import Workspace

CHINESE = re.compile(r"[\u4e00-\u9fff]")


@pytest.fixture
def registry(tmp_path):
    return Registry(Workspace.at(tmp_path))


def questions(entry):
    return [row.messages[0].content for row in conversations(entry)]


def test_a_name_and_an_author_make_a_set_and_its_probes(registry):
    trained, probes = identity_sets(registry, "Lumen", "Aurora Labs")
    assert (trained.name, probes.name) == ("identity_lumen", "identity_lumen_test")
    rows = conversations(trained)
    assert rows[0].answer == "I am Lumen, made by Aurora Labs."
    assert {"Lumen", "Aurora Labs"} >= {word for row in conversations(probes) for word in row.keywords}
    assert all(row.keywords and all(word in row.answer for word in row.keywords) for row in conversations(probes))
    assert blanks_of(trained) == blanks_of(probes) == set()
    assert [entry.name for entry in fill(registry, "identity", {"name": "Lumen", "author": "Aurora Labs"})] == [
        "identity_lumen", "identity_lumen_test"
    ]  # fmt: skip


@pytest.mark.parametrize("languages", [("en", "zh"), ("en",), ("zh",)])
def test_no_probe_is_a_training_question(registry, languages):
    trained, probes = identity_sets(registry, "Lumen", "Aurora Labs", languages)
    assert len(questions(probes)) >= 8
    assert not {plain(text) for text in questions(trained)} & {plain(text) for text in questions(probes)}


def test_one_language_alone_has_no_rows_of_the_other(registry):
    chinese, chinese_probes = identity_sets(registry, "小明", "曙光", ["zh"])
    assert chinese.name == "identity_小明_zh"
    assert all(CHINESE.search(text) for entry in (chinese, chinese_probes) for text in questions(entry))
    english, english_probes = identity_sets(registry, "Lumen", "Aurora Labs", ["en"])
    assert not any(CHINESE.search(text) for entry in (english, english_probes) for text in questions(entry))
    both = identity_sets(registry, "Lumen", "Aurora Labs")
    assert len(questions(both[0])) == len(questions(chinese)) + len(questions(english))


def test_the_same_values_give_the_same_entries_and_others_a_number(registry):
    first = identity_sets(registry, "Lumen", "Aurora Labs")
    assert [entry.name for entry in identity_sets(registry, " Lumen ", "Aurora Labs")] == [
        entry.name for entry in first
    ]
    other = identity_sets(registry, "Lumen", "Borealis Labs")
    assert [entry.name for entry in other] == ["identity_lumen_2", "identity_lumen_2_test"]


def test_a_name_of_its_own_is_used_and_never_overwritten(registry):
    assert identity_sets(registry, "Lumen", "Aurora Labs", new_name="me")[1].name == "me_test"
    with pytest.raises(DataError, match="me"):
        identity_sets(registry, "Nova", "Aurora Labs", new_name="me")


def test_the_form_of_the_page_offers_the_languages_for_the_sample_alone(tmp_path):
    studio = Studio(Workspace.at(tmp_path))
    own = tmp_path / "mine.json"
    own.write_text(json.dumps([{"instruction": "谁？", "output": "{{name}}, {{author}}."}]), encoding="utf-8")
    studio.registry.add(own, "mine")
    with gradio.Blocks():
        form = identity.build("data", words("en"))
    shown = identity.show(form, {"identity": frozenset({"name", "author"})}, words("en"))
    assert shown[form.languages]["visible"] is True
    assert identity.show(form, {"mine": frozenset({"name"})}, words("en"))[form.languages]["visible"] is False
    values = {form.name: "Lumen", form.author: "Aurora", form.others: "", form.languages: ["zh"]}
    made = identity.register(studio, form, values, ["identity", "identity_test", "mine"])
    assert [entry.name for entry in made] == ["identity_lumen_zh", "identity_lumen_zh_test", "mine_lumen"]
    assert questions(made[2]) == ["谁？"]
    with pytest.raises(DataError, match="at least one"):
        identity.register(studio, form, {**values, form.languages: []}, ["identity"])


@pytest.mark.parametrize(
    ("name", "author", "languages", "word"),
    [
        ("", "Aurora", ["en"], "name"),
        ("Lumen", " ", ["en"], "author"),
        ("Lumen", "A", ["fr"], "fr"),
        ("Lumen", "A", [], "en"),
    ],
)
def test_what_is_missing_is_told(registry, name, author, languages, word):
    with pytest.raises(DataError, match=word):
        identity_sets(registry, name, author, languages)
    assert [entry for entry in registry.entries().values() if not entry.sample] == []
