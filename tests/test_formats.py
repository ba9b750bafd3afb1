"""Rows to conversations, and what is said about rows that cannot be one."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from core.data.checks import check
from core.data.entry import COLUMNS, TAGS, DatasetEntry
from core.data.formats import conversations
from core.data.registry import Registry
from core.errors import DataError
from core.workspace import Workspace

OPENAI = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}


def entry(
    folder: Path,
    rows: list[Any],
    formatting: str = "alpaca",
    columns: dict[str, str] | None = None,
    tags: dict[str, str] | None = None,
) -> DatasetEntry:
    file = folder / "a.jsonl"
    file.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    there = {key for row in rows if isinstance(row, dict) for key in row}
    listed = {key: key for key in ("system", "history") if key in there}
    return DatasetEntry("a", file, "", formatting, {**COLUMNS, **listed, **(columns or {})}, {**TAGS, **(tags or {})})  # type: ignore[arg-type]


def said(found: DatasetEntry) -> list[list[tuple[str, str]]]:
    return [[(message.role, message.content) for message in each.messages] for each in conversations(found)]


def problems_of(found: DatasetEntry) -> list[tuple[str, str]]:
    with pytest.raises(DataError) as caught:
        conversations(found)
    for each in caught.value.problems:
        assert each.say("en") != each.say("zh")
    return [(each.where, each.code) for each in caught.value.problems]


def test_alpaca_joins_instruction_and_input_where_both_have_text(tmp_path: Path) -> None:
    rows = [
        {"instruction": "Translate", "input": "cat", "output": "猫"},
        {"instruction": "Hi", "input": "", "output": "Hello"},
        {"instruction": "", "input": "cat", "output": " as it is \n"},
        {"instruction": "Hi", "input": None, "output": "Hello"},
    ]
    assert said(entry(tmp_path, rows)) == [
        [("user", "Translate\ncat"), ("assistant", "猫")],
        [("user", "Hi"), ("assistant", "Hello")],
        [("user", "cat"), ("assistant", " as it is \n")],
        [("user", "Hi"), ("assistant", "Hello")],
    ]


def test_alpaca_takes_system_history_and_keywords(tmp_path: Path) -> None:
    row = {"q": "3?", "a": "three", "system": "Count.", "history": [["1?", "one"], ["2?", 2]], "keywords": ["three", 3]}
    found = entry(tmp_path, [row], columns={"prompt": "q", "response": "a"})
    assert said(found) == [
        [("system", "Count."), ("user", "1?"), ("assistant", "one"), ("user", "2?"), ("assistant", "2"),
         ("user", "3?"), ("assistant", "three")]
    ]  # fmt: skip
    assert conversations(found)[0].keywords == ("three", "3")
    assert conversations(found)[0].where == "a.jsonl:1"


@pytest.mark.parametrize(
    ("value", "text"),
    [(7, "7"), (0.5, "0.5"), (True, "true"), (0, "0"), (12345678901234567890, "12345678901234567890")],
)
def test_a_number_is_an_answer(tmp_path: Path, value: object, text: str) -> None:
    assert said(entry(tmp_path, [{"instruction": "q", "output": value}]))[0][-1] == ("assistant", text)


def test_csv_cells_hold_lists_as_json(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows(
            [
                ["instruction", "output", "history", "keywords"],
                ["q", "a", '[["x", "y"]]', '["a", "b"]'],
                ["[q", "a", "", "one"],
            ]
        )
    first, second = conversations(DatasetEntry("a", file, "", "alpaca", {**COLUMNS, "history": "history"}, dict(TAGS)))
    assert ([m.content for m in first.messages], first.keywords) == (["x", "y", "q", "a"], ("a", "b"))
    assert ([m.content for m in second.messages], second.keywords) == (["[q", "a"], ("one",))


def test_sharegpt_reads_any_tags_and_a_system_message_or_column(tmp_path: Path) -> None:
    rows = [
        {
            "conversations": [
                {"from": "system", "value": "S"},
                {"from": "human", "value": "q"},
                {"from": "gpt", "value": "a"},
            ]
        },
        {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}], "system": "T"},
        {
            "conversations": [
                {"from": "system", "value": ""},
                {"from": "human", "value": "q"},
                {"from": "gpt", "value": 1},
            ]
        },
    ]
    assert said(entry(tmp_path, rows, "sharegpt")) == [
        [("system", "S"), ("user", "q"), ("assistant", "a")],
        [("system", "T"), ("user", "q"), ("assistant", "a")],
        [("user", "q"), ("assistant", "1")],
    ]
    openai = [{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}]
    assert said(entry(tmp_path, openai, "sharegpt", {"messages": "messages"}, OPENAI)) == [
        [("user", "q"), ("assistant", "a")]
    ]


def test_each_unusable_alpaca_row_is_named_with_its_reason(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"instruction": "q", "output": "fine"},
        {"instruction": "q", "response": "a"},
        {"question": "q", "output": "a"},
        {"instruction": " ", "input": "\n", "output": "a"},
        {"instruction": "q", "output": None},
        {"instruction": "q", "output": " "},
        {"instruction": "q", "output": ["a"]},
        {"instruction": "q", "output": "a", "history": [["only one"]]},
        {"instruction": "q", "output": "a", "history": [["x", ""]]},
        {"instruction": "q", "output": "a", "keywords": {"a": 1}},
        {"instruction": "q", "output": "a", "system": ["a"]},
    ]
    codes = ["missing_column", "missing_column", "empty_question", "empty_answer", "empty_answer", "wrong_type",
             "wrong_type", "empty_message", "wrong_type", "wrong_type"]  # fmt: skip
    assert problems_of(entry(tmp_path, rows)) == [
        (f"a.jsonl:{line}", f"data.{code}") for line, code in enumerate(codes, 2)
    ]


def test_a_missing_column_says_which_one_and_which_the_row_has(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        conversations(entry(tmp_path, [{"instruction": "q", "response": "a"}]))
    assert caught.value.problems[0].values == {"column": "output", "has": "instruction, response"}


def test_a_column_that_the_entry_names_and_no_row_has_is_told(tmp_path: Path) -> None:
    rows = [{"instruction": "q", "output": "a"}]
    assert problems_of(entry(tmp_path, rows, columns={"system": "sytsem"})) == [("a.jsonl", "data.missing_column")]


@pytest.mark.parametrize(
    ("turns", "code"),
    [
        ([], "no_messages"),
        ([("system", "s")], "no_messages"),
        ([("human", "q")], "ends_with_user"),
        ([("gpt", "a")], "role_order"),
        ([("human", "q"), ("human", "q")], "role_order"),
        ([("human", "q"), ("system", "s"), ("gpt", "a")], "role_order"),
        ([("human", "q"), ("gpt", "a"), ("gpt", "a")], "role_order"),
        ([("human", "q"), ("gpt", "")], "empty_answer"),
        ([("human", " "), ("gpt", "a")], "empty_question"),
        ([("human", "q"), ("bard", "a")], "unknown_role"),
        ([("human", "q"), (None, "a")], "unknown_role"),
        ([("human", "q"), ("function_call", "{}"), ("observation", "1"), ("gpt", "a")], "tool_role"),
        ([("human", "q"), ("gpt", {"a": 1})], "wrong_type"),
    ],
)
def test_a_conversation_out_of_order_is_told(tmp_path: Path, turns: list[tuple[Any, Any]], code: str) -> None:
    rows = [{"conversations": [{"from": role, "value": text} for role, text in turns]}]
    assert problems_of(entry(tmp_path, rows, "sharegpt")) == [("a.jsonl:1", f"data.{code}")]


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({"messages": []}, "missing_column"),
        ({"conversations": "text"}, "wrong_type"),
        ({"conversations": ["text"]}, "wrong_type"),
        ({"conversations": [{"role": "human", "value": "q"}]}, "missing_tag"),
    ],
)
def test_a_list_of_messages_in_another_form_is_told(tmp_path: Path, row: dict[str, Any], code: str) -> None:
    assert problems_of(entry(tmp_path, [row], "sharegpt")) == [("a.jsonl:1", f"data.{code}")]


def test_check_finds_everything_at_once(tmp_path: Path) -> None:
    workspace = Workspace.at(tmp_path / "w")
    registry = Registry(workspace, tmp_path / "none.json")
    file = workspace.data / "mine.jsonl"
    good = '{"instruction": "q", "output": "a"}\n'
    file.write_text(good)
    registry.add(file)
    assert check(registry, "mine") == []
    file.write_text(
        good * 3 + '{"instruction": "I am {{ name }}", "output": "a"}\n{"instruction": "q", "output": ""}\n'
    )
    found = check(registry, "mine")
    assert [(each.where, each.code) for each in found] == [
        ("mine", "data.changed"),
        ("mine.jsonl:5", "data.empty_answer"),
        ("mine.jsonl:4", "data.unfilled_blank"),
        ("mine.jsonl:2", "data.duplicates"),
    ]
    assert found[3].values == {"count": 2, "rows": 4, "first": "mine.jsonl:1"}
    file.write_text(good + "{")
    assert [(each.where, each.code) for each in check(registry, "mine")][1:] == [("mine.jsonl:2", "data.json")]
    assert [each.code for each in check(registry, "other")] == ["data.unknown"]


def test_system_and_history_are_read_only_where_the_entry_names_them(tmp_path: Path) -> None:
    row = {"instruction": "Hi", "output": "Hello", "system": "Be kind.", "history": "not a list"}
    found = entry(tmp_path, [row], columns={"system": "", "history": ""})
    assert said(found) == [[("user", "Hi"), ("assistant", "Hello")]]
