"""Metrics against values worked out by hand, and against the libraries whose figures they are."""

import math
import random
import time

import numpy as np
import pytest
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from core.evaluate.metrics import METRICS, Check, corpus, grade, signatures
from core.evaluate.metrics.form import loops, repetition
from core.evaluate.metrics.overlap import rouge_l, rouge_n
from core.evaluate.metrics.turns import by_turn
from core.evaluate.metrics.words import common_length, mostly_chinese, normalised, tokens
from core.records import Message
from core.wording import has

EXACT = Check("exact")
ODD = ["", " \n\t ", "Ok", "A", "!!!", "。。。……", "👍", "👨‍👩‍👧 🎉🎉", "مرحبا بالعالم، كيف الحال؟",
       "שלום עולם", "हिन्दी में लिखा", "a\n\n\nb", "\x00\u202e\ufeff", "1,234.5 %", "{\"a\": [1, 2]}",
       "我叫Lumen，3岁。", "The cat sat on the mat."]  # fmt: skip


def pairs(count: int) -> list[tuple[str, str]]:
    """Pairs of texts of two languages that share some words, and all pairs of odd ones."""
    draw = random.Random(5)
    words = [
        "the",
        "cat",
        "sat",
        "on",
        "a",
        "mat",
        ".",
        ",",
        "It's",
        "3.5%",
        "我",
        "是",
        "小",
        "助手",
        "。",
        "，",
        "👍",
    ]
    made = [tuple(" ".join(draw.choices(words, k=draw.randint(1, 30))) for _ in range(2)) for _ in range(count)]
    return [*made, *((one, other) for one in ODD for other in ODD)]


def score(name: str, answers: list[str], expected: list[str]) -> float:
    told = corpus(name, answers, expected)
    return float(told.score(told.statistics.sum(axis=0, keepdims=True))[0])


def test_an_equal_answer_scores_100_in_everything_however_short():
    for text in ("Ok", "A", "Paris.", "The capital of France is Paris.", "你好吗", "巴黎是法国的首都。", "👍"):
        found = grade(EXACT, text, text)
        assert [found[name] for name in ("right", "exact", "normalised", "f1")] == [100] * 4, text
        if tokens(text):
            assert (found["rouge1"], found["rougeL"], found["length_ratio"]) == (100, 100, 1)
            assert score("bleu", [text], [text]) == pytest.approx(100)
        assert score("chrf", [text], [text]) == pytest.approx(100)


def test_an_empty_answer_scores_0_in_what_compares():
    found = grade(EXACT, "", "The capital of France is Paris.")
    assert {found[name] for name, each in METRICS.items() if each.compares and each.kind == "mean"} == {0}
    assert (found["right"], found["empty"], found["words"]) == (0, 100, 0)
    assert score("bleu", [""], ["The capital."]) == score("chrf", [""], ["The capital."]) == 0


def test_nothing_is_compared_with_an_empty_reference():
    for expected in ("", " \n"):
        found = grade(EXACT, "Something was said.", expected)
        assert {name for name, value in found.items() if value is None} == {
            name for name, each in METRICS.items() if each.kind == "mean" and each.compares
        } | {"right", "json_valid"}


def test_rouge_is_the_f1_of_shared_words():
    # 3 of the answer's 4 words are among the expected 6: precision 3/4, recall 3/6, F1 = 0.6.
    # Pairs: "the cat" is shared; precision 1/3, recall 1/5, F1 = 0.25. Longest common subsequence: the cat mat = 3.
    assert tokens("the cat's mat") == ["the", "cat", "s", "mat"]
    found = grade(EXACT, "the cat's mat", "the cat sat on the mat")
    assert [found[name] for name in ("rouge1", "rouge2", "rougeL")] == pytest.approx([60, 25, 60])


def test_rouge_ignores_case_and_punctuation():
    assert grade(EXACT, "PARIS IS BIG", "paris is big.")["rouge1"] == 100


def test_chinese_is_scored_by_characters():
    assert tokens("我叫Lumen，3岁") == ["我", "叫", "lumen", "3", "岁"]
    # 5 characters each, 4 shared, in order: 80. Of 4 pairs each, 我是 and 助手 are shared: 50.
    found = grade(EXACT, "我是小助手", "我是大助手")
    assert [found[name] for name in ("rouge1", "rouge2", "rougeL", "f1")] == pytest.approx([80, 50, 80, 80])


def test_marks_belong_to_their_words():
    assert tokens("हिन्दी العَرَبِيَّة") == ["हिन्दी", "العَرَبِيَّة"]
    assert normalised("का") != normalised("कि")


def test_rouge_is_that_of_rouge_score():
    class Words:
        def tokenize(self, text):
            return tokens(text)

    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], tokenizer=Words())
    for answer, expected in pairs(100):
        theirs = scorer.score(target=expected, prediction=answer)
        said, wanted = tokens(answer), tokens(expected)
        ours = [rouge_n(said, wanted, 1), rouge_n(said, wanted, 2), rouge_l(said, wanted)]
        assert ours == pytest.approx([100 * theirs[name].fmeasure for name in ("rouge1", "rouge2", "rougeL")])


def test_the_longest_common_subsequence_is_found():
    assert common_length("abcbdab", "bdcaba") == 4  # Cormen et al., Introduction to Algorithms, 15.4
    assert common_length("", "a") == common_length("a", "") == common_length("ab", "cd") == 0


def test_bleu_is_the_one_of_papineni():
    # 4 words of 5: precisions 4/5, 3/4, 2/3, 1/2, no brevity penalty: (0.8 * 0.75 * 2/3 * 0.5) ** 0.25 = 0.6687
    assert score("bleu", ["a b c d x"], ["a b c d e"]) == pytest.approx(100 * 0.2**0.25)
    # all of 4 words right, 8 expected: only the brevity penalty exp(1 - 8/4)
    assert score("bleu", ["a b c d"], ["a b c d e f g h"]) == pytest.approx(100 * math.exp(-1))
    # one word of three right: 1/3, then NIST's 1/2 of 2 pairs and 1/4 of 1 triple; there is no run of four
    assert score("bleu", ["a x y"], ["a b c"]) == pytest.approx(100 * (1 / 3 * 1 / 4 * 1 / 4) ** (1 / 3))


def test_bleu_is_of_the_corpus_and_not_a_mean_of_rows():
    # matches 4 of 5 words, 3 of 3, 2 of 2, 1 of 1
    assert score("bleu", ["a b c d", "x"], ["a b c d", "y"]) == pytest.approx(100 * 0.8**0.25)


@pytest.mark.parametrize("name", ["bleu", "chrf"])
def test_a_corpus_score_is_that_of_sacrebleu(name):
    draw, some = random.Random(7), pairs(300)
    for size in (1, 1, 1, 2, 3, 10, 50, 200, len(some)):
        answers, expected = map(list, zip(*draw.sample(some, size), strict=True))
        tokenize = "zh" if mostly_chinese(expected) else "13a"
        metric = CHRF() if name == "chrf" else BLEU(tokenize=tokenize, effective_order=True)
        assert score(name, answers, expected) == pytest.approx(metric.corpus_score(answers, [expected]).score, abs=1e-9)


@pytest.mark.parametrize("name", ["bleu", "chrf"])
def test_many_resampled_sums_are_scored_at_once(name):
    answers, expected = map(list, zip(*pairs(60)[:60], strict=True))
    told = corpus(name, answers, expected)
    counts = np.random.default_rng(0).multinomial(60, np.full(60, 1 / 60), size=5)
    scores = told.score(counts @ told.statistics)
    assert scores.shape == (5,)
    for drawn, found in zip(counts, scores, strict=True):
        again = [row for row, times in enumerate(drawn) for _ in range(times)]
        assert found == pytest.approx(score(name, [answers[i] for i in again], [expected[i] for i in again]), abs=1e-6)
    alone = told.score(told.statistics)
    assert alone[3] == pytest.approx(score(name, answers[3:4], expected[3:4]))


def test_a_set_without_rows_has_no_statistics():
    assert corpus("bleu", [], []).statistics.shape == (0, 10)
    assert corpus("chrf", [], []).score(np.zeros((2, 18))).tolist() == [0, 0]
    with pytest.raises(ValueError, match="1 answers, but 2"):
        corpus("bleu", ["a"], ["a", "b"])


def test_bleu_takes_chinese_apart_by_characters_and_says_so():
    assert score("bleu", ["我是小助手"], ["我是大助手"]) > 0
    assert "eff:yes|tok:zh" in signatures(["我是谁"], ["我是谁"])["bleu"]
    assert "tok:13a" in signatures(["who am I"], ["who am I"])["bleu"]
    assert "nc:6|nw:0" in signatures([], [])["chrf"]


def test_every_metric_is_signed_and_the_right_one_by_its_check():
    signed = signatures(["a"], ["a"], Check("regex", "^a"))
    assert signed.keys() == METRICS.keys()
    assert signed["right"] == "keywords of the row, else regex ^a"


def test_unrelated_sentences_score_next_to_nothing():
    # the mean of smoothed sentence BLEUs that other studios show gives such a pair 17
    assert score("bleu", ["Please send the parcel back within two weeks."], ["The opposite of tall is short."]) < 6


def test_the_language_is_that_of_most_words():
    assert mostly_chinese(["我叫 Lumen"])
    assert not mostly_chinese(["The word 猫 means cat"])
    assert not mostly_chinese(["", "!?"])


def test_f1_counts_shared_words_without_articles():
    # said: cat sat, expected: cat sat on mat; 2 shared: precision 1, recall 1/2
    assert grade(EXACT, "The cat sat!", "the cat sat on a mat")["f1"] == pytest.approx(100 * 2 / 3)
    assert grade(EXACT, "cat cat cat", "cat")["f1"] == 50  # shared once, as SQuAD counts


def test_repetition_is_the_share_of_runs_said_before():
    # 8 words, 5 runs of four; "a b c d" is there twice
    assert repetition(list("abcdabcd")) == pytest.approx(20)
    assert repetition(list("abc")) == repetition([]) == 0


@pytest.mark.parametrize(
    "text",
    ["I am here. " * 4, "好" * 12, "我叫小明。" * 3, "!" * 40, "ok then: " + "no no yes " * 5 + "no", "👍" * 20,
     "one two three four five six seven eight nine ten " * 3],
)  # fmt: skip
def test_an_end_that_repeats_is_a_loop(text):
    assert loops(text)


@pytest.mark.parametrize(
    "text", ["", "ha ha ha", "好好好", "I am here. I am here.", "wait... " * 2, "no " * 30 + "and then it went on well",
             "Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday, January, February, March"]
)  # fmt: skip
def test_ordinary_emphasis_is_no_loop(text):
    assert not loops(text)


def test_lengths_are_words_and_their_ratio():
    found = grade(EXACT, "a b c", "我们是六个字", ended=False)
    assert (found["words"], found["length_ratio"], found["stopped"]) == (3, 0.5, 0)


def test_json_is_looked_at_where_json_is_expected():
    assert grade(EXACT, "[1", "[1]")["json_valid"] == 0
    assert grade(EXACT, '{"b": 1}', '{"a": 1}')["json_valid"] == 100
    assert grade(EXACT, "1", "one")["json_valid"] is None


def test_later_turns_stand_beside_first_ones():
    first = [Message("user", "q")]
    later = [Message("user", "q"), Message("assistant", "a"), Message("user", "q2")]
    found = by_turn([(first, True), (first, True), (later, True), (later, False), (later, None)])
    assert found == {"first": {"n": 2, "right": 100}, "later": {"n": 2, "right": 50}, "difference": -50}
    assert by_turn([(first, True)])["difference"] is None


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_metric_has_a_name_and_a_help(name, language):
    assert has(f"metric.{name}")
    assert has(f"metric_help.{name}")


@pytest.mark.parametrize("answer", ODD)
def test_odd_texts_are_graded_with_numbers_in_their_range(answer):
    for expected in ODD:
        found = grade(EXACT, answer, expected)
        assert found.keys() == {name for name, each in METRICS.items() if each.kind == "mean"}
        for name, value in found.items():
            assert value is None or (math.isfinite(value) and value >= 0), (name, expected)
            assert value is None or METRICS[name].unit != "%" or value <= 100 + 1e-9, (name, expected)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [("今天天气很好，我们去公园散步吧。他说这家餐厅的菜很好吃，价格也不贵。" * 286,
      "人工智能正在改变我们的生活方式，价格也不贵。" * 455),
     ("The cat sat on the mat and ran home again. " * 232, "A dog and the cat ran home again. " * 294),
     ("好" * 10_000, "哈" * 10_000), ("{" * 10_000, "[" * 10_000)],
)  # fmt: skip
def test_texts_of_10000_characters_are_graded_at_once(answer, expected):
    grade(EXACT, "a", "b")  # the dictionary of Chinese words is read once
    fastest = min(_seconds(answer[:10_000], expected[:10_000]) for _ in range(3))
    assert fastest < 0.3


def _seconds(answer: str, expected: str) -> float:
    started = time.process_time()  # not the clock: other processes may keep the machine busy
    grade(EXACT, answer, expected)
    return time.process_time() - started
