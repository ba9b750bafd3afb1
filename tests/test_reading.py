"""Rows of an evaluation, the views over them, what differs between two answers, and the table that leaves the studio."""

import csv
import itertools
import json
import random
import time

import pytest

from core.evaluate import answers, items, scores
from core.evaluate.answers import Answer
from core.evaluate.changes import as_html, changes
from core.evaluate.export import lines, write_csv
from core.evaluate.items import Item
from core.evaluate.reading import VIEWS, select
from core.evaluate.rows import Row, rows
from core.records import Message


def item(key, question="q", expected="", **more):
    return Item(key, more.pop("source", "desk"), 1, (Message("user", question),), expected, **more)


def row(key, base="", tuned="", *, right=(None, None), overlap=0.0, ended=True, asked=True, values=None, **more):
    said = {"base": Answer(key, "base", base), "tuned": Answer(key, "tuned", tuned, ended=ended, asked=asked)}
    graded = {"base": {"right": right[0]}, "tuned": {"right": right[1], "rougeL": overlap, **(values or {})}}
    return Row(item(key, **more), said, graded)


def keys(found):
    return [each.item.key for each in found]


@pytest.fixture
def job(tmp_path):
    items.write(tmp_path, [item("a", "When does it ship?", "On Monday."), item("b", source="zh"), item("c")])
    return tmp_path


def test_a_row_is_there_as_soon_as_one_contestant_has_answered_it(job):
    assert rows(job) == []
    answers.append(job, [Answer("c", "base", "later"), Answer("a", "base", "on Tuesday", 3)])
    found = rows(job)
    assert keys(found) == ["a", "c"]  # in the order of the items
    assert (found[0].text("base"), found[0].text("tuned")) == ("on Tuesday", "")
    assert found[0].value("base", "right") is None


def test_rows_of_a_finished_evaluation_have_their_values(job):
    answers.append(job, [Answer("a", "base", "x"), Answer("a", "tuned", "y"), Answer("b", "tuned", "z")])
    scores.write_grades(job, {"base": {"a": {"right": 0.0}}, "tuned": {"a": {"right": 100.0, "rougeL": None}, "b": {}}})
    found = rows(job)
    assert [found[0].value("base", "right"), found[0].value("tuned", "right")] == [0.0, 100.0]
    assert found[0].value("tuned", "rougeL") is None
    assert found[1].values == {"tuned": {}}


def test_a_second_answer_to_the_same_item_takes_the_place_of_the_first(job):
    answers.append(job, [Answer("a", "base", "x"), Answer("a", "base", "y")])
    assert rows(job)[0].text("base") == "y"


def test_rows_that_were_read_before_are_read_again_once_more_is_there(job):
    for count, key in enumerate("abc", 1):
        answers.append(job, [Answer(key, "base", "x")])
        assert len(rows(job)) == count
    assert rows(job)[0].value("base", "right") is None
    scores.write_grades(job, {"base": {"a": {"right": 100.0}}})
    assert rows(job)[0].value("base", "right") == 100.0


def test_right_answers_are_best_and_wrong_ones_that_share_least_are_worst():
    found = [row("near", right=(0, 0), overlap=70), row("right", right=(0, 100), overlap=20), row("far", right=(0, 0)),
             Row(item("unread"), {"tuned": Answer("unread", "tuned", "?")}, {})]  # fmt: skip
    assert keys(select(found, "best")) == ["right", "near", "far"]
    assert keys(select(found, "worst")) == ["far", "near", "right"]


def test_a_good_score_for_a_wrong_answer_is_found_at_60_and_not_below():
    found = [row("below", right=(0, 0), overlap=59.9), row("at", right=(0, 0), overlap=60),
             row("right", right=(0, 100), overlap=90), row("untold", overlap=95),
             row("by f1", right=(0, 0), overlap=None, values={"f1": 80.0})]  # fmt: skip
    assert keys(select(found, "high_score_wrong")) == ["by f1", "at"]


def test_answers_that_share_no_word_changed_most_and_equal_ones_are_left_out():
    found = [row("one word", "It ships on Monday", "It ships on Tuesday"), row("same", "yes", "yes"),
             row("all", "It ships on Monday", "No idea"), row("zh", "我是通义千问", "我是小光明灯")]  # fmt: skip
    assert keys(select(found, "most_changed")) == ["all", "zh", "one word"]  # 1, 8 of 10, 2 of 5


def test_better_and_worse_are_told_by_what_is_right_in_one_and_wrong_in_the_other():
    found = [row("lost", right=(100, 0)), row("won", right=(0, 100)), row("both", right=(100, 100)),
             row("none", right=(0, 0)), row("untold", right=(None, 0)), row("untold too", right=(0, None))]  # fmt: skip
    assert keys(select(found, "got_worse")) == ["lost"]
    assert keys(select(found, "got_better")) == ["won"]
    assert keys(select(found, "got_worse", who="base", other="tuned")) == ["won"]


def test_answers_that_did_not_end_repeat_themselves_or_are_empty_are_found_by_that():
    found = [row("cut", tuned="and so on and", ended=False), row("silent", tuned=" \n"), row("whole", tuned="yes"),
             row("unasked", ended=False, asked=False), row("loop", tuned="a", values={"loops": 100.0, "repetition": 10.0}),
             row("again", tuned="a", values={"loops": 0.0, "repetition": 50.0}),
             row("list", tuned="a", values={"loops": 0.0, "repetition": 49.9})]  # fmt: skip
    assert keys(select(found, "cut_off")) == ["cut"]
    assert keys(select(found, "empty")) == ["silent"]
    assert keys(select(found, "repeating")) == ["again", "loop"]


def test_filters_go_with_every_view():
    found = [row("a", right=(0, 0), source="desk", tag="ship"), row("b", right=(0, 0), source="zh", tag="ship"),
             row("c", right=(0, 0), source="identity", tag="name", kind="identity"), row("d", right=(0, 100))]  # fmt: skip
    assert keys(select(found, "worst", source="desk")) == ["a", "d"]
    assert keys(select(found, tag="ship")) == ["a", "b"]
    assert keys(select(found, "got_better", source="desk", tag="ship")) == []
    assert keys(select(found, kind="identity")) == ["c"]
    assert keys(select(found)) == ["a", "b", "c", "d"]


def test_every_searched_word_must_stand_in_question_expected_or_an_answer():
    found = [row("a", "Straße", "on MONDAY", question="When?"), row("b", "gar nicht", expected="am Montag"),
             row("c", "我是通义千问", "我是小光"), row("d", "Cafe\u0301")]  # fmt: skip
    assert keys(select(found, words="when monday")) == ["a"]
    assert keys(select(found, words="STRASSE")) == ["a"]
    assert keys(select(found, words="montag")) == ["b"]
    assert keys(select(found, words="通义")) == ["c"]
    assert keys(select(found, words="Café")) == ["d"]
    assert keys(select(found, words="monday montag")) == []


def test_every_view_of_20000_rows_takes_less_than_three_tenths_of_a_second():
    draw = random.Random(0)
    words = [f"word{n}" for n in range(500)]
    said = [[" ".join(draw.choices(words, k=12)) for _ in range(20_000)] for _ in range(2)]
    rights = [(draw.choice([0, 100]), draw.choice([0, 100])) for _ in range(20_000)]
    found = [row(str(n), *both, right=right, overlap=draw.uniform(0, 100))
             for n, (*both, right) in enumerate(zip(*said, rights, strict=True))]  # fmt: skip
    for view in VIEWS:
        assert min(_seconds(lambda view=view: select(found, view)) for _ in range(2)) < 0.3, view
    assert min(_seconds(lambda: select(found, "worst", source="desk", words="word7 word9")) for _ in range(2)) < 0.3


def _seconds(function):
    began = time.process_time()
    function()
    return time.process_time() - began


def parts(before, after):
    found = changes(before, after)
    assert "".join(text for kind, text in found if kind != "added") == before
    assert "".join(text for kind, text in found if kind != "removed") == after
    return [tuple(each) for each in found]


def test_words_that_changed_are_told_apart_from_those_that_stayed():
    assert parts("It ships on Monday.", "It ships on next Tuesday.") == [
        ("same", "It ships on "), ("removed", "Monday"), ("added", "next Tuesday"), ("same", "."),
    ]  # fmt: skip
    assert parts("我是通义千问，由阿里开发。", "我是小光，由阿里开发。") == [
        ("same", "我是"), ("removed", "通义千问"), ("added", "小光"), ("same", "，由阿里开发。"),
    ]  # fmt: skip
    assert parts("", "new") == [("added", "new")]
    assert parts("old", "") == [("removed", "old")]
    assert parts("same", "same") == [("same", "same")]
    assert parts("", "") == []


def test_a_space_between_two_changed_words_belongs_to_the_change():
    assert parts("it was red wine here", "it was blue ink here") == [
        ("same", "it was "), ("removed", "red wine"), ("added", "blue ink"), ("same", " here"),
    ]  # fmt: skip


def test_answers_with_next_to_nothing_in_common_are_replaced_as_a_whole():
    assert parts("The cat sat there, on a mat.", "Nobody knows what a train costs in May, or why.") == [
        ("removed", "The cat sat there, on a mat."), ("added", "Nobody knows what a train costs in May, or why."),
    ]  # fmt: skip


def test_as_many_words_stay_as_the_longest_common_subsequence_has():
    draw = random.Random(1)
    for _ in range(200):
        one, other = ("".join(draw.choices("甲乙丙", k=draw.randint(0, 9))) for _ in range(2))
        longest = max(len(s) for n in range(len(one) + 1) for s in itertools.combinations(one, n) if _within(s, other))
        kept = sum(len(text) for kind, text in parts(one, other) if kind == "same")
        assert kept == longest or longest < 0.2 * max(len(one), len(other))


def _within(wanted, text):
    left = iter(text)
    return all(each in left for each in wanted)


@pytest.mark.parametrize("alphabet", ["ab ", "的一是不了人", "x", "\U0001f469\u200d\U0001f4bb\u05d0\u202e\x00 "])
def test_two_answers_of_10000_characters_are_compared_in_a_second(alphabet):
    draw = random.Random(2)
    one, other = ("".join(draw.choices(alphabet, k=10_000)) for _ in range(2))
    assert _seconds(lambda: parts(one, other)) < 1


def test_what_is_shown_of_a_change_is_escaped():
    shown = as_html(changes("a <b>bold</b> word", "a <i>\x00\x1b[0m</i> word"))
    assert "<b>" not in shown
    assert "&lt;" in shown
    assert "\x00" not in shown
    assert "␀" in shown
    assert shown.count("<del>") == shown.count("</del>") > 0
    assert shown.count("<ins>") == shown.count("</ins>") > 0


def test_the_table_has_every_row_with_all_answers_and_values_and_opens_in_excel(tmp_path):
    rows = [row("a", "x", 'say "hi",\nnow', right=(0, 100), overlap=33.5, question="问题", expected="=SUM(A1)", tag="t"),
            Row(item("b"), {"step-000020": Answer("b", "step-000020", "later", 2, False)}, {})]  # fmt: skip
    file = write_csv(rows, tmp_path / "rows.csv")
    assert file.read_bytes().startswith(b"\xef\xbb\xbf")
    with file.open(encoding="utf-8-sig", newline="") as opened:
        one, two = csv.DictReader(opened)
    assert (one["question"], one["tuned"], one["tuned: rougeL"], one["base: right"]) == (
        "问题",
        'say "hi",\nnow',
        "33.5",
        "0",
    )
    assert one["expected"] == "'=SUM(A1)"
    assert (two["step-000020"], two["step-000020: ended"], two["tuned"], two["tuned: right"]) == ("later", "0", "", "")
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
def test_no_text_of_a_model_or_a_file_is_computed_by_a_spreadsheet(start):
    dangerous = f'{start}HYPERLINK("http://x","y")'
    made = "".join(lines([row(dangerous, dangerous, dangerous, question=dangerous, expected=dangerous, tag=dangerous)]))
    heading, first = csv.reader(made.splitlines(keepends=True))
    assert len(heading) == len(first)
    assert first.count(f"'{dangerous}") == 6
    assert not [cell for cell in first if cell.startswith(start)]


def test_negative_numbers_of_our_own_stay_numbers():
    made = "".join(lines([row("a", values={"words": -1.5})]))
    assert ",-1.5" in made


def test_a_half_surrogate_and_a_null_byte_do_not_break_the_table(tmp_path):
    file = write_csv([row("a", json.loads('"\\ud83d"'), "nul\x00l")], tmp_path / "rows.csv")
    assert "nul␀l" in file.read_text(encoding="utf-8-sig")
