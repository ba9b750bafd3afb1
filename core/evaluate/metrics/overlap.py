"""How many words an answer shares with the expected one: BLEU-4 and chrF of a corpus, ROUGE and F1 of a row.

BLEU-4 and chrF are sacrebleu's, so that others get the same number; BLEU takes Chinese apart by characters where the
expected answers are mostly Chinese. They belong to a corpus and are no means of rows, so a bootstrap must add up what they
are computed from: that is what `Corpus` holds. ROUGE is rouge-score's F1 with words of our own, because its own drop every
character that is not a-z or 0-9 and so score all Chinese with 0; its table of Python numbers takes a minute for 10,000
characters, so that the same figures are computed here.

Measured in the field: the usual mean of sentence BLEUs gives unrelated sentences 17 and "Ok" against "Ok" 59, so that no
number of it can be compared with another.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from core.evaluate.metrics.words import common_length, f1, mostly_chinese, ngrams

Array = NDArray[np.float64]
_ORDERS = 4  # of BLEU-4


@dataclass(frozen=True)
class Corpus:
    """A score of a whole set, in parts that add up.

    `statistics` (n, k) are the rows' own counts; `score` takes sums of rows, (b, k), and returns (b,) scores in percent:
    `score(statistics.sum(0, keepdims=True))` is the score of the set, `score(statistics)` that of each row alone.
    """

    statistics: Array
    score: Callable[[Array], Array]


def corpus(name: str, answers: Sequence[str], expected: Sequence[str]) -> Corpus:
    """Return the parts of a corpus metric. An empty reference counts as sacrebleu counts it: leave such rows out.

    Raises:
        KeyError: if there is no such corpus metric.
        ValueError: if the lengths differ.
    """
    score, columns = {"bleu": (_bleu_score, 2 + 2 * _ORDERS), "chrf": (_chrf_score, 3 * CHRF.CHAR_ORDER)}[name]
    if len(answers) != len(expected):
        raise ValueError(f"{len(answers)} answers, but {len(expected)} expected ones")
    if not answers:
        return Corpus(np.zeros((0, columns)), score)
    # There is no public way to the counts of each row; that the scores stay sacrebleu's own is tested.
    counts = _metric(name, expected)._extract_corpus_statistics(list(answers), [list(expected)])
    return Corpus(np.array(counts, dtype=np.float64), score)


def signature(name: str, answers: Sequence[str], expected: Sequence[str]) -> str:
    """Return sacrebleu's signature of a corpus metric, with which others can compute it again."""
    metric = _metric(name, expected)
    metric.corpus_score(list(answers)[:1] or [""], [list(expected)[:1] or [""]])  # it signs only after it has scored
    return str(metric.get_signature())


def rouge_n(answer: Sequence[str], expected: Sequence[str], n: int) -> float:
    """Return the F1 of shared n-grams in percent (Lin 2004), of two texts as words."""
    said, wanted = ngrams(answer, n), ngrams(expected, n)
    return 100 * f1((said & wanted).total(), said.total(), wanted.total())


def rouge_l(answer: Sequence[str], expected: Sequence[str]) -> float:
    """Return the F1 of the longest common subsequence in percent, of two texts as words."""
    return 100 * f1(common_length(expected, answer), len(answer), len(expected))


def _metric(name: str, expected: Sequence[str]) -> Any:
    if name == "chrf":
        return CHRF()
    # Effective order: answers of one to three words have no 4-grams, and would score 0 even where all are perfect.
    # Force: no warning of sacrebleu's about texts that end in " .".
    return BLEU(tokenize="zh" if mostly_chinese(expected) else "13a", effective_order=True, force=True)


def _bleu_score(sums: Array) -> Array:
    """Return sacrebleu's BLEU of sums (b, 10): lengths said and expected, then right and all n-grams of orders 1 to 4."""
    said, wanted = sums[:, 0], sums[:, 1]
    right, total = sums[:, 2 : 2 + _ORDERS], sums[:, 2 + _ORDERS :]
    there = total > 0  # effective order: orders that the answers are too short for do not count
    missed = there & (right == 0)
    # Smoothing "exp", NIST's: orders without a hit count as 1/2, 1/4 …
    smooth = np.where(missed, 2.0 ** -np.cumsum(missed, axis=1), right)
    logs = np.log(np.where(there, smooth, 1) / np.where(there, total, 1))
    brevity = np.minimum(0, 1 - wanted / np.maximum(said, 1))
    score = 100 * np.exp(brevity + logs.sum(axis=1) / np.maximum(there.sum(axis=1), 1))
    return np.where(right.any(axis=1), score, 0.0)


def _chrf_score(sums: Array) -> Array:
    """Return sacrebleu's chrF2 of sums (b, 18): for each order of 1 to 6, n-grams said, expected and shared."""
    said, wanted, shared = sums[:, 0::3], sums[:, 1::3], sums[:, 2::3]
    there = (said > 0) & (wanted > 0)
    orders = np.maximum(there.sum(axis=1), 1)
    precision = (there * shared / np.maximum(said, 1)).sum(axis=1) / orders
    recall = (there * shared / np.maximum(wanted, 1)).sum(axis=1) / orders
    factor = CHRF.BETA**2
    below = factor * precision + recall
    return 100 * (1 + factor) * precision * recall / np.where(below > 0, below, 1)
