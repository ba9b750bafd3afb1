"""Where a person chooses it, a row with several answers or an interview becomes a row for each, when it is added."""

import json
from typing import Any

import pytest

from core.curate import tasks
from core.curate.listening import Deaf
from core.data.formats import entry_records, recognise
from core.data.problems import Problems
from core.data.readers import Row
from core.data.registry import DatasetEntry, Registry
from core.errors import DataError
from core.records import Conversation
from core.workspace import Workspace

SEVERAL: dict[str, tuple[list[Any], dict[str, str], list[tuple[str, ...]]]] = {  # rows, choices, turns of each new row
    "answers": (
        [{"question": "q", "answer": ["a", "b", "a", ""]}, {"question": "r", "answer": ["c"]}],
        {"answers": "each"},
        [("q", "a"), ("q", "b"), ("r", "c")],
    ),
    "answers in a table's cell": (
        [{"question": "q", "answer": '["a", "b"]'}, {"question": "r", "answer": '["c"]'}],
        {"answers": "each"},
        [("q", "a"), ("q", "b"), ("r", "c")],
    ),
    "answers to a passage": (
        [{"context": "c", "question": "q", "answers": {"text": ["a", "[b]"], "answer_start": [1, 2]}},
         {"context": "c", "question": "r", "answers": {"text": [], "answer_start": []}}],
        {"answers": "each", "unanswerable": "en"},
        [("c\n\nq", "a"), ("c\n\nq", "[b]"), ("c\n\nr", "The passage does not say.")],
    ),
    "interviews": (
        [{"interview": [{"question": "q", "answer": "a"}, {"question": "r", "answer": "b"}]},
         {"interview": [{"question": "s", "answer": "c"}]}],
        {"turns": "each"},
        [("q", "a"), ("r", "b"), ("s", "c")],
    ),
    "interviews in single turns": (
        [{"conversation": [{"user": "q"}, {"assistant": "a"}, {"user": "r"}, {"assistant": "b"}]}],
        {"turns": "each"},
        [("q", "a"), ("r", "b")],
    ),
}  # fmt: skip


@pytest.fixture
def registry(tmp_path) -> Registry:
    return Registry(Workspace.at(tmp_path / "w", (tmp_path,)))


def written(registry: Registry, rows: list[Any]):
    file = registry.workspace.root.parent / "mine.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def turns(entry: DatasetEntry) -> list[tuple[str, ...]]:
    found = []
    for record in entry_records(entry, Problems("")):
        assert isinstance(record, Conversation)
        found.append(tuple(message.content for message in record.messages))
    return found


@pytest.mark.parametrize("case", SEVERAL)
def test_each_becomes_a_row_of_its_own(registry, case):
    rows, choices, expected = SEVERAL[case]
    entry = registry.add(written(registry, rows), options=choices)
    assert turns(entry) == expected
    assert (entry.rows, entry.made_by) == (len(expected), "add:spread")
    assert len(registry.page(entry.name, 0, 99)) == len(expected)
    assert registry.add(written(registry, rows), options=choices) == entry  # the same again is the same


def test_an_interview_stays_one_conversation_unless_it_is_chosen(registry):
    rows, _, _ = SEVERAL["interviews"]
    (fit,) = recognise([Row(1, rows[0])], "x").fits
    assert (fit.sure, fit.questions[0].key, fit.questions[0].choices) == (True, "turns", ("together", "each"))
    assert recognise([Row(1, rows[1])], "x").fits[0].questions == ()
    assert turns(registry.add(written(registry, rows))) == [("q", "a", "r", "b"), ("s", "c")]


def test_a_broken_row_is_told_with_its_own_line_and_can_be_left_out(registry):
    rows = [{"question": "q", "answer": ["a", "b"]}, {"question": "", "answer": ["c", "d"]}]
    file = written(registry, rows)
    with pytest.raises(DataError) as caught:
        registry.add(file, formatting="qa", options={"answers": "each"})
    assert [(each.code, each.where) for each in caught.value.problems] == [("data.empty_question", "mine.jsonl:2")] * 2
    assert "mine" not in registry.names()
    assert turns(registry.add(file, formatting="qa", options={"answers": "each"}, leave_out_broken=True)) == [
        ("q", "a"),
        ("q", "b"),
    ]


def test_a_registered_set_is_spread_as_a_new_version_that_can_be_undone(registry):
    rows, choices, expected = SEVERAL["interviews"]
    before = registry.add(written(registry, rows))
    entry = registry.add(before.file, before.name, options=choices)
    assert (turns(entry), len(entry.versions)) == (expected, 1)
    assert registry.undo(before.name).sha1 == before.sha1


def test_a_file_is_checked_and_mended_as_its_spread_rows(registry):
    rows = [{"question": "q", "answer": ["a", "{{name}}"]}, {"question": "r", "answer": ["c", "d"]}]
    file = written(registry, rows)
    asked: dict[str, Any] = {"file": str(file), "formatting": "qa", "options": {"answers": "each"}}
    checked = tasks.TASKS["check"](registry.workspace, Deaf(), **asked)
    assert (checked["rows"], checked["errors"]) == (4, ["placeholder"])
    tasks.add(registry.workspace, Deaf(), **asked, fixes=["fill"], values={"name": "Lumen"})
    assert turns(registry.get("mine")) == [("q", "a"), ("q", "Lumen"), ("r", "c"), ("r", "d")]


def test_a_mixed_file_is_read_row_by_row():
    rows = [{"question": "q", "answer": ["a", "b"]}, {"instruction": "q", "output": "a"}]
    mixed = recognise([Row(number, row) for number, row in enumerate(rows, 1)], "x").fits[0]
    choices = {each.key: each.choices for each in mixed.questions}
    assert choices["qa:answer.answers"] == ("first", "longest", "all")
