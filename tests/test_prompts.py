"""System prompts: built-ins, versions that never change, blanks."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core.errors import PathError, SettingsError
from core.prompts.store import PromptStore, built_ins
from core.workspace import Workspace


@pytest.fixture
def store(tmp_path: Path) -> PromptStore:
    return PromptStore(Workspace.at(tmp_path))


def test_none_is_no_text_at_all(store: PromptStore) -> None:
    prompt = store.get("none")
    assert (prompt.name, prompt.version, prompt.text, prompt.sha256) == ("none", 1, None, "")
    assert store.versions("none") == [1]


def test_the_built_ins_are_there_in_both_languages(store: PromptStore) -> None:
    assert store.names() == ["none", "assistant", "identity", "assistant_zh", "identity_zh"]
    assert store.get("assistant").text == "You are a helpful assistant."
    blanks = {"name": "Lumen", "author": "Ada"}
    assert store.get("identity", blanks=blanks).text == "You are Lumen, made by Ada."
    assert store.get("identity_zh", blanks=blanks).text == "你是Lumen，由Ada开发。"


def test_the_hash_is_over_the_filled_text(store: PromptStore) -> None:
    prompt = store.get("identity", blanks={"name": "Lumen", "author": "Ada"})
    assert prompt.sha256 == hashlib.sha256(b"You are Lumen, made by Ada.").hexdigest()
    assert store.raw("identity").text == "You are {{name}}, made by {{author}}."


@pytest.mark.parametrize("blanks", [None, {}, {"name": "Lumen"}, {"name": "Lumen", "author": " "}])
def test_an_unfilled_blank_is_an_error_that_names_it(store: PromptStore, blanks: dict[str, str] | None) -> None:
    with pytest.raises(SettingsError, match="author") as caught:
        store.get("identity", blanks=blanks)
    assert caught.value.problems[0].code == "prompt.unfilled_blank"


def test_saving_makes_a_new_version_and_leaves_the_old_ones(store: PromptStore) -> None:
    first = store.save("mine", "One\r\n {{x}} \n")
    second = store.save("mine", "Two")
    assert (first.version, second.version, store.versions("mine")) == (1, 2, [1, 2])
    assert store.raw("mine", 1).text == "One\r\n {{x}} \n", "verbatim"
    assert store.get("mine").text == "Two"
    assert store.names()[-1] == "mine"


def test_saving_the_same_text_again_makes_no_version(store: PromptStore) -> None:
    assert store.save("mine", "One") == store.save("mine", "One")
    assert store.save("assistant", "You are a helpful assistant.").version == 1
    store.save("mine", "Two")
    assert store.save("mine", "One").version == 3, "only the newest version counts as unchanged"


def test_saving_under_a_built_in_name_makes_version_two(store: PromptStore) -> None:
    assert store.save("assistant", "Be brief.").version == 2
    assert store.get("assistant").text == "Be brief."
    assert store.get("assistant", 1).text == built_ins()["assistant"]
    assert store.names().count("assistant") == 1


def test_two_who_save_at_once_lose_nothing(store: PromptStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: store.save("mine", f"text {number}"), range(40)))
    assert store.versions("mine") == list(range(1, 41))
    assert {store.raw("mine", version).text for version in range(1, 41)} == {f"text {number}" for number in range(40)}


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "a\0b", "/etc/passwd"])
def test_a_name_cannot_lead_elsewhere(store: PromptStore, name: str) -> None:
    for use in (store.get, store.versions, lambda each: store.save(each, "text")):
        with pytest.raises(PathError):
            use(name)


@pytest.mark.parametrize(
    ("use", "code"),
    [
        (lambda store: store.get("asistant"), "prompt.unknown_close"),
        (lambda store: store.get("zzzzz"), "prompt.unknown"),
        (lambda store: store.get("assistant", 7), "prompt.no_version"),
        (lambda store: store.save("none", "text"), "prompt.none_is_fixed"),
        (lambda store: store.save("mine", " \n"), "prompt.empty"),
    ],
)
def test_what_cannot_be_done_is_said_in_both_languages(store: PromptStore, use, code: str) -> None:
    with pytest.raises(SettingsError) as caught:
        use(store)
    assert caught.value.problems[0].code == code
    assert caught.value.say("en") != caught.value.say("zh")
