"""Reading files: what is accepted, and that everything else is named with its place."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from core.data.problems import Problems
from core.data.readers import container, read_rows
from core.data.strict_json import StrictJSON, sure_object
from core.errors import DataError


def write(folder: Path, name: str, content: str | bytes) -> Path:
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def problems_of(file: Path) -> list[tuple[str, str]]:
    with pytest.raises(DataError) as caught:
        read_rows(file)
    for each in caught.value.problems:  # every sentence exists in both languages and its blanks are filled
        assert each.say("en") != each.say("zh")
    return [(each.where, each.code) for each in caught.value.problems]


def test_jsonl_rows_have_the_numbers_of_their_lines(tmp_path: Path) -> None:
    rows = read_rows(write(tmp_path, "a.jsonl", '{"a": 1}\r\n\n{"a": "x\u2028y\u0085z"}'))
    assert [(row.number, row.place, row.values) for row in rows] == [
        (1, "1", {"a": 1}),
        (3, "3", {"a": "x\u2028y\u0085z"}),
    ]


def test_array_elements_have_their_number_and_their_line(tmp_path: Path) -> None:
    rows = read_rows(write(tmp_path, "a.json", '[\n  {"a": 1}, {"a": 2},\n\n  {"a": {"b": [3]}}\n]\n'))
    assert [(row.number, row.line) for row in rows] == [(1, 2), (2, 2), (3, 4)]
    assert rows[2].values == {"a": {"b": [3]}}
    assert rows[2].place == "4 (#3)"


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.json", '[{"a": 1}]', "json"),
        ("a.json", '{"a": 1}\n{"a": 2}', "jsonl"),
        ("a.json", '{"a": 1\n{"a": 2}', "jsonl"),
        ("a.jsonl", ' \n[{"a": 1}]', "json"),
        ("a.json", '{\n"a": 1\n}', "json"),
        ("a.CSV", "a\n1", "csv"),
    ],
)
def test_what_a_file_holds_is_told_from_its_content(tmp_path: Path, name: str, content: str, expected: str) -> None:
    assert container(write(tmp_path, name, content)) == expected


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize(
    ("name", "content"), [("a.json", '[{"a": "é中😀"}]'), ("a.jsonl", '{"a": "é中😀"}'), ("a.csv", "a\né中😀")]
)
def test_every_unicode_encoding_is_read(tmp_path: Path, name: str, content: str, encoding: str) -> None:
    assert [row.values for row in read_rows(write(tmp_path, name, content.encode(encoding)))] == [{"a": "é中😀"}]


def test_all_bad_lines_of_a_jsonl_file_are_listed_with_their_reasons(tmp_path: Path) -> None:
    lines = [
        b'{"a": 1}',
        b'{"a": 1,}',
        b'{"a": 1, "a": 2}',
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1e999}',
        b"[1]",
        b'"text"',
        b'{"a": "\xe9"}',
        rb'{"a": "\ud800"}',
        b'{"a": 1} {"a": 2}',
        b'{"b": {"a": 1, "a": 2}}',
        b"[" * 100_000,
        b'{"a": ' + b"1" * 5000 + b"}",
    ]
    assert problems_of(write(tmp_path, "a.jsonl", b"\n".join(lines))) == [
        ("a.jsonl:2", "data.json"),
        ("a.jsonl:3", "data.key_twice"),
        ("a.jsonl:4", "data.not_finite"),
        ("a.jsonl:5", "data.not_finite"),
        ("a.jsonl:6", "data.not_finite"),
        ("a.jsonl:7", "data.not_an_object"),
        ("a.jsonl:8", "data.not_an_object"),
        ("a.jsonl:9", "data.not_utf8"),
        ("a.jsonl:10", "data.surrogate"),
        ("a.jsonl:11", "data.json"),
        ("a.jsonl:12", "data.key_twice"),
        ("a.jsonl:13", "data.json"),
        ("a.jsonl:14", "data.json"),
    ]


def test_a_syntax_error_says_line_column_and_the_text_there(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_rows(write(tmp_path, "a.jsonl", '{"a": 1}\n{"a": "' + "x" * 200 + '" "b": 2}\n'))
    (found,) = caught.value.problems
    assert (found.where, found.values["column"]) == ("a.jsonl:2", 210)
    assert '" "b": 2}' in found.values["excerpt"]
    assert len(found.values["excerpt"]) <= 80


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('[\n{"a": 1},\n{"a": 2,}\n]', [("a.json:3", "data.json")]),
        ('[\n{"a": 1},\n]', [("a.json:3", "data.json")]),
        ('[\n{"a": 1}\n{"a": 1}\n]', [("a.json:3", "data.json")]),
        ('[{"a": 1}', [("a.json:1", "data.json")]),
        ('[{"a": 1}]\nmore', [("a.json:2", "data.json")]),
        ('[\n1,\n{"a": NaN},\n{"a": 1, "a": 1}\n]',
         [("a.json:2 (#1)", "data.not_an_object"), ("a.json:3 (#2)", "data.not_finite"),
          ("a.json:4 (#3)", "data.key_twice")]),
        ('{\n"train": [{"a": 1}], "test": [{"a": 2}]\n}', [("a.json", "data.not_an_array")]),
        ('{\n"messages": [{"a": 1}]\n}', [("a.json", "data.not_an_array")]),
        ('{\n"data": [1, 2]\n}', [("a.json", "data.not_an_array")]),
        ('{\n"data": [{"a": 1}],\n"data": [{"a": 2}]\n}', [("a.json", "data.key_twice")]),
        ('{\n"data": [{"a": 1},\n{"a": ]\n}', [("a.json:3", "data.json")]),
        ('{\n"data": [{"a": 1}, {"a": NaN}]\n}', [("a.json:2 (#2)", "data.not_finite")]),
        ('{\n"data": [}\n}', [("a.json:2", "data.json")]),
        ("12", [("a.json", "data.not_an_array")]),
        ("[]", [("a.json", "data.no_rows")]),
        ("", [("a.json", "data.empty_file")]),
        (" \n\t", [("a.json", "data.empty_file")]),
        ("\ufeff", [("a.json", "data.empty_file")]),
    ],
)  # fmt: skip
def test_a_broken_json_file_is_named_with_line_and_reason(
    tmp_path: Path, content: str, expected: list[tuple[str, str]]
) -> None:
    assert problems_of(write(tmp_path, "a.json", content)) == expected


@pytest.mark.parametrize("name", ["a.json", "a.csv", "a.jsonl"])
def test_latin_1_is_refused_with_the_lines(tmp_path: Path, name: str) -> None:
    content = {
        "a.json": '[\n{"a": "é"},\n{"a": "ü"}]',
        "a.csv": "a\né\nü",
        "a.jsonl": '{"a": 1}\n{"a": "é"}\n{"a": "ü"}',
    }[name]
    places = [
        where
        for where, code in problems_of(write(tmp_path, name, content.encode("latin-1")))
        if code == "data.not_utf8"
    ]
    assert places == [f"{name}:2", f"{name}:3"]


def test_twenty_problems_are_listed_and_the_rest_counted(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_rows(write(tmp_path, "a.jsonl", "{\n" * 3000))
    assert len(caught.value.problems) == 21
    assert (caught.value.problems[-1].code, caught.value.problems[-1].values) == ("data.more", {"count": 2980})


def test_csv_cells_may_hold_line_breaks_and_rows_keep_their_physical_line(tmp_path: Path) -> None:
    rows = read_rows(write(tmp_path, "a.csv", 'q,"a"\r\n"one\ntwo\n""x""",1\n\nlast,2\n'))
    assert [(row.number, row.values) for row in rows] == [
        (2, {"q": 'one\ntwo\n"x"', "a": "1"}),
        (6, {"q": "last", "a": "2"}),
    ]


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_a_table_may_be_separated_by_semicolons_or_tabs(tmp_path: Path, delimiter: str) -> None:
    assert read_rows(write(tmp_path, "a.csv", f"q{delimiter}a\n1,5{delimiter}2"))[0].values == {"q": "1,5", "a": "2"}


def test_a_very_long_cell_is_read(tmp_path: Path) -> None:
    assert len(read_rows(write(tmp_path, "a.csv", "q,a\n" + "x" * 300_000 + ",1"))[0].values["q"]) == 300_000


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("q,,a\n1,2,3", [("a.csv:1", "data.csv_no_name")]),
        ("q,a,q\n1,2,3", [("a.csv:1", "data.csv_name_twice")]),
        ("q,a\n1\n1,2\n1,2,3", [("a.csv:2", "data.csv_cells"), ("a.csv:4", "data.csv_cells")]),
        ('q,a\n1,2\n"open,3\n4,5', [("a.csv:3", "data.csv")]),
        ("q,a\n", [("a.csv", "data.no_rows")]),
        ("", [("a.csv", "data.empty_file")]),
    ],
)
def test_a_broken_table_is_named_with_line_and_reason(
    tmp_path: Path, content: str, expected: list[tuple[str, str]]
) -> None:
    assert problems_of(write(tmp_path, "a.csv", content)) == expected


def test_an_unknown_suffix_and_a_missing_file_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"\.json, \.jsonl, \.csv"):
        read_rows(write(tmp_path, "a.xlsx", "x"))
    assert problems_of(tmp_path / "none.json") == [("none.json", "data.unreadable")]


def test_ten_thousand_rows_are_read_in_order(tmp_path: Path) -> None:
    values = [{"a": number, "b": "x" * (number % 50)} for number in range(10_000)]
    assert [row.values for row in read_rows(write(tmp_path, "a.json", json.dumps(values, indent=1)))] == values


def test_the_index_that_pandas_writes_without_a_name_gets_its_name(tmp_path: Path) -> None:
    assert read_rows(write(tmp_path, "a.csv", ",q,a\n0,x,y\n"))[0].values == {"Unnamed: 0": "0", "q": "x", "a": "y"}


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "a": 1}',
        '{"a": "x", "b": {"c": [], "c": []}}',
        '{"a": [{"b": "1"}, {"b": "1", "b": "2"}]}',
        r'{"a": "\"", "a": "\""}',
        r'{"b": 1, "b": 2, "a": "\u0022\u0022"}',
        r'{"b": "", "b": "", "a": ["\u0022\u0022", "\u0022\u0022"]}',
        r'{"\u0061": 1, "a": 2}',
        '{"a"\t: 1, "a" : 2}',
        '{"a": 123456789012345678901234567890}',
        '{"a": [[-20000000000000000000]]}',
        '{"a": NaN}',
        '{"a": 1e999}',
        r'{"a": "\ud800"}',
        '{"a": "x"} ',
        '{"a": "x", }',
        "[1]",
        "",
    ],
)
def test_the_fast_decoder_vouches_only_for_what_the_strict_one_reads_the_same(text: str) -> None:
    fast, problems = sure_object(text.encode()), Problems("x")
    strict = StrictJSON(problems).whole(text, "x")
    if text == '{"a": "x"} ':
        assert fast == strict == {"a": "x"}
    else:
        assert fast is None
        assert problems or strict in ({"a": 10**29 + 23456789012345678901234567890}, {"a": [[-2 * 10**19]]}, [1])


def test_elements_are_told_apart_wherever_the_pieces_of_a_file_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(7)
    texts = ['"', "\\", "{", "}", "[", "]", ",", ":", "\n", "é", "中", "😀", "a", "\\\\", '\\"', "\u2028"]

    def value(depth: int) -> Any:
        match chance.randrange(5 if depth < 3 else 3):
            case 0:
                return chance.choice([1, 2.5, -3, True, None, 10**25])
            case 1 | 2:
                return "".join(chance.choices(texts, k=chance.randrange(6)))
            case 3:
                return [value(depth + 1) for _ in range(chance.randrange(3))]
        return {"".join(chance.choices(texts, k=3)): value(depth + 1) for _ in range(chance.randrange(3))}

    for _ in range(300):
        monkeypatch.setattr("core.data.containers.source.CHUNK", chance.choice([1, 2, 3, 7, 50]))
        rows = [{"".join(chance.choices(texts, k=2)): value(0) for _ in range(chance.randrange(4))} for _ in range(4)]
        content = json.dumps(rows, ensure_ascii=chance.random() < 0.5, indent=chance.choice([None, 1]))
        found = read_rows(write(tmp_path, "a.json", content))
        assert [row.values for row in found] == rows
        data = content.encode()
        assert [json.loads(data[row.at : row.at + row.size]) for row in found] == rows
        assert [row.line for row in found] == [data.count(b"\n", 0, row.at) + 1 for row in found]


ROWS = [{"a": f'{number} ]}}["\\ {{"', "b": [{"c": number}]} for number in range(9)]


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("key", ["data", "Train", "examples"])
@pytest.mark.parametrize("beside", [{}, {"version": 1, "tags": ["x", "[{"], "about": {"rows": [{"a": 1}]}}])
def test_an_object_that_wraps_its_rows_is_read_as_the_list_of_them(
    tmp_path: Path, indent: int | None, key: str, beside: dict[str, Any]
) -> None:
    text = json.dumps({**beside, key: ROWS, "n": len(ROWS)}, indent=indent)
    rows = read_rows(write(tmp_path, "a.json", "\ufeff \n" + text))
    assert [row.values for row in rows] == ROWS
    assert [row.number for row in rows] == list(range(1, 10))
    assert {row.within for row in rows} == {key}
    lines = ("\ufeff \n" + text).split("\n")
    assert all(row.line == 2 if indent is None else lines[row.line - 1].strip() == "{" for row in rows)


def test_a_wrapped_list_may_be_longer_than_what_is_read_at_once(tmp_path: Path) -> None:
    many = [{"text": "x" * 997, "n": number} for number in range(4000)]
    file = write(tmp_path, "a.json", json.dumps({"note": "y" * 1000, "data": many, "end": "z"}))
    rows = read_rows(file)
    assert [row.values["n"] for row in rows] == list(range(4000))
    data = file.read_bytes()
    assert all(json.loads(data[row.at : row.at + row.size]) == row.values for row in rows[::500])


def test_rows_with_such_a_key_of_their_own_are_no_wrapper(tmp_path: Path) -> None:
    lines = [{"data": [{"a": 1}]}, {"data": [{"a": 2}]}]
    file = write(tmp_path, "a.json", "\n".join(map(json.dumps, lines)))
    assert [row.values for row in read_rows(file)] == lines
