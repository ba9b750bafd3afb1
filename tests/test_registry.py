"""The registry: LLaMA-Factory's schema, adding under a lock, SHA-1s, and files that must stay inside."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from core.data.folders import add_folder
from core.data.formats import conversations
from core.data.registry import Registry
from core.errors import DataError, PathError, StudioError
from core.workspace import Workspace

ROWS = [{"instruction": "q", "output": "a"}]
CHAT = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
SHARED = [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    samples = tmp_path / "samples"
    (samples / "data").mkdir(parents=True)
    (samples / "data" / "desk.json").write_text(json.dumps(ROWS))
    sha1 = hashlib.sha1((samples / "data" / "desk.json").read_bytes()).hexdigest()
    (samples / "dataset_info.json").write_text(json.dumps({"desk": {"file_name": "desk.json", "file_sha1": sha1}}))
    return Workspace.at(tmp_path / "w", (samples,))


@pytest.fixture
def registry(workspace: Workspace) -> Registry:
    return Registry(workspace, workspace.allow[0] / "dataset_info.json")


def write(file: Path, rows: Any) -> Path:
    file.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    return file


def register(registry: Registry, **entries: Any) -> None:
    """Write the person's dataset_info.json by hand, as LLaMA-Factory's users do."""
    write(registry.workspace.root / "dataset_info.json", entries)


def own(registry: Registry) -> dict[str, Any]:
    return json.loads((registry.workspace.root / "dataset_info.json").read_text(encoding="utf-8"))


def code_of(call: Any, *arguments: Any, **options: Any) -> str:
    with pytest.raises(StudioError) as caught:
        call(*arguments, **options)
    assert caught.value.say("en") != caught.value.say("zh")
    return caught.value.problems[0].code


def test_samples_and_own_sets_are_listed_and_own_ones_win(registry: Registry) -> None:
    write(registry.workspace.root / "mine.json", ROWS)
    register(registry, mine={"file_name": "mine.json"}, desk={"file_name": "mine.json"})
    assert registry.names() == ["desk", "mine"]
    assert (registry.get("desk").sample, registry.get("desk").file.name) == (False, "mine.json")


def test_a_sample_is_found_in_the_data_folder_beside_its_registry(registry: Registry) -> None:
    assert registry.get("desk").sample
    registry.verify("desk")
    assert conversations(registry.get("desk"))[0].answer == "a"


def test_an_entry_of_llama_factory_works_unchanged(registry: Registry) -> None:
    write(registry.workspace.data / "chat.json", [{"talk": SHARED, "system": "s"}])
    entry = {"file_name": "chat.json", "formatting": "sharegpt", "columns": {"messages": "talk"}, "split": "train"}
    register(registry, chat=entry)
    found = registry.get("chat")
    assert (found.columns["messages"], found.columns["system"], found.tags["user_tag"]) == ("talk", "", "human")
    assert [message.role for message in conversations(found)[0].messages] == ["user", "assistant"]


@pytest.mark.parametrize(
    "entry",
    [
        {"hf_hub_url": "org/name"},
        {"script_url": "x.py", "file_name": "mine.json"},
        {"file_name": "mine.json", "ranking": True},
        {"file_name": "mine.json", "columns": {"images": "images"}},
    ],
)
def test_what_is_not_supported_is_listed_and_said_when_used(registry: Registry, entry: dict[str, Any]) -> None:
    register(registry, mine=entry)
    assert registry.names() == ["desk", "mine"]
    assert code_of(registry.get, "mine") == "data.unsupported_entry"


@pytest.mark.parametrize(
    "entry", [{}, [], {"file_name": 3}, {"file_name": "x", "formatting": "pt"}, {"file_name": "x", "columns": 1}]
)
def test_a_malformed_entry_spoils_only_itself(registry: Registry, entry: Any) -> None:
    register(registry, mine=entry)
    assert registry.get("desk")
    assert code_of(registry.get, "mine") == "data.bad_entry"


@pytest.mark.parametrize(
    "file_name", ["../outside.json", "/etc/passwd", "data/../../outside.json", "link.json", "a\0b"]
)
def test_a_file_must_stay_inside(registry: Registry, file_name: str) -> None:
    outside = write(registry.workspace.root.parent / "outside.json", ROWS)
    (registry.workspace.root / "link.json").symlink_to(outside)
    register(registry, mine={"file_name": file_name})
    assert "mine" in registry.names()
    with pytest.raises(PathError):
        registry.get("mine")


def test_unknown_names_missing_files_and_a_broken_registry_are_told(registry: Registry) -> None:
    register(registry, mine={"file_name": "gone.json"})
    assert code_of(registry.get, "dsek") == "data.unknown_close"
    assert code_of(registry.get, "zzzzzz") == "data.unknown"
    assert code_of(registry.get, "mine") == "data.file_missing"
    (registry.workspace.root / "dataset_info.json").write_text('{\n"a": {},\n"a": {}}')
    assert code_of(registry.names) == "data.key_twice"
    (registry.workspace.root / "dataset_info.json").write_text('{\n"a": {,}')
    with pytest.raises(DataError, match=r"dataset_info\.json:2"):
        registry.names()


@pytest.mark.parametrize(
    ("row", "formatting", "columns"),
    [
        ({"instruction": "q", "input": "", "output": "a"}, "alpaca", {}),
        ({"prompt": "q", "response": "a"}, "alpaca", {"prompt": "prompt", "response": "response"}),
        ({"question": "q", "answer": "a"}, "alpaca", {"prompt": "question", "response": "answer"}),
        ({"messages": CHAT}, "sharegpt", {"messages": "messages"}),
        ({"conversations": SHARED}, "sharegpt", {}),
        ({"conversations": [{"from": "user", "value": "q"}, {"from": "assistant", "value": "a"}]}, "sharegpt", {}),
    ],
)
def test_formatting_and_columns_are_told_from_the_rows(
    registry: Registry, tmp_path: Path, row: dict[str, Any], formatting: str, columns: dict[str, str]
) -> None:
    entry = registry.add(write(tmp_path / "My File.json", [row]))
    assert (entry.name, entry.formatting, own(registry)["my_file"].get("columns", {})) == (
        "my_file",
        formatting,
        columns,
    )
    assert [(m.role, m.content) for m in conversations(entry)[0].messages] == [("user", "q"), ("assistant", "a")]


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({"frage": "q", "antwort": "a"}, "data.unknown_columns"),
        ({"question": "q", "answer": "a", "prompt": "q", "response": "a"}, "data.ambiguous"),
        ({"instruction": "q", "output": "a", "messages": CHAT}, "data.ambiguous"),
    ],
)
def test_columns_that_cannot_be_told_are_asked_for(registry: Registry, tmp_path: Path, row: dict, code: str) -> None:
    file = write(tmp_path / "mine.json", [row])
    assert code_of(registry.add, file) == code
    question, answer = list(row)[:2]
    entry = registry.add(file, columns={"prompt": question, "response": answer})
    assert conversations(entry)[0].answer == "a"


def test_adding_copies_the_file_and_records_its_sha1(registry: Registry, tmp_path: Path) -> None:
    file = write(tmp_path / "mine.json", ROWS)
    entry = registry.add(file, "Meine Daten", description="for trying")
    assert entry.sha1 == hashlib.sha1(file.read_bytes()).hexdigest()
    assert entry.file == registry.workspace.data / "Meine Daten.json"
    assert entry.description == "for trying"
    assert file.exists()
    assert [each.name for each in registry.workspace.data.iterdir()] == ["Meine Daten.json"], (
        "nothing else is left there"
    )


def test_a_file_that_lies_in_the_workspace_is_not_copied(registry: Registry) -> None:
    entry = registry.add(write(registry.workspace.data / "mine.json", ROWS), "other")
    assert [each.name for each in registry.workspace.data.iterdir()] == ["mine.json"]
    assert entry.file.name == "mine.json"


def test_the_same_content_may_be_added_again_and_other_content_needs_another_name(
    registry: Registry, tmp_path: Path
) -> None:
    file = write(tmp_path / "mine.json", ROWS)
    assert registry.add(file) == registry.add(file)
    write(file, ROWS * 2)
    assert code_of(registry.add, file) == "data.name_taken"
    assert len(conversations(registry.get("mine"))) == 1
    assert code_of(registry.add, file, "desk") == "data.is_sample"


@pytest.mark.parametrize("content", ["", "[", '[{"instruction": "q", "output": ""}]', '[{"instruction": "q"}]'])
def test_a_broken_file_is_refused_before_anything_is_registered(
    registry: Registry, tmp_path: Path, content: str
) -> None:
    file = tmp_path / "mine.json"
    file.write_text(content)
    with pytest.raises(DataError):
        registry.add(file)
    assert registry.names() == ["desk"]
    assert list(registry.workspace.data.iterdir()) == []


@pytest.mark.parametrize("name", ["../x", "a/b", ".x"])
def test_a_name_cannot_lead_elsewhere(registry: Registry, tmp_path: Path, name: str) -> None:
    with pytest.raises(PathError):
        registry.add(write(tmp_path / "mine.json", ROWS), name)


def test_what_is_given_goes_before_what_is_told_from_the_rows(registry: Registry, tmp_path: Path) -> None:
    both = {"instruction": "q", "output": "a", "messages": [*CHAT, *CHAT], "must": ["a"]}
    file = write(tmp_path / "mine.json", [both])
    plain = registry.add(file, "plain", formatting="alpaca", columns={"keywords": "must"})
    assert (len(conversations(plain)[0].messages), conversations(plain)[0].keywords) == (2, ("a",))
    assert len(conversations(registry.add(file, "chat", formatting="sharegpt"))[0].messages) == 4
    assert code_of(registry.add, file, "other", formatting="parquet") == "data.bad_entry"


def test_an_unknown_column_key_is_told(registry: Registry, tmp_path: Path) -> None:
    assert code_of(registry.add, write(tmp_path / "a.json", ROWS), columns={"answer": "x"}) == "data.bad_entry"


def test_a_changed_file_is_told_with_both_hashes_and_can_be_accepted(registry: Registry, tmp_path: Path) -> None:
    entry = registry.add(write(tmp_path / "mine.json", ROWS))
    write(entry.file, ROWS * 2)
    with pytest.raises(DataError) as caught:
        registry.verify("mine")
    new = hashlib.sha1(entry.file.read_bytes()).hexdigest()
    assert caught.value.problems[0].code == "data.changed"
    assert entry.sha1 in caught.value.say()
    assert new in caught.value.say()
    assert registry.accept("mine").sha1 == new
    registry.verify("mine")
    (before,) = own(registry)["mine"]["history"]
    assert (before["file_sha1"], before["replaced"][:2]) == (entry.sha1, "20")


def test_a_changed_sample_is_told_and_cannot_be_accepted(registry: Registry) -> None:
    write(registry.get("desk").file, ROWS * 2)
    assert code_of(registry.verify, "desk") == "data.changed"
    assert code_of(registry.accept, "desk") == "data.sample_is_fixed"


def test_an_older_entry_without_sha1_gets_one_and_keeps_its_unknown_keys(registry: Registry) -> None:
    file = write(registry.workspace.root / "mine.json", ROWS)
    register(registry, mine={"file_name": "mine.json", "licence": "MIT"}, other={"hf_hub_url": "a/b"})
    registry.verify("mine")
    sha1 = hashlib.sha1(file.read_bytes()).hexdigest()
    assert own(registry) == {
        "mine": {"file_name": "mine.json", "licence": "MIT", "file_sha1": sha1},
        "other": {"hf_hub_url": "a/b"},
    }


def test_removing_moves_the_file_to_the_trash_unless_another_set_needs_it(registry: Registry) -> None:
    file = write(registry.workspace.data / "mine.json", ROWS)
    registry.add(file, "one")
    registry.add(file, "two")
    registry.remove("one")
    assert file.exists()
    registry.remove("two")
    assert registry.names() == ["desk"]
    assert not file.exists()
    assert [each.name for each in registry.workspace.trash.glob("*/mine.json")] == ["mine.json"]
    assert code_of(registry.remove, "desk") == "data.is_sample"
    assert code_of(registry.remove, "one") == "data.unknown"


def test_processes_that_add_at_once_lose_nothing(registry: Registry, tmp_path: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom core.data.registry import Registry\n"
        "from core.workspace import Workspace\n"
        "registry = Registry(Workspace.at(sys.argv[1]))\n"
        "for number in range(10):\n    registry.add(Path(sys.argv[2]), f'{sys.argv[3]}{number}')\n"
    )
    file = write(tmp_path / "mine.json", ROWS)
    command = [sys.executable, "-c", program, str(registry.workspace.root), str(file)]
    project = Path(__file__).parent.parent
    workers = [subprocess.Popen([*command, letter], cwd=project) for letter in "abc"]
    assert [worker.wait(60) for worker in workers] == [0, 0, 0]
    assert set(own(registry)) == {f"{letter}{number}" for letter in "abc" for number in range(10)}
    assert len([each for each in registry.workspace.data.iterdir() if each.suffix == ".json"]) == 30
    assert not [
        each
        for each in registry.workspace.root.iterdir()
        if each.name.startswith(".dataset_info.json.") and each.suffix != ".lock"
    ]


@pytest.mark.parametrize("name", ["../../outside", "a/b", ".hidden", ""])
def test_a_name_that_is_a_path_makes_an_entry_unusable_but_can_be_changed(registry: Registry, name: str) -> None:
    write(registry.workspace.data / "mine.json", ROWS)
    register(registry, **{name: {"file_name": "data/mine.json"}, "good": {"file_name": "data/mine.json"}})
    assert registry.get("good").rows == 0
    assert code_of(registry.get, name) == "path.name"
    registry.rename(name, "mended")
    assert registry.get("mended").file.name == "mine.json"


def test_a_file_name_that_the_system_refuses_spoils_only_its_entry(registry: Registry) -> None:
    register(registry, mine={"file_name": "x" * 300 + ".json"})
    assert code_of(registry.get, "mine") == "path.unreadable"
    assert registry.get("desk")


def test_a_list_of_sets_that_is_a_link_out_of_its_folder_is_not_read(registry: Registry, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    secret = tmp_path / "secret"
    secret.write_text("password = hunter2")
    (folder / "dataset_info.json").symlink_to(secret)
    assert code_of(add_folder, registry, folder) == "data.link_outside"


@pytest.mark.parametrize(
    ("files", "letters"),
    [
        (["train/data-00000-of-00001.jsonl", "test/data-00000-of-00001.jsonl"], "eett"),
        (["data/train-00000-of-00001.jsonl", "data/validation-00000-of-00001.jsonl"], "ttvv"),
        (["my_train.jsonl", "my_dev.jsonl", "my_test.jsonl"], "vveett"),
        (["train.jsonl", "more.jsonl"], ""),  # nobody says what the other is for
        (["latest.jsonl", "trainer.jsonl"], ""),
        (["dev.jsonl", "test.jsonl"], ""),
        (["train_test.jsonl", "train.jsonl"], ""),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_files_named_after_training_and_test_are_the_split(registry, tmp_path, files, letters, packed):
    folder = tmp_path / "talks"
    for number, each in enumerate(files):
        (folder / each).parent.mkdir(parents=True, exist_ok=True)
        rows = [{"instruction": f"q{number}{place}", "output": "a"} for place in range(2)]
        (folder / each).write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    source = Path(shutil.make_archive(str(folder), "zip", folder)) if packed else folder
    entry = registry.add(source)
    assert (entry.parts.letters() if entry.parts else "") == letters
    assert registry.add(source) == entry
    if entry.parts:
        assert entry.parts.grouped == "files"
        registry.set_parts("talks", "t" * entry.rows)
        assert registry.add(source).parts.train == entry.rows  # a later split of one's own stays


def test_the_split_of_a_folder_goes_with_the_rows_that_are_left(registry, tmp_path):
    folder = tmp_path / "talks"
    folder.mkdir()
    (folder / "train.jsonl").write_text(
        '{"question": "q", "answer": ["a", "b", "c"]}\n{"question": "", "answer": ["a"]}\n'
    )
    (folder / "test.jsonl").write_text('{"question": "r", "answer": ["a"]}\n')
    entry = registry.add(folder, options={"answers": "each"}, leave_out_broken=True)
    assert (entry.rows, entry.parts.letters()) == (4, "ettt")
