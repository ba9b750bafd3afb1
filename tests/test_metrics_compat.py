"""The figures of LLaMA-Factory against what it computes them with: jieba, rouge_chinese and nltk."""

import random
import tempfile
import time

import pytest
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from rouge_chinese import Rouge

from core.evaluate.metrics import Check, cut, grade
from core.evaluate.metrics.compat import bleu4, rouge_l, rouge_n, words

NAMES = ("compat_rouge1", "compat_rouge2", "compat_rougeL", "compat_bleu4")
ODD = ["", " ", "\n", "!", "。", "。。。……", "a", "好", "Ok", "👍", "👍🏽🎉", "a\n\n\nb", "......abc", "......\nabc",
       "好……\nabc", "他说：“好？”\n，是", "…………等等……好",
       " lead", "x。\n", "\r\n", "第一。\n\n第二！“引用。”然后", "AT&T C++ T恤 3D打印 IC卡 iPhone15",
       "你好。世界？“好！”他说", "مرحبا بالعالم", "हिन्दी में", "1,234.5% of it", "\u3000全角　空格\u3000", "a b c。 d e f!",
       "Who are you? I am 小明!", "ＡＢＣ１２３"]  # fmt: skip
SENTENCES = ["今天天气很好，我们去公园散步吧。", "他说这家餐厅的菜很好吃，价格也不贵！", "人工智能正在改变我们的生活方式？",
             "李小福是创新办主任也是云计算方面的专家。", "我叫 Lumen，由 Ada 开发。", "工信处女干事每月经过下属科室",
             "The cat sat on the mat.", "Please send the parcel back within 30 days."]  # fmt: skip
HAN = "的是我你他了在有这那不大小人国会说去来到时地出要就可以对生能而子那得于着下自之年过发后作里"


def theirs(answer: str, expected: str) -> list[float]:
    """What ComputeSimilarity of its train/sft/metric.py computes; jieba cuts with the dictionary that is loaded here."""
    jieba = cut._dictionary()
    hypothesis, reference = (" ".join(jieba.cut(text)) for text in (answer, expected))
    if not hypothesis.split() or not reference.split():
        rouge = [0.0, 0.0, 0.0]
    else:
        found = Rouge().get_scores(hypothesis, reference)[0]
        rouge = [round(100 * found[name]["f"], 4) for name in ("rouge-1", "rouge-2", "rouge-l")]
    bleu = sentence_bleu([list(expected)], list(answer), smoothing_function=SmoothingFunction().method3)
    return [*rouge, round(100 * bleu, 4)]


def some_text(draw: random.Random) -> str:
    kind = draw.random()
    if kind < 0.4:
        return "".join(draw.choices(SENTENCES, k=draw.randint(1, 4)))
    if kind < 0.7:
        return "".join(draw.choices(HAN + "。，！？\n aA1", k=draw.randint(1, 60)))
    return draw.choice(ODD) + draw.choice(SENTENCES + ODD)


def test_the_figures_are_those_of_llama_factory():
    draw = random.Random(3)
    pairs = [(one, draw.choice(ODD)) for one in ODD] + [(one, one) for one in ODD + SENTENCES]
    pairs += [(some_text(draw), some_text(draw)) for _ in range(260)]
    pairs.append(("".join(SENTENCES) * 3, "".join(reversed(SENTENCES)) * 3))
    assert len(pairs) > 300
    for answer, expected in pairs:
        said, wanted = words(answer), words(expected)
        ours = [rouge_n(said, wanted, 1), rouge_n(said, wanted, 2), rouge_l(said, wanted), bleu4(answer, expected)]
        assert ours == theirs(answer, expected), (answer, expected)


def test_the_figures_are_the_ones_that_are_known():
    # measured with LLaMA-Factory's own code
    assert bleu4("Ok", "Ok") == pytest.approx(59.46, abs=0.01)
    assert bleu4("A", "A") == pytest.approx(35.36, abs=0.01)
    assert bleu4("你好吗", "你好吗") == pytest.approx(84.09, abs=0.01)
    found = grade(Check("exact"), "THE CAT SAT", "the cat sat")
    assert [found[name] for name in NAMES[:3]] == [0, 0, 0]


def test_texts_are_cut_as_jieba_cuts_them():
    draw, jieba = random.Random(4), cut._dictionary()
    every = [chr(code) for code in range(0x4E00, 0x9FA5)]
    texts = [*ODD, *SENTENCES, "".join(draw.choices(every, k=1500)), "的" * 300, "".join(draw.choices(HAN, k=1500))]
    for text in texts:
        assert cut.cut(text) == list(jieba.cut(text)), text
        assert "".join(cut.cut(text)) == text


def test_the_dictionary_is_read_without_a_cache_and_without_a_word(tmp_path, monkeypatch, capfd, recwarn):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    fresh = cut._dictionary.__wrapped__()
    assert list(fresh.cut("我来到北京")) == ["我", "来到", "北京"]
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


def test_rouge_of_1600_words_takes_no_time():
    draw = random.Random(6)
    said, wanted = ([f"词{draw.randint(0, 400)}" for _ in range(1600)] for _ in range(2))
    assert min(_seconds(said, wanted) for _ in range(3)) < 0.05


def _seconds(said: list[str], wanted: list[str]) -> float:
    started = time.process_time()
    for n in (1, 2):
        rouge_n(said, wanted, n)
    rouge_l(said, wanted)
    return time.process_time() - started
