"""Rows to conversations, and what is said about rows that cannot be one."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.data.entry import COLUMNS, TAGS, DatasetEntry
from core.data.formats import RowError, conversations, converter, entry_records, records
from core.data.problems import Problems
from core.data.readers import Row
from core.data.reading import Reading
from core.data.versions import Parts
from core.errors import DataError, problem
from core.records import Message, Preference, Text, UnpairedPreference, kind_of

RANKED = {"chosen": "chosen", "rejected": "rejected"}
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
        ([("human", "q"), ("gpt", "a"), ("observation", "1"), ("gpt", "a")], "role_order"),
        ([("human", "q"), ("gpt", "")], "empty_answer"),
        ([("human", " "), ("gpt", "a")], "empty_question"),
        ([("human", "q"), ("bard", "a")], "unknown_role"),
        ([("human", "q"), (None, "a")], "unknown_role"),
        ([("human", "q"), ("function_call", "{}"), ("observation", "1"), ("gpt", "a")], "tool_call"),
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


def test_system_and_history_are_read_only_where_the_entry_names_them(tmp_path: Path) -> None:
    row = {"instruction": "Hi", "output": "Hello", "system": "Be kind.", "history": "not a list"}
    found = entry(tmp_path, [row], columns={"system": "", "history": ""})
    assert said(found) == [[("user", "Hi"), ("assistant", "Hello")]]


def read(row: dict[str, Any], format: str, options: dict[str, str] | None = None, strict: bool = True) -> Any:
    return converter(Reading(format, options or {}), "a.jsonl", strict=strict)(Row(1, row))


def test_llama_factorys_rankings_and_marks_are_read() -> None:
    ranked = {"chosen": "better", "rejected": "worse"}
    columns = {"chosen": "better", "rejected": "worse"}
    alpaca = read(
        {"instruction": "i", "input": "j", "better": "a", "worse": "b", "s": "S"}, "alpaca", {**ranked, "system": "s"}
    )
    assert alpaca == Preference(
        messages=(Message("system", "S"), Message("user", "i\nj")),
        chosen=(Message("assistant", "a"),),
        rejected=(Message("assistant", "b"),),
        where="a.jsonl:1",
    )
    asked = {"conversations": [{"from": "human", "value": "q"}]}
    answers = {key: {"from": "gpt", "value": key} for key in columns.values()}
    shared = read({**asked, **answers}, "sharegpt", columns)
    assert (shared.messages, shared.chosen[0].content) == ((Message("user", "q"),), "better")
    answered = {"conversations": [*asked["conversations"], {"from": "gpt", "value": "a"}], "good": False}
    marked = read(answered, "sharegpt", {"kto_tag": "good"})
    assert isinstance(marked, UnpairedPreference)
    assert marked.desirable is False
    table = read({"instruction": "q", "output": "a", "good": "TRUE"}, "alpaca", {"kto_tag": "good"})
    assert (table.desirable, table.messages[-1].content) == (True, "a")


@pytest.mark.parametrize(
    ("row", "format", "options", "code"),
    [
        ({"instruction": "q", "chosen": "a", "rejected": ""}, "alpaca", RANKED, "empty_answer"),
        ({"instruction": "q", "chosen": "a"}, "alpaca", RANKED, "missing_column"),
        ({"instruction": "q", "output": "a", "good": "maybe"}, "alpaca", {"kto_tag": "good"}, "wrong_type"),
        ({"instruction": "q", "output": "a", "tools": "{}"}, "alpaca", {"tools": "tools"}, "wrong_type"),
        ({"text": " "}, "alpaca", {"prompt": "text", "response": ""}, "empty_text"),
        ({"input_ids": [1, 2], "labels": [1]}, "tokenised", {}, "token_lengths"),
        ({"input_ids": [1, "2"], "labels": [1, 2]}, "tokenised", {}, "wrong_type"),
        ({"text": "no marks"}, "rendered", {}, "not_rendered"),
        ({"chosen": "a", "rejected": "b"}, "preference", RANKED, "no_shared_question"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "canonical", {}, "wrong_type"),
        ({"messages": [{"role": "user", "content": "q"}, {"role": "tool", "content": "1"}, {"role": "assistant",
          "content": "a"}]}, "canonical", {}, "role_order"),
        ({"messages": [], "meta": 3}, "canonical", {}, "wrong_type"),
    ],
)  # fmt: skip
def test_each_unusable_row_of_another_format_is_told(row: Any, format: str, options: Any, code: str) -> None:
    with pytest.raises(RowError) as caught:
        read(row, format, options)
    assert caught.value.code == f"data.{code}"
    told = problem(caught.value.code, "a.jsonl:1", **caught.value.values)
    assert told.say("en") != told.say("zh")


def test_running_text_is_a_prompt_column_without_answers() -> None:
    assert read({"text": "Once"}, "alpaca", {"prompt": "text", "response": ""}) == Text(text="Once", where="a.jsonl:1")


def test_a_turn_that_openai_weighs_with_nothing_is_context() -> None:
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "weight": 0}] * 2
    turns[3] = {"role": "assistant", "content": "b", "weight": 1}
    found = read({"messages": turns}, "sharegpt", {"messages": "messages", **OPENAI})
    assert [message.train for message in found.messages] == [True, False, True, True]


def test_what_is_not_strict_lets_broken_rows_through_to_be_mended() -> None:
    turns = [{"from": "gpt", "value": ""}, {"from": "gpt", "value": "a"}, {"from": "human", "value": "q"}]
    found = read({"conversations": turns}, "sharegpt", strict=False)
    assert [message.role for message in found.messages] == ["assistant", "assistant", "user"]
    assert read({"instruction": "q", "output": ""}, "alpaca", strict=False).answer == ""
    with pytest.raises(RowError):
        read({"instruction": "q"}, "alpaca", strict=False)


def test_bad_rows_are_listed_and_the_others_go_on() -> None:
    rows = [
        Row(1, {"instruction": "q", "output": "a"}),
        Row(2, {}),
        Row(7, {"instruction": "q", "output": "a"}, 9, "b.json"),
    ]
    problems = Problems("a.jsonl")
    found = list(records(iter(rows), Reading("alpaca", {"system": "sytsem"}), "a.jsonl", problems))
    assert [each.where for each in found] == ["a.jsonl:1", "b.json:9 (#7)"]
    assert [(each.code, each.where) for each in problems.kept] == [
        ("data.missing_column", "a.jsonl:2"), ("data.missing_column", "a.jsonl")]  # fmt: skip
    with pytest.raises(DataError, match="no way of reading"):
        converter(Reading("word"), "a.jsonl")


def test_a_part_of_a_split_set_is_its_own_rows(tmp_path: Path) -> None:
    whole = entry(tmp_path, [{"instruction": f"q{number}", "output": "a"} for number in range(6)])
    letters = tmp_path / "a.parts"
    letters.write_text("tvetxt")
    split = replace(whole, parts=Parts(letters, 3, 1, 1, 7, (0.9, 0.05, 0.05)))
    asked = {
        part: [each.question[0].content for each in conversations(split, part=part)]
        for part in ("train", "validation", "test")
    }
    assert asked == {"train": ["q0", "q3", "q5"], "validation": ["q1"], "test": ["q2"]}
    assert len(conversations(split)) == 6
    assert len(conversations(whole, part="test")) == 6, "a set without a split is whole"
    letters.write_text("tvett")
    with pytest.raises(DataError) as caught:
        conversations(replace(split, parts=Parts(letters, 3, 1, 1, 7, (0.9, 0.05, 0.05))), part="train")
    assert caught.value.problems[0].code == "data.parts_differ"


def test_a_set_of_another_kind_has_no_conversations(tmp_path: Path) -> None:
    rows = entry(tmp_path, [{"text": "Once"}], columns={"prompt": "text", "response": ""})
    assert problems_of(rows) == [("a.jsonl:1", "data.not_chat")]
    found = list(entry_records(rows, Problems("a.jsonl")))
    assert [kind_of(each) for each in found] == ["text"]


def test_rows_about_the_same_passage_have_one_group() -> None:
    row = {"context": "Rain falls.", "question": "Why?", "answer": "So."}
    one, two = read(row, "passage_qa"), read({**row, "question": "How?"}, "passage_qa")
    assert one.meta["group"] == two.meta["group"] != read({**row, "context": "Sun."}, "passage_qa").meta["group"]
    assert one.docs[0].is_oracle


def test_a_speaker_who_begins_or_asks_last_is_left_out_whoever_reads() -> None:
    said = [("Guest", "Hello."), ("Host", "Why?"), ("Guest", "So."), ("Host", "Bye.")]
    row = {"conversations": [{"from": speaker, "text": text} for speaker, text in said]}
    for strict in (True, False):
        found = read(row, "podcast", {"assistant": "Guest"}, strict)
        assert [(each.role, each.content) for each in found.messages] == [("user", "Why?"), ("assistant", "So.")]
