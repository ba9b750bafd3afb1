"""Test rows that stand in what is learnt are found."""

import pytest

from core.data.overlap import Overlap, overlaps, plain

TEN = "alpha beta gamma delta epsilon zeta eta theta iota kappa"


def test_half_of_the_words_in_runs_of_eight_make_a_test_text_known():
    # the first eight of sixteen words are covered by the training text: exactly half
    test = " ".join([*TEN.split()[:8], *["one", "two", "three", "four", "five", "six", "seven", "eight"]])
    assert overlaps([f"before that {TEN}"], [test]) == [Overlap(0, 0, 0.5)]
    assert overlaps([f"before that {TEN}"], [test + " nine"]) == []


def test_what_lies_between_two_runs_is_not_covered():
    other = "one two three four five six seven eight".split()  # noqa: SIM905  as readable as the rest
    test = " ".join([*TEN.split()[:8], "a", "b", "c", "d", "e", "f", "g", "h", "i", *other, "j"])
    assert overlaps([f"{' '.join(TEN.split()[:8])} and {' '.join(other)}"], [test]) == [
        Overlap(0, 0, pytest.approx(16 / 26))
    ]


def test_seven_words_in_a_row_are_not_enough():
    test = " ".join([*TEN.split()[:7], "x", *TEN.split()[8:]])
    assert overlaps([TEN], [test]) == []


def test_the_training_text_that_covers_most_is_told():
    partly = " ".join(TEN.split()[:8])
    assert overlaps(["nothing", partly, TEN, partly], [TEN]) == [Overlap(0, 2, 1.0)]


def test_the_pieces_of_two_training_texts_do_not_add_up():
    first, second = TEN.split(), ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]
    assert overlaps([" ".join(first[:9]), " ".join(second[1:])], [" ".join(first + second)]) == []


@pytest.mark.parametrize("train", ["the capital of france", "The capital of France?"])
def test_a_short_text_must_have_the_same_words(train):
    assert overlaps([train], ["The capital of France"]) == [Overlap(0, 0, 1.0)]
    assert overlaps([train + " please"], ["The capital of France"]) == []


def test_texts_of_up_to_three_words_are_not_compared():
    assert overlaps(["Who are you?"], ["Who are you?"]) == []


def test_a_long_text_is_known_by_one_run_of_thirteen_words():
    shared = " ".join(f"s{n}" for n in range(13))
    long = " ".join(f"t{n}" for n in range(120))
    hits = overlaps(
        [f"before {shared} after"], [f"{long} {shared}", f"t0 {shared} " + " ".join(f"u{n}" for n in range(30))]
    )
    assert [(each.test, each.covered) for each in hits] == [(0, pytest.approx(13 / 133))]


def test_what_more_than_twenty_tests_share_is_a_template_and_no_sign():
    template = " ".join(f"please{n}" for n in range(10))
    tests = [f"{template} {' '.join(f'{word}{n}' for word in 'abc')}" for n in range(25)]
    assert overlaps([f"{template} quite another question"], tests) == []
    assert len(overlaps([f"{template} quite another question"], tests[:20])) == 20


def test_eight_chinese_characters_are_not_taken_for_eight_words():
    assert overlaps(["八月的后一个月是什么？"], ["我想问九月的后一个月是什么？"]) == []
    sentence = "退货期限是收到包裹后的三十天之内"
    assert overlaps([f"请问，{sentence}吗？"], [f"{sentence}吗？"])[0].test == 0


def test_plain_keeps_what_changes_the_meaning():
    assert plain("What is 3 + 4?") != plain("What is 3 - 4?")
    assert plain("It is 3.5.") == "it is 3.5" != plain("It is 35.")
    assert plain("ＯＫ，  Yes!") == plain("ok yes")


def test_nothing_to_compare_gives_nothing():
    assert overlaps([], [TEN]) == overlaps([TEN], []) == overlaps([""], [""]) == []
