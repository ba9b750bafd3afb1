"""Every metric, once: what it measures, in which unit, and how a row's value is computed.

Adding a metric is adding an entry to `METRICS`, and its words to the locale files (`metric.NAME` and `metric_help.NAME`).
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from core.evaluate.metrics import compat, form, overlap
from core.evaluate.metrics.check import Check, is_exact, is_right
from core.evaluate.metrics.json_text import is_json, is_structure
from core.evaluate.metrics.words import f1, normal_tokens, normalised, tokens

Group = Literal["task", "overlap", "form", "compat"]


@dataclass(frozen=True)
class Pair:
    """An answer beside what was expected; the texts as words are made once, when the first metric asks for them."""

    check: Check
    answer: str
    expected: str
    keywords: Sequence[str]
    docs: Sequence[str]
    ended: bool

    @cached_property
    def said(self) -> list[str]:
        return tokens(self.answer)

    @cached_property
    def wanted(self) -> list[str]:
        return tokens(self.expected)

    @cached_property
    def said_cut(self) -> list[str]:
        return compat.words(self.answer)

    @cached_property
    def wanted_cut(self) -> list[str]:
        return compat.words(self.expected)


@dataclass(frozen=True)
class Metric:
    """One metric. `kind` mean: the value of a set is the mean of its rows'; corpus: see `overlap.corpus`.

    `of` gives a row's value; it is None for a metric of a corpus. A metric that `compares` has no value where the expected
    answer is empty.
    """

    name: str
    group: Group
    higher_is_better: bool | None
    signature: str
    of: Callable[[Pair], float | None] | None = None
    unit: Literal["%", "ratio", "words"] = "%"
    compares: bool = True

    @property
    def kind(self) -> Literal["mean", "corpus"]:
        return "corpus" if self.of is None else "mean"


def _right(pair: Pair) -> float | None:
    found = is_right(pair.check, pair.answer, pair.expected, pair.keywords, pair.docs)
    return None if found is None else 100.0 * found


def _f1(pair: Pair) -> float:
    said, wanted = Counter(normal_tokens(pair.answer)), Counter(normal_tokens(pair.expected))
    if not wanted:  # nothing but signs
        return 100.0 * (normalised(pair.answer) == normalised(pair.expected))
    return 100 * f1((said & wanted).total(), said.total(), wanted.total())


def _json(pair: Pair) -> float | None:
    meant = is_structure(pair.expected) or pair.check.kind == "json"
    return 100.0 * is_json(pair.answer) if meant else None


def _length_ratio(pair: Pair) -> float | None:
    return len(pair.said) / len(pair.wanted) if pair.wanted else None


_WORDS = "words lower-cased, each Chinese or Japanese character one"
_ROUGE = f"rouge-score F1, mean of rows, no stemming; {_WORDS}"
_COMPAT_ROUGE = "LLaMA-Factory: rouge_chinese on jieba words, mean of rows"

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("right", "task", True, "as the check says", _right, compares=False),
        Metric("exact", "task", True, "equal after Unicode NFC and strip",
               lambda pair: 100.0 * is_exact(pair.answer, pair.expected)),
        Metric("normalised", "task", True, "equal after NFKC, case, punctuation and English articles",
               lambda pair: 100.0 * (normalised(pair.answer) == normalised(pair.expected))),
        Metric("f1", "task", True, f"SQuAD's F1 of shared words; {_WORDS}, no English articles", _f1),
        Metric("bleu", "overlap", True, "sacrebleu"),
        Metric("chrf", "overlap", True, "sacrebleu"),
        Metric("rouge1", "overlap", True, _ROUGE, lambda pair: overlap.rouge_n(pair.said, pair.wanted, 1)),
        Metric("rouge2", "overlap", True, _ROUGE, lambda pair: overlap.rouge_n(pair.said, pair.wanted, 2)),
        Metric("rougeL", "overlap", True, _ROUGE, lambda pair: overlap.rouge_l(pair.said, pair.wanted)),
        Metric("repetition", "form", False, f"share of repeated 4-grams; {_WORDS}",
               lambda pair: form.repetition(pair.said), compares=False),
        Metric("loops", "form", False, "the end stands there three times or more, over 12 words or signs or more",
               lambda pair: 100.0 * form.loops(pair.answer), compares=False),
        Metric("words", "form", None, _WORDS, lambda pair: float(len(pair.said)), unit="words", compares=False),
        Metric("length_ratio", "form", None, f"words of the answer / words expected; {_WORDS}", _length_ratio,
               unit="ratio"),
        Metric("stopped", "form", True, "ended by itself before the longest length",
               lambda pair: 100.0 * pair.ended, compares=False),
        Metric("empty", "form", False, "nothing but white space",
               lambda pair: 100.0 * (not pair.answer.strip()), compares=False),
        Metric("json_valid", "form", True, "parses as JSON, where JSON is expected", _json, compares=False),
        Metric("compat_bleu4", "compat", True, "LLaMA-Factory: nltk sentence BLEU of characters, method3, mean of rows",
               lambda pair: compat.bleu4(pair.answer, pair.expected)),
        Metric("compat_rouge1", "compat", True, _COMPAT_ROUGE,
               lambda pair: compat.rouge_n(pair.said_cut, pair.wanted_cut, 1)),
        Metric("compat_rouge2", "compat", True, _COMPAT_ROUGE,
               lambda pair: compat.rouge_n(pair.said_cut, pair.wanted_cut, 2)),
        Metric("compat_rougeL", "compat", True, _COMPAT_ROUGE,
               lambda pair: compat.rouge_l(pair.said_cut, pair.wanted_cut)),
    )
}  # fmt: skip


def grade(
    check: Check,
    answer: str,
    expected: str,
    *,
    keywords: Sequence[str] = (),
    docs: Sequence[str] = (),
    ended: bool = True,
) -> dict[str, float | None]:
    """Return every metric of one row by its name: percent unless the metric says otherwise, None where it does not apply."""
    pair = Pair(check, answer, expected, keywords, docs, ended)
    there = bool(expected.strip())
    return {
        name: metric.of(pair) if there or not metric.compares else None
        for name, metric in METRICS.items()
        if metric.of is not None
    }


def signatures(answers: Sequence[str], expected: Sequence[str], check: Check | None = None) -> dict[str, str]:
    """Return how each metric of a set was computed, for whoever wants to compute it again."""
    found = {
        name: overlap.signature(name, answers, expected) if metric.kind == "corpus" else metric.signature
        for name, metric in METRICS.items()
    }
    if check is not None:
        found["right"] = f"keywords of the row, else {check.kind} {check.pattern}".strip()
    return found
