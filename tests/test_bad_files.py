"""Files that are broken, odd or hostile: each gets the file, the line and the reason, and its good rows are still read."""

import codecs
import gzip
import io
import json
import random
import stat
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pyarrow
import pytest
from pyarrow import ipc, parquet

from core.data.problems import Problems
from core.data.readers import container, iter_rows, read_rows, sample_rows
from core.errors import DataError

ROOT = Path(__file__).parent.parent
GOOD = b'{"a": 1}\n{"a": 2}\n{"a": 3}\n'
MB = 1_000_000


def found_in(file: Path) -> tuple[int, list[tuple[str, str]]]:
    """Return how many rows are read, and place and code of everything that is reported or raised."""
    problems = Problems(file.name)
    rows = 0
    try:
        for _ in iter_rows(file, problems):
            rows += 1
    except DataError as error:
        problems.add_all(error.problems)
    for each in problems.kept:  # every sentence exists in both languages and its blanks are filled
        assert each.say("en") != each.say("zh")
    return rows, [(each.where, each.code) for each in problems.kept]


def zipped(members: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return data.getvalue()


def a_parquet(rows: list[dict[str, object]]) -> bytes:
    data = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows), data)
    return data.getvalue()


PARQUET = a_parquet([{"a": 1}, {"a": 2}])
TEN_THOUSAND = b"".join(b'{"a": %d}\n' % number for number in range(10_000))


@pytest.mark.parametrize(
    ("name", "content", "rows", "expected"),
    [
        # nothing is wrong with these
        ("bom.jsonl", codecs.BOM_UTF8 + GOOD, 3, []),
        ("utf16.jsonl", GOOD.decode().encode("utf-16"), 3, []),
        ("utf16.csv", "q,a\né,中\n".encode("utf-16-be"), 1, []),
        ("utf32.json", '[{"a": "é"}]'.encode("utf-32-le"), 1, []),
        ("crlf.jsonl", GOOD.replace(b"\n", b"\r\n"), 3, []),
        ("crlf.csv", b"q,a\r\n1,2\r\n", 1, []),
        ("mac.csv", b"q,a\r1,2\r3,4", 2, []),
        ("u2028.jsonl", '{"a": "x\u2028y\u2029z\u0085"}\n{"a": "\x0b\x0c"}\n'.replace("\x0b\x0c", "\\f").encode(), 2, []),
        ("big.jsonl", b'{"a": 123456789012345678901234567890, "b": 1e300}', 1, []),
        ("other.ndjson", GOOD, 3, []),
        ("no_end.jsonl", b'{"a": 1}', 1, []),
        ("space.json", b" \n" * 700_000 + b'[{"a": 1}]', 1, []),
        # lines
        ("nul.jsonl", b'{"a": "x\x00y"}\n' + GOOD, 3, [("nul.jsonl:1", "data.json")]),
        ("nul.csv", b'q,a\n1,2\n"x\ny\x00",3\n4,5\n', 2, [("nul.csv:4", "data.nul")]),
        ("nul.txt", b"one\ntwo\x00", 0, [("nul.txt:2", "data.nul")]),
        ("twice.jsonl", GOOD + b'{"a": 1, "b": {"c": 1, "c" : 2}}\n' + GOOD, 6, [("twice.jsonl:4", "data.key_twice")]),
        ("twice.json", b'[{"a": 1},\n{"a": "\\"", "a": "x"},\n{"a": 3}]', 2, [("twice.json:2 (#2)", "data.key_twice")]),
        ("comma.jsonl", b'{"a": 1,}\n' + GOOD, 3, [("comma.jsonl:1", "data.json")]),
        ("comma.json", b'[\n{"a": 1},\n{"a": 2},\n]', 2, [("comma.json:4", "data.json")]),
        ("in.json", b'[\n{"a": 1},\n{"a": 2,},\n{"a": 3}\n]', 2, [("in.json:3", "data.json")]),
        ("nan.jsonl", b'{"a": NaN}\n{"a": -Infinity}\n{"a": 1e999}\n' + GOOD, 3,
         [("nan.jsonl:1", "data.not_finite"), ("nan.jsonl:2", "data.not_finite"), ("nan.jsonl:3", "data.not_finite")]),
        ("nan.json", b'[{"a": 1}, {"a": NaN}]', 1, [("nan.json:1 (#2)", "data.not_finite")]),
        ("half.jsonl", b'{"a": "\\ud83d"}\n{"\\udc00": 1}\n{"a": "\\ud83d\\ude00"}\n', 1,
         [("half.jsonl:1", "data.surrogate"), ("half.jsonl:2", "data.surrogate")]),
        ("half_bytes.jsonl", b'{"a": "\xed\xa0\xbd"}\n' + GOOD, 3, [("half_bytes.jsonl:1", "data.not_utf8")]),
        ("latin.json", b'[{"a": "x"},\n{"a":\n"\xe9"},\n{"a": "y"}]', 2, [("latin.json:3", "data.not_utf8")]),
        ("latin.csv", b"q,a\n1,2\n\xe9,\xfc\n3,4\n", 2, [("latin.csv:3", "data.not_utf8")]),
        ("latin.txt", b"one\n\xe9\n", 0, [("latin.txt:2", "data.not_utf8")]),
        ("deep.jsonl", b'{"a": ' + b"[" * 200_000 + b"]" * 200_000 + b"}\n" + GOOD, 3, [("deep.jsonl:1", "data.json")]),
        ("deep.json", b'[{"a": 1},\n{"a": ' + b"[" * 200_000 + b"]" * 200_000 + b"},\n{}]", 2,
         [("deep.json:2", "data.json")]),
        ("deeper.json", b"[" * 1_000_000, 0, [("deeper.json:1", "data.json")]),
        ("not_array.json", b'{\n"a": ' + b"[" * 100_000 + b"}", 0, [("not_array.json:1", "data.json")]),
        ("mixed.json", b'[{"a": 1}, 7, "x, [", null, [1], {"a": 2}]', 2,
         [(f"mixed.json:1 (#{number})", "data.not_an_object") for number in (2, 3, 4, 5)]),
        ("quote.json", b'[{"a": "x},\n{"a": "y"},\n{"a": "{}"}]', 0, [("quote.json:1", "data.json")]),
        ("quote.csv", b'q,a\n1,2\n"x,3\n4,5\n', 1, [("quote.csv:3", "data.csv")]),
        ("wrong_end.json", b'[{"a": 1}}', 1, [("wrong_end.json:1", "data.json")]),
        ("two.json", b'[{"a": 1}]\n\n[{"a": 2}]', 1, [("two.json:3", "data.json")]),
        # the file as a whole
        ("empty.jsonl", b"", 0, [("empty.jsonl", "data.empty_file")]),
        ("bom.json", codecs.BOM_UTF16_LE, 0, [("bom.json", "data.empty_file")]),
        ("blank.csv", b"\n \r\n", 0, [("blank.csv", "data.empty_file")]),
        ("empty.csv.gz", gzip.compress(b"", mtime=0), 0, [("empty.csv.gz", "data.empty_file")]),
        ("empty.gz", b"", 0, [("empty.gz", "data.empty_file")]),
        ("empty.parquet", b"", 0, [("empty.parquet", "data.not_what_it_says")]),
        ("a.xlsx", b"PK\x03\x04", 0, [("a.xlsx", "data.suffix")]),
        ("a.tar.gz", gzip.compress(b"x", mtime=0), 0, [("a.tar.gz", "data.suffix")]),
        ("none", b"x", 0, [("none", "data.suffix")]),
        ("packed.jsonl", gzip.compress(GOOD, mtime=0), 0, [("packed.jsonl", "data.wrong_suffix")]),
        ("excel.csv", zipped({"xl/workbook.xml": b"x"}), 0, [("excel.csv", "data.foreign_kind")]),
        ("paper.txt", b"%PDF-1.7 \x00", 0, [("paper.txt", "data.foreign_kind")]),
        ("json.csv", GOOD, 0, [("json.csv", "data.wrong_suffix")]),
        ("page.json", b"\n<!DOCTYPE html><html>", 0, [("page.json", "data.web_page")]),
        ("page.parquet", b"<html>", 0, [("page.parquet", "data.web_page")]),
        ("lfs.parquet", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", 0,
         [("lfs.parquet", "data.lfs_pointer")]),
        ("table.json", PARQUET, 0, [("table.json", "data.wrong_suffix")]),
        ("text.parquet", GOOD, 0, [("text.parquet", "data.not_what_it_says")]),
        ("text.zip", GOOD, 0, [("text.zip", "data.not_what_it_says")]),
        ("text.arrow", GOOD, 0, [("text.arrow", "data.columnar")]),
        ("cut.parquet", PARQUET[: len(PARQUET) // 2], 0, [("cut.parquet", "data.columnar")]),
        ("odd.jsonl", GOOD.decode().encode("utf-16")[:-1], 2, [("odd.jsonl:3", "data.encoding")]),
        # packed
        ("cut.jsonl.gz", gzip.compress(TEN_THOUSAND, mtime=0)[:-8], 10_000, [("cut.jsonl.gz:10001", "data.cut_off")]),
        ("cut.json.gz", gzip.compress(b'[\n{"a": 1},\n' + b" " * 99, mtime=0)[:-9], 1, [("cut.json.gz:2", "data.cut_off")]),
        ("head.csv.gz", gzip.compress(b"q,a\n1,2", mtime=0)[:9], 0, [("head.csv.gz:1", "data.cut_off")]),
        ("sum.jsonl.gz", gzip.compress(GOOD, mtime=0)[:-8] + b"12345678", 3, [("sum.jsonl.gz:4", "data.packed")]),
        ("not.jsonl.gz", GOOD, 0, [("not.jsonl.gz:1", "data.packed")]),
        ("cut.zip", zipped({"a.jsonl": TEN_THOUSAND})[:-30], 0, [("cut.zip", "data.zip")]),
        ("no_data.zip", zipped({"a.png": b"x", ".b.json": b"[]"}), 0, [("no_data.zip", "data.no_files")]),
        ("in.zip", zipped({"b.zip": zipped({"a.jsonl": GOOD}), "c.jsonl": GOOD}), 3, [("b.zip", "data.zip_in_zip")]),
        ("part.zip", zipped({"a.jsonl": GOOD, "b.json": b"", "c.csv": b"q,a\n1\n"}), 3,
         [("b.json", "data.empty_file"), ("c.csv:2", "data.csv_cells")]),
        ("up.zip", zipped({"../../etc/a.jsonl": GOOD}), 0, [("up.zip", "data.zip_path")]),
        ("root.zip", zipped({"/etc/a.jsonl": GOOD}), 0, [("root.zip", "data.zip_path")]),
        ("many.zip", zipped({f"{number}.json": b"" for number in range(10_001)}), 0,
         [("many.zip", "data.too_many_files")]),
    ],
)  # fmt: skip
def test_a_bad_file_gets_the_line_and_the_reason_and_its_good_rows_are_read(
    tmp_path: Path, name: str, content: bytes, rows: int, expected: list[tuple[str, str]]
) -> None:
    (tmp_path / name).write_bytes(content)
    assert found_in(tmp_path / name) == (rows, expected)
    if rows:  # a sample is taken from what is good, and does not fall over what is not
        assert 0 < len(sample_rows(tmp_path / name)) <= rows


def test_a_gzip_bomb_is_refused_at_one_gigabyte(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(GOOD, mtime=0) + gzip.compress(b"0" * 20 * MB) * 51)
    assert found_in(tmp_path / "a.jsonl.gz") == (3, [("a.jsonl.gz", "data.bomb")])


def test_a_zip_bomb_is_refused_before_anything_is_unpacked(tmp_path: Path) -> None:
    data = bytearray(zipped({"a.jsonl": GOOD}))
    place = data.index(b"PK\x01\x02") + 24  # what the archive's list says of the unpacked size
    data[place : place + 4] = (2000 * MB).to_bytes(4, "little")
    (tmp_path / "a.zip").write_bytes(bytes(data))
    assert found_in(tmp_path / "a.zip") == (0, [("a.zip", "data.bomb")])


def test_a_member_that_unpacks_to_more_than_the_archive_says_is_cut_and_told(tmp_path: Path) -> None:
    data = bytearray(zipped({"a.jsonl": GOOD}))
    place = data.index(b"PK\x01\x02") + 24
    data[place : place + 4] = (10).to_bytes(4, "little")
    (tmp_path / "a.zip").write_bytes(bytes(data))
    assert found_in(tmp_path / "a.zip") == (0, [("a.jsonl:1", "data.packed")])


def test_a_link_in_an_archive_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        link = zipfile.ZipInfo("a.jsonl")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    assert found_in(tmp_path / "a.zip") == (0, [("a.zip", "data.zip_path")])


def test_a_member_with_a_password_is_told(tmp_path: Path) -> None:
    data = bytearray(zipped({"a.jsonl": GOOD}))
    data[6] |= 1  # the flag in the member's own header, and in the archive's list
    data[data.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(bytes(data))
    assert found_in(tmp_path / "a.zip") == (0, [("a.zip", "data.zip_password")])


def test_reading_an_archive_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zipped({"in/a.jsonl": GOOD, "b.parquet": PARQUET}))
    assert found_in(tmp_path / "a.zip") == (5, [])
    assert [each.name for each in tmp_path.iterdir()] == ["a.zip"]


def test_a_folder_reads_its_good_files_and_names_the_bad_ones(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    (folder / "deep" / ".git").mkdir(parents=True)
    files = {"a.jsonl": GOOD, "b.json": b"[", "deep/c.csv": b"q,a\n1,2\n", "deep/d.parquet": b"x", "e.json.gz": GOOD,
             "deep/.git/f.json": b"x", ".g.json": b"x", "dataset_info.json": b"{}", "state.json": b"{}",
             "README.md": b"x", "picture.png": b"x"}  # fmt: skip
    for name, content in files.items():
        (folder / name).write_bytes(content)
    assert found_in(folder) == (
        4,
        [("b.json:1", "data.json"), ("deep/d.parquet", "data.not_what_it_says"), ("e.json.gz:1", "data.packed")],
    )
    assert {row.file for row in iter_rows(folder, Problems("set"))} == {"a.jsonl", "deep/c.csv"}
    assert container(folder) == "folder"


def test_a_link_that_leads_out_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "a.jsonl").write_bytes(GOOD)
    (folder / "b.txt").symlink_to(tmp_path / "secret.txt")
    assert found_in(folder) == (0, [("b.txt", "data.link_outside")])


@pytest.mark.parametrize("names", [[], ["a.png", "b"]])
def test_a_folder_without_data_is_told(tmp_path: Path, names: list[str]) -> None:
    (tmp_path / "set").mkdir()
    for name in names:
        (tmp_path / "set" / name).write_bytes(b"x")
    assert found_in(tmp_path / "set") == (0, [("set", "data.no_files")])


def test_odd_values_of_a_parquet_file_are_named_with_row_and_column(tmp_path: Path) -> None:
    values = [b"text", b"\xff\xfe", b"more"]
    table = pyarrow.table({"a": pyarrow.array(values, pyarrow.binary()), "b": [1.5, 1.0, float("inf")]})
    parquet.write_table(table, tmp_path / "a.parquet")
    assert found_in(tmp_path / "a.parquet") == (1, [("a.parquet:2", "data.binary"), ("a.parquet:3", "data.infinite")])
    with pytest.raises(DataError, match='"a" holds bytes'):
        read_rows(tmp_path / "a.parquet")


def an_arrow(stream: bool) -> bytes:
    data = io.BytesIO()
    table = pyarrow.Table.from_pylist([{"a": f"x{number}", "b": [{"c": number}]} for number in range(20)])
    with (ipc.new_stream if stream else ipc.new_file)(data, table.schema) as writer:
        writer.write_table(table)
    return data.getvalue()


_JSON = json.dumps([{"a": f'x\n"{number}é', "b": [{"c": number}]} for number in range(20)], indent=1).encode()
_LINES = b"\n".join(json.dumps(each).encode() for each in json.loads(_JSON))
_TABLE = b"q,a\n" + b'"x, ""y""\nz",1\n' * 20


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", _JSON), ("a.jsonl", _LINES), ("a.csv", _TABLE), ("b.json", _JSON.decode().encode("utf-16")),
        ("a.json.gz", gzip.compress(_JSON, mtime=0)), ("a.csv.gz", gzip.compress(_TABLE)), ("a.txt", _JSON),
        ("a.parquet", PARQUET), ("a.arrow", an_arrow(False)), ("b.arrow", an_arrow(True)),
        ("a.zip", zipped({"a.json": _JSON, "b.csv": _TABLE, "c.parquet": PARQUET})),
    ],
    ids=lambda value: value if isinstance(value, str) else "content",  # packed files hold the time: no name of a test
)  # fmt: skip
def test_whatever_is_damaged_in_a_file_is_told_and_never_crashes(tmp_path: Path, name: str, content: bytes) -> None:
    chance = random.Random(7)
    for _ in range(40):
        data = bytearray(content)
        for _ in range(chance.randrange(1, 4)):
            place = chance.randrange(len(data))
            match chance.randrange(4):
                case 0:
                    del data[max(place, 1) :]
                case 1:
                    data[place] = chance.randrange(256)
                case 2:
                    del data[place : place + chance.randrange(1, 20)]
                case _:
                    data[place:place] = chance.randbytes(3)
            data = data or bytearray(b" ")
        (tmp_path / name).write_bytes(bytes(data))
        found_in(tmp_path / name)  # anything but problems and a DataError fails


_MEASURE = """
import re, sys, time
from pathlib import Path
from core.data.problems import Problems
from core.data.readers import iter_rows, sample_rows
from core.errors import DataError
began = time.monotonic()
problems = Problems("x")
rows = 0
try:
    for row in iter_rows(Path(sys.argv[1]), problems):
        rows += 1
    sample_rows(Path(sys.argv[1]))
except DataError as error:
    problems.add_all(error.problems)
# Not getrusage: its maximum begins with what the process that started this one had.
megabytes = int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024
print(rows, [(each.where, each.code) for each in problems.kept], megabytes < 200, time.monotonic() - began < 60)
"""


@pytest.mark.parametrize(
    ("name", "begin", "middle", "end", "expected"),
    [
        ("a.jsonl", b'{"a": 0}\n{"a": "', b"x" * MB, b'"}\n{"a": 1}\n', (2, [("a.jsonl:2", "data.row_too_long")])),
        ("b.jsonl", b'{"a": 0}\n', b"[" * MB, b"\n", (1, [("b.jsonl:2", "data.row_too_long")])),
        ("c.jsonl", b"", b"x" * MB, b"", (0, [("c.jsonl:1", "data.row_too_long")] * 2)),
        ("a.json", b'[{"a": 0},\n{"a": "', b"x]\n" * (MB // 3), b'"},\n{"a": 1}]',
         (2, [("a.json:2 (#2)", "data.row_too_long")])),
        ("b.json", b'[{"a": 0},', b" \n" * (MB // 2), b'{"a": 1}]', (1, [("b.json:1", "data.row_too_long")])),
        ("c.json", b'[{"a": 0},\n', b"1" * MB, b"]", (1, [("c.json:1", "data.row_too_long")])),
        ("d.json", b'{"a": "', b"x" * MB, b'"}', (0, [("d.json:1", "data.row_too_long")] * 2)),
        ("e.json", b'[{"a": 0},\n{"a": "', b"x\n" * (MB // 2), b"", (1, [("e.json:2 (#2)", "data.row_too_long")])),
        ("a.csv", b"q,a\n1,2\nx,", b"y" * MB, b"\n3,4\n", (2, [("a.csv:3", "data.row_too_long")])),
        ("b.csv", b'q,a\n1,2\n"x,', (b"y" * 999 + b"\n") * 1000, b"", (1, [("b.csv:3", "data.row_too_long")])),
        ("a.txt", b"", b"word " * (MB // 5), b"", (0, [("a.txt:1", "data.row_too_long")] * 2)),
    ],
)  # fmt: skip
def test_a_hundred_megabytes_without_an_end_are_told_within_bounded_memory(
    tmp_path: Path, name: str, begin: bytes, middle: bytes, end: bytes, expected: tuple[int, list[tuple[str, str]]]
) -> None:
    with (tmp_path / name).open("wb") as file:
        file.write(begin)
        for _ in range(100):
            file.write(middle)
        file.write(end)
    command = [sys.executable, "-c", _MEASURE, str(tmp_path / name)]
    measured = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    assert measured.stdout.strip() == f"{expected[0]} {expected[1]} True True"
    (tmp_path / name).unlink()


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.jsonl", "{" + ", ".join(f'"{number}": 0' for number in [*range(300_000), 7]) + "}", "data.key_twice"),
        ("a.csv", ",".join(map(str, [*range(300_000), 7])) + "\n", "data.csv_name_twice"),
        ("a.json", "[" + "7," * 300_000 + "{}]", "data.not_an_object"),
        ("c.json", "[" + "NaN," * 300_000 + "{}]", "data.not_finite"),
        ("b.json", "[" + '{"a": 1,},' * 100_000 + "{}]", "data.json"),
        ("b.jsonl", "}\n" * 300_000, "data.json"),
        ("b.csv", 'q,a\n"\n' + '""\n' * 300_000, "data.csv"),
    ],
)
def test_hundreds_of_thousands_of_mistakes_take_seconds_and_not_hours(
    tmp_path: Path, name: str, content: str, expected: str
) -> None:
    (tmp_path / name).write_text(content)
    began = time.process_time()
    assert found_in(tmp_path / name)[1][0][1] == expected
    assert time.process_time() - began < 20


def test_a_text_of_very_many_lines_stays_within_bounded_memory(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"ab\n" * 10_000_000)
    command = [sys.executable, "-c", _MEASURE, str(tmp_path / "a.txt")]
    measured = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    assert measured.stdout.strip() == "1 [] True True"
