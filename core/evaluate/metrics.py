"""Scores of answers against what was expected, each in percent. No torch here.

BLEU-4 is sacrebleu's corpus BLEU, so that others get the same number; it takes Chinese apart by characters where the
expected answers are mostly Chinese. ROUGE is rouge-score's, with a tokenizer of our own, because its own drops every
character that is not a-z or 0-9 and so scores all Chinese with 0. Measured in the field: the usual mean of sentence BLEUs
gives unrelated sentences 17 and "Ok" against "Ok" 59, so that no number of it can be compared with another.
"""

import re
import unicodedata
from collections.abc import Sequence

from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics.bleu import BLEU

NAMES = ("bleu", "rouge1", "rouge2", "rougeL", "exact", "right")
_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # kana, Han and their extensions
_TOKEN = re.compile(rf"[{_CJK}]|[^\W{_CJK}]+")
_CHINESE = re.compile(rf"[{_CJK}]")


def scores(answers: Sequence[str], expected: Sequence[str], keywords: Sequence[Sequence[str]]) -> dict[str, float]:
    """Return every score of `NAMES` for answers, what was expected and each row's keywords, all of the same length.

    Raises:
        ValueError: if the lengths differ or there is nothing to score.
    """
    rows = list(zip(answers, expected, keywords, strict=True))
    if not rows:
        raise ValueError("there are no answers to score")
    bleu = _bleu(expected).corpus_score(list(answers), [list(expected)]).score
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], tokenizer=_Tokenizer())
    rouge = [scorer.score(target=wanted, prediction=answer) for answer, wanted, _ in rows]
    found = {
        "bleu": bleu,
        **{name: _mean([100 * each[name].fmeasure for each in rouge]) for name in ("rouge1", "rouge2", "rougeL")},
        "exact": _mean([100 * is_exact(answer, wanted) for answer, wanted, _ in rows]),
        "right": _mean([100 * is_right(answer, wanted, words) for answer, wanted, words in rows]),
    }
    return {name: round(value, 2) for name, value in found.items()}


def signatures(answers: Sequence[str], expected: Sequence[str]) -> dict[str, str]:
    """Return how each score was computed, for whoever wants to compute it again."""
    bleu = _bleu(expected)
    bleu.corpus_score(list(answers), [list(expected)])  # sacrebleu signs only after it has scored
    return {
        "bleu": str(bleu.get_signature()),
        "rouge": "rouge-score F1, mean of rows, no stemming; tokens: lower-cased words, each Chinese or Japanese character",
        "exact": "equal after Unicode NFC and strip",
        "right": "all keywords occur, NFC, any case; rows without keywords: exact",
    }


def is_exact(answer: str, expected: str) -> bool:
    """Say whether two texts are equal after Unicode composition (NFC) and without white space around them."""
    return _plain(answer) == _plain(expected)


def is_right(answer: str, expected: str, keywords: Sequence[str]) -> bool:
    """Say whether every keyword occurs, whatever its case; without keywords: whether the answer is exact."""
    if not keywords:
        return is_exact(answer, expected)
    said = _plain(answer).casefold()
    return all(_plain(word).casefold() in said for word in keywords)


def tokens(text: str) -> list[str]:
    """Return lower-cased words; each Chinese or Japanese character is a word. Punctuation is left out."""
    return _TOKEN.findall(_plain(text).lower())


def mostly_chinese(texts: Sequence[str]) -> bool:
    """Say whether at least half of the words are Chinese or Japanese characters."""
    words = [word for text in texts for word in tokens(text)]
    return 2 * sum(bool(_CHINESE.match(word)) for word in words) >= len(words) > 0


class _Tokenizer:
    """The interface that rouge-score wants."""

    def tokenize(self, text: str) -> list[str]:
        return tokens(text)


def _bleu(expected: Sequence[str]) -> BLEU:
    # Effective order: answers of one to three words have no 4-grams, and would score 0 even where all are perfect.
    return BLEU(tokenize="zh" if mostly_chinese(expected) else "13a", effective_order=True)


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", text).strip()


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
