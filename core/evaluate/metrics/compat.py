"""The four figures that LLaMA-Factory prints, computed the same way, so that a number from there can be found again.

They are for comparing with such numbers and for nothing else: unrelated English sentences get a BLEU-4 of 17, "Ok" against
"Ok" 59 instead of 100, and texts that differ in case alone a ROUGE of 0. Source: its `train/sft/metric.py`; BLEU-4 is of
characters, nltk's sentence BLEU with smoothing 3; ROUGE is rouge_chinese's on jieba's words, of different n-grams, and its
ROUGE-L one longest common subsequence over all sentences. Each row is rounded to four digits, as it does.
"""

import re
from collections.abc import Sequence

from core.evaluate.metrics.cut import cut
from core.evaluate.metrics.words import common_length

# Where rouge_chinese ends a sentence. Its n-grams run across sentences, so the cuts only matter for the empty words that
# they leave behind, which it counts. Its two other rules want signs side by side that jieba has parted.
_ENDS = ((re.compile(r"([。！？?])([^”’])"), r"\1\n\2"), (re.compile(r"(\.{6})([^”’])"), r"\1\n\2"))
_NOT_ZERO = 1e-8  # rouge_chinese adds it below the line


def bleu4(answer: str, expected: str) -> float:
    """Return BLEU-4 of characters in percent."""
    # Here, because nltk takes 0.3 s to import, which the page would wait for at every start and never need.
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

    smoothing = SmoothingFunction().method3
    return float(round(100 * sentence_bleu([list(expected)], list(answer), smoothing_function=smoothing), 4))


def words(text: str) -> list[str]:
    """Return the words that rouge_chinese makes of a text cut by jieba; none of white space alone."""
    spaced = " ".join(cut(text))
    if not spaced.split():
        return []
    for end, parted in _ENDS:
        spaced = end.sub(parted, spaced)
    sentences = [" ".join(line.split()) for line in spaced.rstrip().split("\n") if line]
    return [word for sentence in sentences for word in sentence.split(" ")]


def rouge_n(answer: Sequence[str], expected: Sequence[str], n: int) -> float:
    """Return ROUGE-N in percent of two texts as `words`; 0 if either is empty."""
    if not answer or not expected:
        return 0.0
    said, wanted = ({tuple(text[at : at + n]) for at in range(len(text) - n + 1)} for text in (answer, expected))
    return _f(len(said & wanted), len(said), len(wanted))


def rouge_l(answer: Sequence[str], expected: Sequence[str]) -> float:
    """Return ROUGE-L in percent of two texts as `words`; 0 if either is empty."""
    if not answer or not expected:
        return 0.0
    return _f(common_length(expected, answer), len(answer), len(expected))


def _f(shared: int, said: int, wanted: int) -> float:
    precision, recall = shared / said if said else 0.0, shared / wanted if wanted else 0.0
    return round(100 * (2.0 * (precision * recall / (precision + recall + _NOT_ZERO))), 4)
