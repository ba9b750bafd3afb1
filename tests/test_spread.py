"""Where a person chooses it, a row with several answers or an interview becomes a row for each, when it is added."""

import json
from typing import Any

import pytest

from core.curate import tasks
from core.data.formats import entry_records, recognise
from core.data.page import page_of
from core.data.problems import Problems
from core.data.readers import Row
from core.data.registry import DatasetEntry, Registry
from core.errors import DataError
from core.progress import Deaf
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
    "lists without an answer": (
        [{"context": "c", "question": "q", "answers": ["[\"x\"]", "b"]}, {"context": "c", "question": "r", "answers": []}],
        {"answers": "each", "unanswerable": "en"},
        [("c\n\nq", '["x"]'), ("c\n\nq", "b"), ("c\n\nr", "The passage does not say.")],
    ),
    "interviews with a system message": (
        [{"conversation": [{"system": "s"}, {"user": "q"}, {"assistant": "a"}, {"user": "r"}, {"assistant": "b"}]}],
        {"turns": "each"},
        [("s", "q", "a"), ("s", "r", "b")],
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
    assert len(page_of(registry.workspace, entry, 0, 99)) == len(expected)
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
    assert [(each.code, each.where) for each in caught.value.problems] == [("data.empty_question", "mine.jsonl:2")]
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


def test_an_interview_of_one_pair_raises_no_question():
    rows = [{"conversation": [{"user": f"q{n}"}, {"assistant": "a"}]} for n in range(3)]
    assert recognise([Row(number, row) for number, row in enumerate(rows, 1)], "x").fits[0].questions == ()


def test_a_list_without_an_answer_is_an_empty_answer(registry):
    rows = [{"question": "q", "answer": ["a", "b", "c"]}, {"question": "r", "answer": []}]
    with pytest.raises(DataError) as caught:
        registry.add(written(registry, rows), options={"answers": "each"})
    assert [(each.code, each.where) for each in caught.value.problems] == [("data.empty_answer", "mine.jsonl:2")]


@pytest.mark.parametrize(
    ("row", "options"),
    [
        ({"question": "q", "answer": ["a", "b", "c"], "id": 10**30}, {"answers": "each"}),
        ({"interview": "[{1: 'a'}]"}, {"turns": "each"}),
        ({"interview": [None, 3]}, {"turns": "each"}),
    ],
)
def test_odd_values_are_told_in_words(registry, row, options):
    formatting = "interview" if "turns" in options else "qa"
    with pytest.raises(DataError):
        registry.add(written(registry, [row]), formatting=formatting, options=options)


def test_pairs_of_one_interview_stay_on_one_side_of_a_split(registry):
    rows = [
        {"interview": [{"question": f"What of {n} and {k}?", "answer": f"{n}-{k}"} for k in "abc"]} for n in range(90)
    ]
    file = written(registry, rows)
    tasks.add(registry.workspace, Deaf(), file=str(file), options={"turns": "each"})
    letters = registry.get("mine").parts.letters()
    assert set(letters) == set("tve")
    assert all(len(set(letters[start : start + 3])) == 1 for start in range(0, 270, 3))


def test_a_split_goes_with_the_rows_that_are_spread_later(registry):
    rows, choices, _ = SEVERAL["interviews"]
    file = written(registry, rows)
    registry.add(file)
    registry.set_parts("mine", "et")
    again = registry.add(file, options=choices)  # the file that was added is as good as the one that is kept
    assert (len(again.versions), again.parts.letters()) == (1, "eet")


def test_an_entry_that_spreads_is_none(registry):
    registry.add(written(registry, [{"question": "q", "answer": "a"}]))
    info = registry.workspace.root / "dataset_info.json"
    values = json.loads(info.read_text())
    values["mine"] |= {"format": "columns", "options": {"prompt": "question", "response": "answer", "answers": "each"}}
    info.write_text(json.dumps(values))
    with pytest.raises(DataError) as caught:
        registry.get("mine")
    assert caught.value.problems[0].code == "data.bad_entry"


def test_columns_that_a_person_names_have_choices_too(registry):
    file = written(registry, [{"ask": "q", "say": ["a", "b"]}, {"ask": "r", "say": ["c"]}])
    columns = {"prompt": "ask", "response": "say"}
    assert turns(registry.add(file, columns=columns, options={"answers": "each"})) == [
        ("q", "a"),
        ("q", "b"),
        ("r", "c"),
    ]
    for options in ({"answers": "none"}, {"turns": "each"}):
        with pytest.raises(DataError) as caught:
            registry.add(file, "other", columns=columns, options=options)
        assert caught.value.problems[0].code == "data.bad_entry"
