"""Every kind of file gives the same rows, as a stream, with progress, and as a sample."""

import csv
import gzip
import io
import json
import random
import time
import zipfile
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pyarrow
import pytest
from datasets import Dataset, DatasetDict
from pyarrow import ipc, parquet

from core.data.problems import Problems
from core.data.readers import container, iter_rows, read_rows, sample_rows
from core.errors import DataError
from core.progress import Cancelled


def write(folder: Path, name: str, content: str | bytes) -> Path:
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


ROWS = [{"q": f"question {number} é", "a": f'"{number}"\n'} for number in range(1000)]


def of_every_kind(folder: Path) -> dict[str, Path]:
    """Write the same thousand rows in every kind of file."""
    table = pyarrow.Table.from_pylist(ROWS)
    lines = "\n".join(json.dumps(row) for row in ROWS).encode()
    cells = io.StringIO(newline="")
    csv.writer(cells).writerows([("q", "a"), *(row.values() for row in ROWS)])
    tabs = io.StringIO(newline="")
    csv.writer(tabs, delimiter="\t").writerows([("q", "a"), *(row.values() for row in ROWS)])
    contents = {
        "a.json": json.dumps(ROWS).encode(),
        "b.json": json.dumps(ROWS, indent=1, ensure_ascii=False).encode("utf-16"),
        "a.jsonl": lines,
        "a.csv": cells.getvalue().encode(),
        "a.tsv": tabs.getvalue().encode(),
        "a.jsonl.gz": gzip.compress(lines),
        "b.gz": gzip.compress(lines[:100]) + gzip.compress(lines[100:]),
        "a.csv.gz": gzip.compress(cells.getvalue().encode()),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    parquet.write_table(table, folder / "a.parquet", row_group_size=300)
    with ipc.new_file(str(folder / "a.arrow"), table.schema) as writer:
        writer.write_table(table, max_chunksize=70)
    with ipc.new_stream(str(folder / "b.arrow"), table.schema) as writer:
        writer.write_table(table)
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(folder / "a.parquet", "data/a.parquet")
    (folder / "set" / "deep").mkdir(parents=True)
    (folder / "set" / "deep" / "a.jsonl").write_bytes(lines)
    return {each.name: each for each in folder.iterdir()}


KINDS = {
    "a.json": "json", "b.json": "json", "a.jsonl": "jsonl", "a.csv": "csv", "a.tsv": "tsv", "a.jsonl.gz": "gzip",
    "b.gz": "gzip", "a.csv.gz": "gzip", "a.parquet": "parquet", "a.arrow": "arrow", "b.arrow": "arrow", "a.zip": "zip",
    "set": "folder",
}  # fmt: skip


@pytest.fixture(scope="module")
def every_kind(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return of_every_kind(tmp_path_factory.mktemp("kinds"))


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_file_gives_the_same_rows(every_kind: dict[str, Path], name: str) -> None:
    rows = read_rows(every_kind[name])
    assert [row.values for row in rows] == ROWS
    assert container(every_kind[name]) == KINDS[name]
    assert {row.file for row in rows} == {{"a.zip": "data/a.parquet", "set": "deep/a.jsonl"}.get(name, "")}
    if KINDS[name] not in ("csv", "tsv") and name != "a.csv.gz":
        assert [row.number for row in rows] == list(range(1, 1001))


@pytest.mark.parametrize("name", KINDS)
def test_progress_grows_to_the_size_of_the_file(every_kind: dict[str, Path], name: str) -> None:
    told: list[tuple[int, int]] = []
    for _ in iter_rows(every_kind[name], Problems(name), lambda done, total: told.append((done, total))):
        pass
    path = every_kind[name]
    size = (path / "deep" / "a.jsonl" if path.is_dir() else path).stat().st_size
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1] == (size, size)
    assert {total for _, total in told} == {size}


@pytest.mark.parametrize("name", KINDS)
def test_whoever_listens_can_stop_the_reading(every_kind: dict[str, Path], name: str) -> None:
    def stop(done: int, total: int) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        list(iter_rows(every_kind[name], Problems(name), stop))


@pytest.mark.parametrize("name", KINDS)
def test_a_sample_has_the_first_rows_and_others_from_all_over_the_file(every_kind: dict[str, Path], name: str) -> None:
    rows = sample_rows(every_kind[name], 30, 20)
    numbers = [int(row.values["q"].split()[1]) for row in rows]
    assert numbers[:30] == list(range(30))
    assert numbers == sorted(set(numbers))
    assert 19 <= len(numbers) - 30 <= 20
    gaps = [later - earlier for earlier, later in pairwise(numbers[30:])]
    assert all(35 < gap < 60 for gap in gaps)
    whole = {row.values["q"]: row for row in read_rows(every_kind[name])}
    assert all(row == whole[row.values["q"]] for row in rows)  # with the same place


def test_a_sample_of_a_short_file_is_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, "a.jsonl", '{"a": 1}\n\n{"a": bad}\n{"a": 2}')
    assert [(row.number, row.values) for row in sample_rows(file)] == [(1, {"a": 1}), (4, {"a": 2})]
    assert [row.values for row in sample_rows(file, 1, 0)] == [{"a": 1}]


def test_a_sample_of_a_file_without_a_good_row_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.jsonl:2: This is not valid JSON"):
        sample_rows(write(tmp_path, "a.jsonl", "{\n{\n"))
    with pytest.raises(DataError, match="no rows"):
        sample_rows(write(tmp_path, "a.json", "[]"))


def test_a_sample_decodes_only_what_it_returns(tmp_path: Path) -> None:
    lines = [b'{"a": %d}' % number for number in range(100_000)]
    lines[700:99_000:2] = [b"{bad}    "] * len(lines[700:99_000:2])
    began = time.process_time()
    assert len(sample_rows(write(tmp_path, "a.jsonl", b"\n".join(lines)))) > 250
    sampled = time.process_time()
    for line in lines:
        with suppress(ValueError):
            json.loads(line)
    assert sampled - began < (time.process_time() - sampled) / 3  # a twelfth


def test_a_sample_of_a_folder_has_rows_of_every_file(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write(tmp_path, f"{name}.jsonl", "".join(f'{{"{name}": {number}}}\n' for number in range(500)))
    rows = sample_rows(tmp_path, 30, 30)
    assert [sum(row.file == f"{name}.jsonl" for row in rows) for name in ("a", "b", "c")] == [20, 20, 20]


def test_rows_behind_a_broken_one_are_read_and_the_stream_never_stops_for_it(tmp_path: Path) -> None:
    problems = Problems("a.jsonl")
    rows = iter_rows(write(tmp_path, "a.jsonl", '{"a": 1}\n{\n{"a": 3}\n[]\n{"a": 5}'), problems)
    assert [row.number for row in rows] == [1, 3, 5]
    assert [(each.where, each.code) for each in problems.listed()] == [
        ("a.jsonl:2", "data.json"),
        ("a.jsonl:4", "data.not_an_object"),
    ]


def test_a_text_file_is_one_row_and_a_folder_of_them_one_each(tmp_path: Path) -> None:
    write(tmp_path, "b.txt", "one\r\ntwo\u2028three\n")
    write(tmp_path, "a.md", "\ufeff# Title\n")
    assert [row.values for row in read_rows(tmp_path / "b.txt")] == [{"text": "one\r\ntwo\u2028three\n"}]
    rows = read_rows(tmp_path)
    assert [(row.file, row.number, row.values["text"]) for row in rows] == [
        ("a.md", 1, "# Title\n"),
        ("b.txt", 1, "one\r\ntwo\u2028three\n"),
    ]


def test_what_datasets_saves_to_disk_is_read_as_a_folder(tmp_path: Path) -> None:
    Dataset.from_list(ROWS).save_to_disk(str(tmp_path / "one"))
    DatasetDict({"train": Dataset.from_list(ROWS), "test": Dataset.from_list(ROWS[:5])}).save_to_disk(
        str(tmp_path / "two")
    )
    assert [row.values for row in read_rows(tmp_path / "one")] == ROWS
    rows = read_rows(tmp_path / "two")
    assert [sum(row.file.startswith(part) for row in rows) for part in ("train/", "test/")] == [1000, 5]


def test_values_that_json_does_not_know_become_texts(tmp_path: Path) -> None:
    columns = {
        "day": pyarrow.array([date(2024, 2, 29), None]),
        "time": pyarrow.array([datetime(2024, 2, 29, 12, 30), None]),
        "price": pyarrow.array([Decimal("1.50"), None]),
        "bytes": pyarrow.array([b"text", None]),
        "score": pyarrow.array([float("nan"), 0.5]),
        "map": pyarrow.array([[("k", 1)], None], pyarrow.map_(pyarrow.string(), pyarrow.int64())),
        "turns": pyarrow.array([[{"role": "user", "content": "x"}], []]),
        "flag": pyarrow.array([True, False]),
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    assert [row.values for row in read_rows(tmp_path / "a.parquet")] == [
        {"day": "2024-02-29", "time": "2024-02-29T12:30:00", "price": "1.50", "bytes": "text", "score": None,
         "map": {"k": 1}, "turns": [{"role": "user", "content": "x"}], "flag": True},
        {"day": None, "time": None, "price": None, "bytes": None, "score": 0.5, "map": None, "turns": [], "flag": False},
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.csv", "a.jsonl.gz", "a.parquet"])
def test_the_first_row_comes_before_the_rest_is_read(tmp_path: Path, name: str) -> None:
    chance = random.Random(7)
    rows = [{"a": chance.randbytes(500).hex()} for _ in range(5000)]
    content = {
        "a.json": json.dumps(rows),
        "a.jsonl": "\n".join(map(json.dumps, rows)),
        "a.csv": "a\n" + "\n".join(row["a"] for row in rows),
    }
    if name == "a.parquet":
        parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / name)
    else:
        plain = content[name.removesuffix(".gz")].encode()
        write(tmp_path, name, gzip.compress(plain, 1) if name.endswith(".gz") else plain)
    told: list[int] = [0]
    reading = iter_rows(tmp_path / name, Problems(name), lambda done, total: told.append(done))
    assert next(reading).values == rows[0]
    assert told[-1] < 0.6 * (tmp_path / name).stat().st_size
    reading.close()
