"""The index of rows: any page at once, always the same rows that a full reading gives."""

import json
import os
import time
from pathlib import Path

import pytest

from core.data.index import RowIndex, recorded
from core.data.problems import Problems
from core.data.readers import Row, iter_rows
from core.errors import DataError

JSONL = '{"a": 1}\r\n\n{"a": bad}\n{"a": "x\u2028y"}\n{"a": 123456789012345678901234567890}\n{}'
ARRAY = '[\n  {"a": "]}"}, {"a": [{"b": "\\""}]},\n 7, {"a": 2,},\n\n  {"a": "é中😀"}\n]\n'
CSV = 'q,"a"\r\n"one\ntwo\n""x""",1\n\nlast,2\nshort\né,"中\n"\n'
FILES = {"a.jsonl": JSONL, "a.json": ARRAY, "a.csv": CSV, "a.tsv": CSV.replace(",", "\t")}


def usable(file: Path) -> list[Row]:
    return list(iter_rows(file, Problems(file.name)))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("name", FILES)
def test_every_page_has_the_rows_that_reading_the_whole_file_gives(tmp_path: Path, name: str, encoding: str) -> None:
    file = tmp_path / name
    file.write_bytes(FILES[name].encode(encoding))
    rows = usable(file)
    assert len(rows) in (3, 4)
    for _ in range(2):  # once built, once from the cache
        index = RowIndex.of(file, tmp_path / "cache")
        assert len(index) == len(rows)
        for start in range(len(rows) + 1):
            for count in range(len(rows) + 2):
                assert index.rows(start, count) == rows[start : start + count]


def test_places_in_the_file_are_kept(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(ARRAY)
    (tmp_path / "a.csv").write_text(CSV)
    assert [row.place for row in RowIndex.of(tmp_path / "a.json", tmp_path).rows(0, 9)] == [
        "2 (#1)",
        "2 (#2)",
        "5 (#5)",
    ]
    assert [row.place for row in RowIndex.of(tmp_path / "a.csv", tmp_path).rows(0, 9)] == ["2", "6", "8"]


def test_a_page_before_the_beginning_or_behind_the_end_is_cut(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n{"a": 2}')
    index = RowIndex.of(tmp_path / "a.jsonl", tmp_path)
    assert index.rows(2, 10) == index.rows(0, 0) == index.rows(0, -1) == []
    assert [row.values for row in index.rows(-5, 1)] == [{"a": 1}]


def test_a_changed_file_gets_a_new_index_and_an_old_one_refuses(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"a": 1}\n')
    old = RowIndex.of(file, tmp_path / "cache")
    file.write_text('{"b": 20}\n{"b": 21}\n')
    assert [row.values for row in RowIndex.of(file, tmp_path / "cache").rows(1, 1)] == [{"b": 21}]
    with pytest.raises(DataError, match="changed"):
        old.rows(0, 1)


def test_a_file_of_the_same_size_and_another_time_gets_a_new_index(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"a": 1, "b": 2}\n')
    assert len(RowIndex.of(file, tmp_path / "cache")) == 1
    file.write_text('{"a": 1}\n{"b":2}\n')
    os.utime(file, ns=(1, 1))
    assert len(RowIndex.of(file, tmp_path / "cache")) == 2


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", b"rubbish" * 100])
def test_a_damaged_index_is_made_again(tmp_path: Path, damage: bytes) -> None:
    file, cache = tmp_path / "a.jsonl", tmp_path / "cache"
    file.write_text('{"a": 1}\n')
    RowIndex.of(file, cache)
    (saved,) = cache.iterdir()
    saved.write_bytes(damage)
    assert len(RowIndex.of(file, cache)) == 1


def test_an_index_is_kept_while_the_rows_are_read_anyway(tmp_path: Path) -> None:
    file, cache = tmp_path / "a.csv", tmp_path / "cache"
    file.write_text(CSV)
    passed = list(recorded(iter_rows(file, Problems("a.csv")), file, cache))
    assert passed == usable(file)
    (saved,) = cache.iterdir()
    written = saved.stat().st_mtime_ns
    assert RowIndex.of(file, cache).rows(0, 9) == passed
    assert saved.stat().st_mtime_ns == written


def test_a_reading_that_was_given_up_leaves_no_index(tmp_path: Path) -> None:
    file, cache = tmp_path / "a.jsonl", tmp_path / "cache"
    file.write_text('{"a": 1}\n{"a": 2}\n')
    rows = recorded(iter_rows(file, Problems("a.jsonl")), file, cache)
    next(rows)
    rows.close()
    assert list(cache.iterdir()) == []


def test_a_kind_without_places_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(DataError, match=r"\.json, \.jsonl, \.csv, \.tsv"):
        RowIndex.of(tmp_path / "a.txt", tmp_path)


def test_a_page_in_the_middle_of_a_long_file_comes_at_once(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(b"".join(json.dumps({"n": n, "t": "x" * 100}).encode() + b"\n" for n in range(100_000)))
    RowIndex.of(file, tmp_path / "cache")
    began = time.process_time()
    page = RowIndex.of(file, tmp_path / "cache").rows(76_543, 20)
    read = time.process_time()
    everything = [json.loads(line) for line in file.read_bytes().splitlines()]
    assert read - began < (time.process_time() - read) / 10  # a 250th
    assert [row.values for row in page] == everything[76_543:76_563]
    assert [row.values["n"] for row in page] == list(range(76_543, 76_563))
    assert page[0].number == 76_544


@pytest.mark.parametrize(
    ("name", "begin", "end"), [("a.jsonl", '{"a": 1}\n"', '"\n{"a": 2}\n'), ("a.csv", "a\n1\n", "\n2\n"),
                               ("a.json", '[{"a": 1},\n["', '"], {"a": 2}]')]
)  # fmt: skip
def test_rows_behind_one_that_is_too_long_are_found(tmp_path: Path, name: str, begin: str, end: str) -> None:
    (tmp_path / name).write_text(begin + "x" * 33_000_000 + end)
    rows = RowIndex.of(tmp_path / name, tmp_path).rows(0, 9)
    assert [str(row.values["a"]) for row in rows] == ["1", "2"]
