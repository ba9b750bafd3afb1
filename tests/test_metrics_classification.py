"""Labels, and the figures of a classification, against tables worked out by hand."""

import numpy as np
import pytest

from core.evaluate.metrics.classification import accuracy, confusion, counts, labels_of, macro_f1, said_label


def test_labels_are_those_expected_in_their_most_frequent_spelling():
    assert labels_of(["spam", "Spam", "ham", "spam", "", " ham."]) == ["ham", "spam"]


def test_the_table_has_a_column_for_answers_without_a_label():
    expected = ["cat", "cat", "cat", "dog", "dog"]
    answers = ["cat", "a dog", "no idea", "Dog.", "dog"]
    assert confusion(answers, expected) == {"labels": ["cat", "dog"], "counts": [[1, 1, 1], [0, 2, 0]]}


def test_accuracy_and_macro_f1_are_read_off_the_table():
    table = counts(["cat", "a dog", "no idea", "Dog.", "dog"], ["cat", "cat", "cat", "dog", "dog"], ["cat", "dog"])
    # cat: precision 1/1, recall 1/3, F1 1/2; dog: precision 2/3, recall 2/2, F1 4/5
    assert accuracy(table) == pytest.approx(60)
    assert macro_f1(table) == pytest.approx(65)


def test_labels_that_no_row_expects_are_left_out_of_the_mean():
    table = counts(["cat", "bird"], ["cat", "cat"], ["bird", "cat"])
    assert macro_f1(table) == pytest.approx(100 * 2 / 3)  # cat: precision 1, recall 1/2


def test_many_tables_are_read_at_once():
    one, other = np.array([[1, 1, 1], [0, 2, 0]]), np.array([[3, 0, 0], [0, 2, 0]])
    assert accuracy(np.stack([one, other])) == pytest.approx([60, 100])
    assert macro_f1(np.stack([one, other])) == pytest.approx([65, 100])


def test_an_empty_table_gives_0_and_no_warning(recwarn):
    assert confusion([], []) == {"labels": [], "counts": []}
    assert accuracy(np.zeros((0, 1))) == macro_f1(np.zeros((2, 3))) == 0
    assert not recwarn.list


def test_rows_that_expect_no_known_label_are_left_out():
    assert counts(["a", "a"], ["a", "z"], ["a", "b"]).sum() == 1


@pytest.mark.parametrize(
    ("answer", "label"),
    [("very positive", "very positive"), ("It is positive.", "positive"), ("Positively not", None), ("", None),
     ("positive, negative", "positive"), ("neither positive nor negative", None), ("POSITIVE", "positive"),
     ("“positive”", "positive"), ("ＰＯＳＩＴＩＶＥ", "positive"), ("positive positive, it is", "positive")],
)  # fmt: skip
def test_one_label_is_said_or_none(answer, label):
    assert said_label(answer, ["positive", "negative", "very positive"]) == label


def test_the_longest_label_that_fits_is_said():
    for labels in (["spam", "spam mail"], ["spam mail", "spam"]):
        assert said_label("Spam mail!", labels) == said_label("This is spam mail.", labels) == "spam mail"
        assert said_label("This is spam.", labels) == "spam"


def test_long_answers_and_labels_are_compared_in_time():
    assert said_label("的" * 10_000, ["哈" * 10_000, "的" * 9_000 + "哈"]) is None
