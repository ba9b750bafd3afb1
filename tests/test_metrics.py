"""Scores against values worked out by hand."""

import math

import pytest

from core.evaluate import metrics


def score(answer, expected, keywords=()):
    return metrics.scores([answer], [expected], [keywords])


def test_an_equal_answer_scores_100_in_everything_however_short():
    for text in ("Ok", "A", "Paris.", "The capital of France is Paris.", "你好吗", "巴黎是法国的首都。"):
        assert score(text, text) == {"bleu": 100, "rouge1": 100, "rouge2": 100 * (len(metrics.tokens(text)) > 1),
                                     "rougeL": 100, "exact": 100, "right": 100}, text  # fmt: skip


def test_an_empty_answer_scores_0_in_everything():
    assert set(score("", "The capital of France is Paris.").values()) == {0}


def test_rouge_is_the_f1_of_shared_words():
    # 3 of the answer's 4 words are among the expected 6: precision 3/4, recall 3/6, F1 = 0.6.
    # Pairs: "the cat" is shared; precision 1/3, recall 1/5, F1 = 0.25. Longest common subsequence: the cat mat = 3.
    found = score("the cat's mat", "the cat sat on the mat")
    assert metrics.tokens("the cat's mat") == ["the", "cat", "s", "mat"]
    assert (found["rouge1"], found["rouge2"], found["rougeL"]) == (60, 25, 60)


def test_rouge_ignores_case_and_punctuation():
    assert score("PARIS IS BIG", "paris is big.")["rouge1"] == 100


def test_chinese_is_scored_by_characters():
    assert metrics.tokens("我叫Lumen，3岁") == ["我", "叫", "lumen", "3", "岁"]
    # 5 characters each, 4 shared, in order: 80. Of 4 pairs each, 我是 and 助手 are shared: 50.
    found = score("我是小助手", "我是大助手")
    assert (found["rouge1"], found["rouge2"], found["rougeL"]) == (80, 50, 80)


def test_bleu_is_the_one_of_papineni():
    # 4 words of 5: precisions 4/5, 3/4, 2/3, 1/2, no brevity penalty: (0.8 * 0.75 * 2/3 * 0.5) ** 0.25 = 0.6687
    assert score("a b c d x", "a b c d e")["bleu"] == pytest.approx(100 * 0.2**0.25, abs=0.01)
    # all of 4 words right, 8 expected: only the brevity penalty exp(1 - 8/4)
    assert score("a b c d", "a b c d e f g h")["bleu"] == pytest.approx(100 * math.exp(-1), abs=0.01)


def test_bleu_is_of_the_corpus_and_not_a_mean_of_rows():
    together = metrics.scores(["a b c d", "x"], ["a b c d", "y"], [(), ()])["bleu"]
    # matches 4 of 5 words, 3 of 3, 2 of 2, 1 of 1
    assert together == pytest.approx(100 * 0.8**0.25, abs=0.01)


def test_bleu_takes_chinese_apart_by_characters_and_says_so():
    assert score("我是小助手", "我是大助手")["bleu"] > 0
    assert "tok:zh" in metrics.signatures(["我是谁"], ["我是谁"])["bleu"]
    assert "tok:13a" in metrics.signatures(["who am I"], ["who am I"])["bleu"]


def test_unrelated_sentences_score_next_to_nothing():
    # the mean of smoothed sentence BLEUs that other studios show gives such a pair 17
    assert score("Please send the parcel back within two weeks.", "The opposite of tall is short.")["bleu"] < 6


def test_the_language_is_that_of_most_words():
    assert metrics.mostly_chinese(["我叫 Lumen"])
    assert not metrics.mostly_chinese(["The word 猫 means cat"])
    assert not metrics.mostly_chinese(["", "!?"])


def test_exact_forgives_white_space_and_composition_but_nothing_else():
    assert metrics.is_exact(" caf\u0065\u0301\n", "caf\u00e9")
    assert not metrics.is_exact("Paris", "paris")
    assert not metrics.is_exact("Paris.", "Paris")


def test_right_means_that_all_keywords_occur():
    assert metrics.is_right("I am LUMEN, made by Ada.", "something else", ["Lumen", "Ada"])
    assert not metrics.is_right("I am Lumen.", "something else", ["Lumen", "Ada"])
    assert metrics.is_right("我是小明，由李雷开发。", "", ["小明", "李雷"])
    assert metrics.is_right("Paris", "Paris", [])
    assert not metrics.is_right("It is Paris", "Paris", [])


def test_scores_are_percentages_of_rows():
    found = metrics.scores(["a", "b", "c is here", "d"], ["a", "x", "c", "d"], [(), (), ("c",), ()])
    assert (found["exact"], found["right"]) == (50, 75)


def test_lengths_that_differ_are_refused():
    with pytest.raises(ValueError, match="argument 2"):
        metrics.scores(["a"], ["a", "b"], [()])
    with pytest.raises(ValueError, match="no answers"):
        metrics.scores([], [], [])
