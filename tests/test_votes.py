"""A person votes blind, and learns whether the metrics say the same."""

import json
from pathlib import Path

import pytest

from core.evaluate import lines
from core.evaluate.pairs import Pair
from core.evaluate.votes import FILE, next_pair, order, read, summary, undo, vote


def pair(number, tuned=None, base=None):
    tuned, base = tuned or f"tuned {number}", base or f"base {number}"
    return Pair(f"desk_test:{number}", f"Question {number}?", "expected", "tuned", "base", tuned, base)


@pytest.fixture
def job(tmp_path):
    folder = tmp_path / "desk_test-1"
    folder.mkdir()
    return folder


def vote_for(job, item, whom):
    vote(job, item, ("left", "right")[order(job, item).index(whom)])


def test_a_page_that_is_loaded_again_shows_the_same_pair_in_the_same_order(job):
    many = [pair(number) for number in range(20)]
    shown = next_pair(job, many)
    assert next_pair(job, list(reversed(many))) == shown
    assert {shown.left.split()[0], shown.right.split()[0]} == {"tuned", "base"}
    assert next_pair(job, many, seed=1).item != shown.item or next_pair(job, many, seed=2).item != shown.item


def test_nothing_that_is_shown_tells_whose_answer_is_whose(job):
    shown = next_pair(job, [pair(1, "yes", "no")])
    assert set(vars(shown)) == {"item", "question", "expected", "left", "right"}
    assert "tuned" not in repr(shown)


def test_each_stands_left_about_as_often():
    left = sum(order(Path("some-job"), f"desk_test:{number}")[0] == "tuned" for number in range(1000))
    assert 440 < left < 560  # four standard deviations of a fair coin
    assert order(Path("j"), "x", "tuned", "base") == order(Path("j"), "x", "base", "tuned")


def test_every_pair_is_shown_once_and_equal_answers_never(job):
    many = [pair(1), pair(2, "same", "same "), pair(3)]
    seen = []
    while (shown := next_pair(job, many)) is not None:
        seen.append(shown.item)
        vote(job, shown.item, "tie")
    assert sorted(seen) == ["desk_test:1", "desk_test:3"]


def test_a_vote_names_whom_the_person_chose(job):
    shown = next_pair(job, [pair(1)])
    vote(job, shown.item, "left")
    assert read(job)[0].preferred == shown.left.split()[0]
    line = json.loads((job / FILE).read_text())
    assert set(line) == {"item", "order", "choice", "time"}
    vote(job, shown.item, "right")  # from another open page
    assert [each.preferred for each in read(job)] == [shown.right.split()[0]]
    with pytest.raises(ValueError, match="middle"):
        vote(job, shown.item, "middle")


def test_the_last_vote_can_be_taken_back_again_and_again(job):
    for number in (1, 2):
        vote(job, f"desk_test:{number}", "left")
    assert undo(job) == "desk_test:2"
    assert [each.item for each in read(job)] == ["desk_test:1"]
    assert next_pair(job, [pair(1), pair(2)]).item == "desk_test:2"
    vote(job, "desk_test:3", "tie")
    assert [undo(job), undo(job), undo(job)] == ["desk_test:3", "desk_test:1", None]
    assert read(job) == []


def test_what_one_page_takes_back_is_its_own_vote_though_another_page_votes_meanwhile(job):
    for number in (1, 2, 1):  # the first page on 1 and 2, then again on 1
        vote_for(job, f"desk_test:{number}", "tuned")
    vote(job, "desk_test:3", "tie")  # the second page, after the first has looked for its last vote …
    lines.append(job / FILE, [{"undo": "desk_test:1", "time": 9.0}])  # … and before it takes that back
    assert [each.item for each in read(job)] == ["desk_test:1", "desk_test:2", "desk_test:3"]
    lines.append(job / FILE, [{"undo": "desk_test:1", "time": 9.0}] * 2)  # both pages: the second finds nothing
    assert [each.item for each in read(job)] == ["desk_test:2", "desk_test:3"]
    assert undo(job) == "desk_test:3"


def test_a_vote_that_a_crash_cut_off_loses_only_itself(job):
    vote(job, "desk_test:1", "left")
    with (job / FILE).open("a") as file:
        file.write('{"item": "desk_te')
    vote(job, "desk_test:2", "right")
    assert [each.item for each in read(job)] == ["desk_test:1", "desk_test:2"]


def test_the_summary_counts_for_the_tuned_and_compares_with_the_metrics(job):
    for number in range(10):
        vote_for(job, f"desk_test:{number}", "tuned" if number < 9 else "base")
    vote(job, "desk_test:10", "tie")
    vote(job, "desk_test:11", "both_bad")
    vote(job, "desk_test:0", "left", "run:other", "tuned")  # another comparison
    grades = {
        who: {f"desk_test:{number}": {"right": right, "rougeL": None} for number in range(12)}
        for who, right in (("base", 0.0), ("tuned", 100.0))
    }
    told = summary(job, grades)
    assert (told["n"], told["wins"], told["losses"], told["ties"], told["both_bad"]) == (12, 9, 1, 1, 1)
    assert told["win_rate"] == 90
    assert told["interval"] == [59.58, 98.21]
    assert told["p"] == pytest.approx(0.0215, abs=1e-4)
    assert told["enough"]
    assert (told["metrics"]["right"]["n"], told["metrics"]["right"]["same"]) == (10, 9)
    assert told["metrics"]["right"]["kappa"] == 0  # a metric that always says the same knows nothing
    assert told["metrics"]["rougeL"]["n"] == 0
    json.dumps(told, allow_nan=False)
    mirrored = summary(job, grades, "base", "tuned")
    assert (mirrored["wins"], mirrored["losses"], mirrored["metrics"]["right"]["same"]) == (1, 9, 9)


def test_nine_votes_are_too_few_to_tell_and_none_is_no_crash(job):
    assert summary(job, {})["win_rate"] is None
    for number in range(9):
        vote_for(job, f"desk_test:{number}", "tuned")
    assert not summary(job, {})["enough"]
