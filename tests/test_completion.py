"""Text without a chat format: running text, and questions with answers as text that goes on."""

import json
import shutil
import threading
import time
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from core.data.registry import Registry
from core.models.new_tokens import tokenizer_folder
from core.records import Conversation, Message
from core.render.completion import completion_template
from core.render.tokenizer import ChatTokenizer
from core.runs import events
from core.runs.directory import Run
from core.settings import from_dict
from core.train.prepare import prepare
from core.workspace import Workspace
from tests.bare import build_bare_model
from tests.families import FAMILIES, write
from tests.test_render import chat

TEXTS = ["hello world", " it is sunny. ", "What is the weather\n\nin Paris?", "你好，世界！", "a", "\n"]
WITH_BOS = [name for name, family in FAMILIES.items() if family.puts_bos]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: write(tmp_path_factory.mktemp(name), name) for name in FAMILIES}


@cache
def theirs(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(params=FAMILIES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def completing(folder: Path, tmp_path: Path) -> ChatTokenizer:
    """Return the tokenizer as a run with `data.template` "completion" gets it."""
    chosen = from_dict({"data": {"train": ["x"], "template": "completion"}})
    return ChatTokenizer.load(tokenizer_folder(Workspace.at(tmp_path / "w"), chosen, folder))


def test_running_text_has_the_tokens_that_transformers_gives_it_and_the_stop_token(folders: Any, name: str) -> None:
    tokenizer = ChatTokenizer.load(folders[name])
    for text in TEXTS:
        encoded = tokenizer.encode_text(text)
        assert encoded.ids == [*theirs(folders[name])(text)["input_ids"], tokenizer.stop_ids[0]]
        assert encoded.learnt == [id != tokenizer.bos_id for id in encoded.ids]
        assert (
            encoded.rendered.text
            == ("" if not FAMILIES[name].puts_bos else FAMILIES[name].bos) + text + (tokenizer.stop_tokens[0])
        )


@pytest.mark.parametrize("family", WITH_BOS)
def test_there_is_exactly_one_begin_of_text_token_whatever_somebody_wrote(
    folders: Any, tmp_path: Path, family: str
) -> None:
    bos = FAMILIES[family].bos
    completion = completing(folders[family], tmp_path)
    for tokenizer, ids in (
        (completion, completion.encode_text(f"{bos}hello {bos}").ids),
        (completion, completion.encode(chat(f"{bos}hello", f"Paris{bos}")).ids),
        (completion, completion.prompt_ids((Message("user", bos),))),
    ):
        assert ids[0] == tokenizer.bos_id
        assert ids.count(tokenizer.bos_id) == 1


def test_families_that_put_nothing_first_get_nothing(folders: Any, tmp_path: Path) -> None:
    for family in FAMILIES.keys() - set(WITH_BOS):
        tokenizer = completing(folders[family], tmp_path)
        assert tokenizer.bos_id not in tokenizer.encode_text("hello").ids
        assert tokenizer.bos_id not in tokenizer.encode(chat("hello", "Paris")).ids


def test_a_completion_is_question_line_feed_answer_and_stop(folders: Any, tmp_path: Path, name: str) -> None:
    tokenizer = completing(folders[name], tmp_path)
    first, stop = (FAMILIES[name].bos if FAMILIES[name].puts_bos else ""), tokenizer.stop_tokens[0]
    encoded = tokenizer.encode(chat("Where?", "In Paris.", "When?", "Today.", system="Be kind."))
    assert encoded.rendered.text == f"{first}Be kind.\nWhere?\nIn Paris.{stop}\nWhen?\nToday.{stop}"
    learnt = "".join(encoded.rendered.text[start:end] for start, end in encoded.rendered.spans)
    assert learnt == f"In Paris.{stop}Today.{stop}"
    stops = [number for number, id in enumerate(encoded.ids) if id == tokenizer.stop_ids[0]]
    assert len(stops) == 2
    assert all(encoded.learnt[number] for number in stops)


def test_what_is_asked_later_is_what_was_trained(folders: Any, tmp_path: Path, name: str) -> None:
    tokenizer = completing(folders[name], tmp_path)
    for answer in ("Paris", " Paris", "\nParis", "你好"):
        conversation = chat("Which city?", answer, system="Be kind.")
        prompt = tokenizer.prompt_ids(conversation.question)
        whole = tokenizer.encode(conversation)
        assert whole.ids[: len(prompt)] == prompt
        assert not any(whole.learnt[: len(prompt)])
        assert all(whole.learnt[len(prompt) :])


def test_control_tokens_that_somebody_wrote_stay_ordinary_text(folders: Any, tmp_path: Path, name: str) -> None:
    tokenizer = completing(folders[name], tmp_path)
    dirty = "".join(FAMILIES[name].control)
    clean = tokenizer.encode(chat("hello", "Paris")).ids
    control = {id for id in clean if tokenizer.is_control(id, tokenizer.decode([id], skip_control=False))}
    ids = tokenizer.encode(chat(f"hello{dirty}", f"{dirty}Paris")).ids
    found = [id for id in ids if tokenizer.decode([id], skip_control=False).strip() in FAMILIES[name].control]
    assert set(found) <= control
    assert len(found) == (2 if FAMILIES[name].puts_bos else 1)  # begin of text, and the stop


def test_other_programs_write_the_same_prompt_from_the_saved_template(folders: Any, tmp_path: Path, name: str) -> None:
    from transformers import AutoTokenizer

    chosen = from_dict({"data": {"train": ["x"], "template": "completion"}})
    folder = tokenizer_folder(Workspace.at(tmp_path / "w"), chosen, folders[name])
    conversation = Conversation(
        (Message("system", "Be kind."), Message("user", "Where?"), Message("assistant", "Here."))
    )
    messages = [message.to_dict() for message in conversation.messages]
    made = AutoTokenizer.from_pretrained(folder).apply_chat_template(
        messages, return_dict=True, return_assistant_tokens_mask=True
    )
    example = ChatTokenizer.load(folder).example(conversation)
    assert made["input_ids"] == example.input_ids
    assert made["assistant_masks"] == [int(label >= 0) for label in example.labels]


def test_a_model_without_a_template_completes(tmp_path: Path) -> None:
    folder = write(tmp_path, "qwen2_5")
    (folder / "chat_template.jinja").unlink()
    text = (folder / "tokenizer.json").read_text().replace("<|im_start|>", "<|other|>")
    (folder / "tokenizer.json").write_text(text)
    tokenizer = ChatTokenizer.load(folder)
    assert tokenizer.template_source == "none"
    assert "set stop" in completion_template(tokenizer)
    assert completing(folder, tmp_path).encode(chat("hello", "Paris")).rendered.text == "hello\nParis<|im_end|>"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace.at(tmp_path / "workspace")
    build_bare_model(workspace.models / "bare")
    rows = [{"instruction": f"Which number is {n}?", "output": f"The number {n}."} for n in range(60)]
    (tmp_path / "facts.json").write_text(json.dumps(rows))
    (tmp_path / "book.jsonl").write_text(
        "\n".join(json.dumps({"text": f"Page {n} of a book. " * 9}) for n in range(60))
    )
    for name in ("facts.json", "book.jsonl"):
        Registry(workspace).add(tmp_path / name)
    return workspace


def prepared(workspace: Workspace, add_chatml: bool = False, **data: Any) -> Run:
    chosen = from_dict(
        {
            "model": {"path": "models/bare", "add_chatml": add_chatml},
            "data": {"accept_warnings": True, **data},
            "method": {"name": "lora"},
            "schedule": {"max_steps": 2},
            "batch": {"cutoff_len": 100},
        }
    )
    return prepare(workspace, chosen)


def trained(workspace: Workspace, **data: Any) -> Run:
    from core.train.worker import work as train

    run = prepared(workspace, **data)
    train(run.path)
    assert run.status == "finished"
    return run


def test_a_run_that_learnt_completions_is_asked_as_it_learnt(workspace: Workspace) -> None:
    run = trained(workspace, train=["facts"], template="completion")
    asked = ChatTokenizer.load(run.require_adapter())  # as Evaluate and Chat do
    ids = asked.prompt_ids((Message("user", "Which number is 7?"),))
    assert asked.decode(ids, skip_control=False) == "Which number is 7?\n"
    learnt = completing(workspace.models / "bare", workspace.root).example(chat("Which number is 7?", "The number 7."))
    assert learnt.input_ids[: len(ids)] == ids
    assert all(label < 0 for label in learnt.labels[: len(ids)])
    assert all(label >= 0 for label in learnt.labels[len(ids) :])


def test_running_text_trains_a_model_without_a_template_in_pieces(workspace: Workspace) -> None:
    run = trained(workspace, train=["book"])
    told, _ = events.read_from(run.log)
    started = next(each for each in told if isinstance(each, events.RunStarted))
    assert started.examples + started.validation_examples == 120  # 171 to 180 letters and the end, in pieces of 100
    assert started.dropped == 0
    split = next(each for each in told if isinstance(each, events.Warned) and each.code == "plan.split_texts")
    assert split.values["texts"] == 60
    assert any(isinstance(each, events.Phase) and each.name == "training" for each in told)
    assert not (run.require_adapter() / "chat_template.jinja").exists()


@pytest.mark.parametrize(("template", "add_chatml"), [("completion", False), ("chat", True)])
def test_what_is_learnt_is_saved_although_the_cache_is_cleared_meanwhile(
    workspace: Workspace, template: str, add_chatml: bool
) -> None:
    from core.train.worker import work as train

    run = prepared(workspace, add_chatml, train=["facts"], template=template)
    expected = ChatTokenizer.load(tokenizer_folder(workspace, run.settings, workspace.models / "bare")).template

    def clear() -> None:
        while not (run.log.is_file() and '"loading_model"' in run.log.read_text()):
            time.sleep(0.005)
        shutil.rmtree(workspace.cache)

    clearing = threading.Thread(target=clear, daemon=True)
    clearing.start()
    train(run.path)
    clearing.join(timeout=10)
    assert not workspace.cache.exists()
    assert run.status == "finished"
    assert ChatTokenizer.load(run.path / "final").template == expected
