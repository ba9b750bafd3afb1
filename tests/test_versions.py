"""Versions, splits and the trash: content is never changed in place, and everything can be undone."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from core.data import importing, trash
from core.data.entry import parse, reading_of, values_of
from core.data.formats import conversations
from core.data.reading import Reading
from core.data.registry import Registry
from core.data.versions import Parts
from core.errors import DataError, StudioError
from core.workspace import Workspace

ROOT = Path(__file__).parent.parent


def rows(count: int, answer: str = "a") -> list[dict[str, str]]:
    return [{"instruction": f"q{number}", "output": f"{answer}{number}"} for number in range(count)]


def write(file: Path, values: list[dict[str, Any]]) -> Path:
    file.write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")
    return file


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """A registry with the sample `desk` and the own set `mine` of ten rows."""
    samples = tmp_path / "samples"
    samples.mkdir()
    write(samples / "desk.json", rows(1))
    (samples / "dataset_info.json").write_text(json.dumps({"desk": {"file_name": "desk.json", "file_sha1": "0" * 40}}))
    registry = Registry(Workspace.at(tmp_path / "w", (samples,)), samples / "dataset_info.json")
    registry.add(write(tmp_path / "mine.json", rows(10)))
    return registry


def own(registry: Registry) -> dict[str, Any]:
    return json.loads((registry.workspace.root / "dataset_info.json").read_text(encoding="utf-8"))


def code_of(call: Any, *arguments: Any, **options: Any) -> str:
    with pytest.raises(StudioError) as caught:
        call(*arguments, **options)
    assert caught.value.say("en") != caught.value.say("zh")
    return caught.value.problems[0].code


def writing(values: list[dict[str, Any]]) -> Any:
    """Return a function that writes rows as a fix would, and says how they are read."""

    def write(aside: Path) -> Reading:
        aside.write_text("".join(json.dumps(each) + "\n" for each in values), encoding="utf-8")
        return Reading("alpaca")

    return write


def answers(registry: Registry, part: str | None = None) -> list[str]:
    return [each.answer for each in conversations(registry.get("mine"), part=part)]


def data_files(registry: Registry) -> set[str]:
    return {each.name for each in registry.workspace.data.iterdir()}


def test_a_new_version_leaves_the_old_file_as_it_was(registry: Registry) -> None:
    before = registry.get("mine")
    content = before.file.read_bytes()
    after = registry.new_version("mine", writing(rows(3, "b")), "fix:duplicates")
    assert (after.rows, after.made_by, after.file.name) == (3, "fix:duplicates", "mine.v2.jsonl")
    assert answers(registry) == ["b0", "b1", "b2"]
    assert before.file.read_bytes() == content
    (old,) = after.versions
    assert (old.file, old.sha1, old.rows, old.made_by, old.reading) == (
        before.file, before.sha1, 10, "add", before.reading,
    )  # fmt: skip


def test_undoing_gives_the_content_back_and_redoing_brings_it_from_the_trash(registry: Registry) -> None:
    before = registry.get("mine")
    changed = registry.new_version("mine", writing(rows(3, "b")), "fix:duplicates")
    assert registry.undo("mine") == before
    assert len(answers(registry)) == 10
    assert not changed.file.exists()
    (undone,) = registry.trash()
    assert (undone.name, undone.version, undone.rows) == ("mine", True, 3)
    assert registry.restore(undone.id) == changed
    assert answers(registry) == ["b0", "b1", "b2"]
    assert registry.trash() == []
    registry.undo("mine")
    assert code_of(registry.undo, "mine") == "data.no_version"


def test_versions_can_be_undone_one_by_one_to_the_first(registry: Registry) -> None:
    states = [registry.get("mine")]
    for number in (3, 4, 5):
        states.append(registry.new_version("mine", writing(rows(number)), f"fix:{number}"))
    assert [each.rows for each in states[-1].versions] == [10, 3, 4]
    for state in reversed(states[:-1]):
        assert registry.undo("mine") == state


def test_what_a_person_wrote_about_a_set_stays_with_every_version(registry: Registry) -> None:
    registry.describe("mine", "  my\nrows ")
    values = own(registry)
    values["mine"]["licence"] = "MIT"
    (registry.workspace.root / "dataset_info.json").write_text(json.dumps(values))
    assert registry.new_version("mine", writing(rows(3)), "fix:x").description == "my rows"
    assert own(registry)["mine"]["licence"] == "MIT"
    registry.undo("mine")
    assert own(registry)["mine"]["licence"] == "MIT"


def test_rows_that_cannot_be_read_do_not_become_a_version(registry: Registry) -> None:
    before, files = registry.get("mine"), data_files(registry)
    assert code_of(registry.new_version, "mine", writing([{"instruction": "q"}]), "fix:x") == "data.missing_column"
    assert code_of(registry.new_version, "mine", writing([]), "fix:x") == "data.empty_file"
    assert (registry.get("mine"), data_files(registry)) == (before, files)


def test_a_version_made_of_rows_that_changed_meanwhile_is_refused(registry: Registry) -> None:
    def slow(aside: Path) -> Reading:
        registry.new_version("mine", writing(rows(4)), "fix:quicker")
        return writing(rows(3))(aside)

    assert code_of(registry.new_version, "mine", slow, "fix:slower") == "data.changed_meanwhile"
    assert registry.get("mine").made_by == "fix:quicker"


def test_a_sample_has_no_versions_no_split_and_no_other_name(registry: Registry) -> None:
    assert code_of(registry.new_version, "desk", writing(rows(1)), "fix:x") == "data.is_sample"
    assert code_of(registry.set_parts, "desk", "t") == "data.is_sample"
    assert code_of(registry.rename, "desk", "other") == "data.is_sample"
    assert code_of(registry.describe, "desk", "x") == "data.is_sample"
    assert code_of(registry.undo, "desk") == "data.is_sample"


def test_a_split_is_read_back_and_gives_the_rows_of_each_part(registry: Registry) -> None:
    entry = registry.set_parts("mine", "ttvetttxet", seed=3, shares=(0.6, 0.2, 0.2), grouped="question")
    parts = entry.parts
    assert parts is not None
    assert (parts.train, parts.validation, parts.test) == (6, 1, 2)
    assert (parts.seed, parts.shares, parts.grouped, parts.letters()) == (3, (0.6, 0.2, 0.2), "question", "ttvetttxet")
    assert answers(registry, "train") == ["a0", "a1", "a4", "a5", "a6", "a9"]
    assert answers(registry, "validation") == ["a2"]
    assert answers(registry, "test") == ["a3", "a8"]
    assert len(answers(registry)) == 10


def test_a_split_can_be_made_again_and_taken_away(registry: Registry) -> None:
    registry.set_parts("mine", "tttttttttt")
    registry.set_parts("mine", "tttttttttt")
    again = registry.set_parts("mine", "tttttttvee", seed=4)
    assert again.parts is not None
    assert again.parts.letters() == "tttttttvee"
    assert len([name for name in data_files(registry) if name.endswith(".parts")]) == 1
    assert registry.set_parts("mine", "").parts is None
    assert data_files(registry) == {"mine.json"}


@pytest.mark.parametrize("letters", ["ttt", "t" * 11, "ttttttttt?"])
def test_letters_that_do_not_fit_the_rows_are_refused(registry: Registry, letters: str) -> None:
    assert code_of(registry.set_parts, "mine", letters) == "data.parts_count"
    assert registry.get("mine").parts is None


def test_a_split_that_was_changed_by_hand_is_told(registry: Registry) -> None:
    parts = registry.set_parts("mine", "tttttttvee").parts
    assert isinstance(parts, Parts)
    parts.file.write_text("ttttttttee\n")
    assert code_of(parts.letters) == "data.parts_missing"
    parts.file.unlink()
    assert code_of(parts.letters) == "data.parts_missing"


def test_the_split_belongs_to_its_version(registry: Registry) -> None:
    before = registry.set_parts("mine", "tttttttvee", seed=4, shares=(0.7, 0.1, 0.2), grouped="near")
    after = registry.new_version("mine", writing(rows(3)), "fix:x", lambda: "tve")
    assert after.parts is not None
    assert (after.parts.letters(), after.parts.seed, after.parts.grouped) == ("tve", 4, "near")
    assert before.parts is not None
    assert before.parts.letters() == "tttttttvee"
    assert registry.undo("mine") == before


def test_without_new_letters_a_split_stays_only_where_no_row_went(registry: Registry) -> None:
    registry.set_parts("mine", "tttttttvee")
    kept = registry.new_version("mine", writing(rows(10, "b")), "fix:mojibake")
    assert kept.parts is not None
    assert kept.parts.letters() == "tttttttvee"
    assert registry.new_version("mine", writing(rows(9, "b")), "fix:x").parts is None


def test_letters_for_other_rows_do_not_become_a_version(registry: Registry) -> None:
    before = registry.set_parts("mine", "tttttttvee")
    assert code_of(registry.new_version, "mine", writing(rows(3)), "fix:x", lambda: "tt") == "data.parts_count"
    assert registry.get("mine") == before


def test_accepting_a_changed_file_splits_it_again(registry: Registry) -> None:
    entry = registry.set_parts("mine", "tttttttvee", seed=4, shares=(0.5, 0.25, 0.25))
    write(entry.file, rows(40))
    after = registry.accept("mine")
    assert after.parts is not None
    assert (after.rows, len(after.parts.letters())) == (40, 40)
    assert (after.parts.seed, after.parts.shares) == (4, (0.5, 0.25, 0.25))
    assert after.parts.test > 2
    write(entry.file, [*rows(40), {"instruction": "q"}])
    assert code_of(registry.accept, "mine") == "data.missing_column"
    assert registry.get("mine") == after


def test_a_removed_set_comes_back_with_its_versions_and_its_split(registry: Registry) -> None:
    registry.set_parts("mine", "tttttttvee")
    before = registry.new_version("mine", writing(rows(3)), "fix:x", lambda: "tve")
    registry.remove("mine")
    assert registry.names() == ["desk"]
    assert data_files(registry) == set()
    (removed,) = registry.trash()
    assert (removed.name, removed.rows, removed.version) == ("mine", 3, False)
    assert removed.size > 400
    assert registry.restore(removed.id) == before
    assert registry.undo("mine").rows == 10
    registry.verify("mine")


def test_a_restored_set_does_not_overwrite_one_of_the_same_name(registry: Registry, tmp_path: Path) -> None:
    registry.remove("mine")
    registry.add(write(tmp_path / "mine.json", rows(2)))
    (removed,) = registry.trash()
    assert code_of(registry.restore, removed.id) == "data.name_taken"
    registry.rename("mine", "newer")
    assert registry.restore(removed.id).rows == 10
    assert registry.get("newer").rows == 2


def test_two_sets_that_shared_a_file_both_come_back(registry: Registry) -> None:
    file = registry.get("mine").file
    registry.add(file, "twin")
    for name in ("mine", "twin"):
        registry.remove(name)
    for removed in reversed(registry.trash()):
        registry.restore(removed.id)
    assert len(conversations(registry.get("twin"))) == len(conversations(registry.get("mine"))) == 10


@pytest.mark.parametrize("id", ["nothing", "../data", "..", ""])
def test_only_what_lies_in_the_trash_can_be_restored(registry: Registry, id: str) -> None:
    assert code_of(registry.restore, id) == "data.not_in_trash"


def test_a_file_comes_back_beside_another_one_that_took_its_place(registry: Registry, tmp_path: Path) -> None:
    registry.remove("mine")
    registry.add(write(tmp_path / "mine.json", rows(10, "new")))
    registry.rename("mine", "other")  # its file keeps the name that the removed set's file had
    entry = registry.restore(registry.trash()[0].id)
    registry.verify("mine")
    assert entry.file.name == "mine_2.json"
    assert answers(registry) == [f"a{number}" for number in range(10)]
    registry.verify("other")
    assert list(registry.workspace.trash.iterdir()) == []


def test_an_undone_version_comes_back_though_another_one_was_made_since(registry: Registry) -> None:
    registry.new_version("mine", writing(rows(3, "first")), "fix:x")
    registry.undo("mine")
    registry.new_version("mine", writing(rows(4, "second")), "fix:y")
    registry.restore(registry.trash()[0].id)
    registry.verify("mine")
    assert answers(registry) == ["first0", "first1", "first2"]
    registry.undo("mine")
    registry.verify("mine")
    assert answers(registry) == ["second0", "second1", "second2", "second3"]


def test_a_record_in_the_trash_cannot_write_elsewhere(registry: Registry) -> None:
    registry.remove("mine")
    (removed,) = registry.trash()
    record = registry.workspace.trash / removed.id / "removed.entry"
    values = json.loads(record.read_text())
    values["entry"]["file_name"] = "../mine.json"
    record.write_text(json.dumps(values))
    (registry.workspace.root.parent / "mine.json").unlink()
    assert code_of(registry.restore, removed.id) == "data.file_missing"
    assert not (registry.workspace.root.parent / "mine.json").exists()


@pytest.mark.parametrize("name", ["dataset", "removed.entry"])
def test_a_set_whose_file_is_called_like_a_record_is_restored_too(
    registry: Registry, tmp_path: Path, name: str
) -> None:
    crafted = {"name": "../evil", "removed": 1.0, "version": False, "entry": {"file_name": "../evil.json"}}
    file = tmp_path / f"{name}.json"
    file.write_text(json.dumps([{"instruction": "q", "output": "a", **crafted}]))
    registry.add(file, name, "alpaca")
    registry.remove(name)
    (removed,) = registry.trash()
    assert removed.name == name
    assert registry.restore(removed.id).name == name
    registry.verify(name)


def test_a_foreign_split_cannot_make_the_studio_delete_a_file(registry: Registry) -> None:
    registry.set_parts("mine", "tttttttvee")
    precious = registry.workspace.runs / "adapter.safetensors"
    precious.write_text("weights")
    info = registry.workspace.root / "dataset_info.json"
    values = json.loads(info.read_text())
    values["mine"]["parts"]["file_name"] = "runs/adapter.safetensors"
    info.write_text(json.dumps(values))
    registry.set_parts("mine", "tttttttvee")
    assert precious.read_text() == "weights"


def test_what_lies_in_the_trash_from_elsewhere_is_left_alone(registry: Registry) -> None:
    run = registry.workspace.trash / "2026-11-20_a_run"
    run.mkdir(parents=True)
    (registry.workspace.trash / "loose").write_text("x")
    broken = registry.workspace.trash / "broken"
    broken.mkdir()
    (broken / "removed.entry").write_text("{")
    assert registry.trash() == []
    registry.remove("mine")
    assert registry.empty_trash() == 1
    assert {each.name for each in registry.workspace.trash.iterdir()} == {"2026-11-20_a_run", "loose", "broken"}


def test_emptying_the_trash_takes_nothing_from_the_sets_that_are_there(registry: Registry) -> None:
    registry.new_version("mine", writing(rows(3)), "fix:x")
    before = registry.undo("mine")
    assert registry.empty_trash() == 1
    assert registry.trash() == []
    assert registry.get("mine") == before
    registry.verify("mine")


def test_a_set_can_be_renamed_and_its_old_name_given_away(registry: Registry, tmp_path: Path) -> None:
    before = registry.set_parts("mine", "tttttttvee")
    after = registry.rename("mine", "yours")
    assert (after.file, after.sha1, after.parts) == (before.file, before.sha1, before.parts)
    registry.add(write(tmp_path / "mine.json", rows(2)))
    registry.set_parts("mine", "te")
    assert len(conversations(registry.get("yours"), part="test")) == 2
    assert len(conversations(registry.get("mine"), part="test")) == 1
    assert code_of(registry.rename, "mine", "yours") == "data.name_taken"
    assert code_of(registry.rename, "mine", "desk") == "data.is_sample"
    assert code_of(registry.rename, "nobody", "x") == "data.unknown"
    assert code_of(registry.rename, "mine", "../x") == "path.name"


def test_findings_are_accepted_for_exactly_one_content(registry: Registry) -> None:
    assert registry.accept_findings("mine", ["few_rows", "duplicates"]).accepted == {"few_rows", "duplicates"}
    assert registry.accept_findings("mine", ["long"]).accepted == {"few_rows", "duplicates", "long"}
    assert registry.new_version("mine", writing(rows(3)), "fix:x").accepted == frozenset()
    assert registry.undo("mine").accepted == {"few_rows", "duplicates", "long"}


def test_findings_of_a_changed_file_cannot_be_accepted(registry: Registry) -> None:
    write(registry.get("mine").file, rows(11))
    assert code_of(registry.accept_findings, "mine", ["few_rows"]) == "data.changed"


def test_the_findings_of_a_sample_are_accepted_in_the_workspace(registry: Registry) -> None:
    from core.data.registry import sha1_of

    samples = registry.workspace.allow[0] / "dataset_info.json"
    sha1 = sha1_of(registry.get("desk").file)
    info = {"desk": {"file_name": "desk.json", "file_sha1": sha1, "accepted": ["few_rows"]}}
    samples.write_text(json.dumps(info))
    assert registry.get("desk").accepted == {"few_rows"}
    assert registry.accept_findings("desk", ["long"]).accepted == {"few_rows", "long"}
    assert json.loads(samples.read_text()) == info


@pytest.mark.parametrize(
    "reading",
    [
        Reading("alpaca", {"prompt": "question", "response": "answer"}),
        Reading("alpaca", {"prompt": "question"}),
        Reading("alpaca", {"prompt": "text", "response": ""}),
        Reading("alpaca", {"query": ""}),
        Reading("alpaca", {"chosen": "good", "rejected": "bad"}),
        Reading("alpaca", {"kto_tag": "label", "tools": "tools"}),
        Reading("sharegpt", {"messages": "messages", "role_tag": "role", "content_tag": "content"}),
        Reading("canonical"),
        Reading("raft", {"use": "open_book"}),
    ],
)
def test_a_reading_survives_the_registry(registry: Registry, reading: Reading) -> None:
    values = {"file_name": "mine.json", **values_of(reading)}
    entry = parse(registry.workspace, "mine", json.loads(json.dumps(values)), registry.workspace.root, False)
    assert entry.problem is None
    assert entry.reading.format == reading.format
    assert {key: entry.reading.options[key] for key in reading.options} == reading.options
    assert entry.kind == {"good": "preference", "label": "unpaired", "text": "text"}.get(
        reading.options.get("chosen") or reading.options.get("kto_tag") or reading.options.get("prompt", ""), "chat"
    )


def test_an_entry_of_llama_factory_with_a_prompt_column_alone_is_running_text() -> None:
    assert reading_of({"columns": {"prompt": "text"}}).options["response"] == ""
    assert reading_of({"columns": {"prompt": "text"}, "formatting": "alpaca"}).options["response"] == "output"
    assert reading_of({"columns": {"system": "s"}}).options["response"] == "output"


@pytest.mark.parametrize(
    "wrong",
    [
        {"options": {"use": 3}},
        {"format": 3},
        {"rows": "many"},
        {"accepted": "all"},
        {"parts": {"file_name": "x.parts"}},
        {"parts": ["x"]},
        {"versions": [{"file_sha1": "0"}]},
        {"versions": {"a": 1}},
    ],
)
def test_a_slip_of_the_hand_in_our_own_keys_is_told(registry: Registry, wrong: dict[str, Any]) -> None:
    values = own(registry)
    values["mine"] |= wrong
    (registry.workspace.root / "dataset_info.json").write_text(json.dumps(values))
    assert registry.names() == ["desk", "mine"]
    assert code_of(registry.get, "mine") == "data.bad_entry"


@pytest.mark.parametrize("key", ["parts", "versions"])
def test_a_split_or_version_elsewhere_is_not_read(registry: Registry, key: str) -> None:
    registry.set_parts("mine", "tttttttvee")
    registry.new_version("mine", writing(rows(3)), "fix:x", lambda: "tve")
    values = own(registry)
    inner = values["mine"][key] if key == "parts" else values["mine"][key][0]
    inner["file_name"] = "../../etc/passwd"
    (registry.workspace.root / "dataset_info.json").write_text(json.dumps(values))
    assert code_of(registry.get, "mine") == "path.outside"


def test_what_a_killed_import_left_is_swept_away_after_a_day(registry: Registry) -> None:
    old, young = (registry.workspace.data / f".incoming-{each}" for each in "ab")
    for folder in (old, young):
        folder.mkdir()
        (folder / "half.json").write_text("[")
    os.utime(old, (time.time() - 90_000,) * 2)
    with importing.scratch(registry.workspace):
        assert not old.exists()
        assert young.exists()


KILLED = """
import os, signal, sys
from pathlib import Path
from core.data import info_file, importing
from core.data.registry import Registry
from core.workspace import Workspace
registry = Registry(Workspace.at(sys.argv[1]))
step, calls = int(sys.argv[2]), 0
def die(function):
    def wrapped(*arguments):
        global calls
        calls += 1
        if calls == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments)
    return wrapped
os.replace, os.fsync = die(os.replace), die(os.fsync)
registry.add(Path(sys.argv[3]), "new")
print("done")
"""


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5])
def test_a_kill_at_any_moment_leaves_the_registry_before_or_after(
    registry: Registry, tmp_path: Path, step: int
) -> None:
    file = write(tmp_path / "new.json", rows(5))
    command = [sys.executable, "-c", KILLED, str(registry.workspace.root), str(step), str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == (0 if step > 4 else -signal.SIGKILL), done.stderr
    assert registry.get("mine").rows == 10
    assert ("new" in registry.names()) == (step > 4)
    assert registry.add(file, "new").rows == 5
    registry.verify("new")


def test_a_removal_that_is_killed_before_the_files_move_can_be_undone(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(trash, "move", killed)
    with pytest.raises(KeyboardInterrupt):
        registry.remove("mine")
    assert registry.names() == ["desk"]
    (removed,) = registry.trash()
    assert registry.restore(removed.id).rows == 10


def test_two_processes_that_add_two_hundred_sets_each_lose_none(registry: Registry, tmp_path: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom core.data.registry import Registry\n"
        "from core.workspace import Workspace\nregistry = Registry(Workspace.at(sys.argv[1]))\n"
        "for number in range(200):\n    registry.add(Path(sys.argv[2]), f'{sys.argv[3]}{number}')\n"
    )
    file = write(tmp_path / "many.json", rows(1))
    command = [sys.executable, "-c", program, str(registry.workspace.root), str(file)]
    workers = [subprocess.Popen([*command, letter], cwd=ROOT) for letter in "ab"]
    assert [worker.wait(120) for worker in workers] == [0, 0]
    names = {f"{letter}{number}" for letter in "ab" for number in range(200)}
    assert set(own(registry)) == names | {"mine"}
    assert data_files(registry) == {f"{name}.json" for name in names | {"mine"}}


def test_a_file_is_not_registered_when_the_work_is_cancelled(registry: Registry, tmp_path: Path) -> None:
    from core.progress import Cancelled

    def stop(done: int, total: int) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        registry.add(write(tmp_path / "new.json", rows(5)), progress=stop)
    assert registry.names() == ["desk", "mine"]
    assert data_files(registry) == {"mine.json"}


def test_the_usable_rows_of_a_broken_file_can_be_registered(registry: Registry, tmp_path: Path) -> None:
    file = tmp_path / "half.jsonl"
    file.write_text('{"instruction": "q", "output": "a", "id": 7}\n{"instruction": "q"}\n{"instruction": \n')
    with pytest.raises(DataError) as caught:
        registry.add(file)
    assert [each.where for each in caught.value.problems] == ["half.jsonl:2", "half.jsonl:3"]
    entry = registry.add(file, leave_out_broken=True)
    assert (entry.rows, entry.made_by) == (1, "add:leave_out_broken")
    assert json.loads(entry.file.read_text()) == {"instruction": "q", "output": "a", "id": 7}
    assert file.read_text().count("\n") == 3
