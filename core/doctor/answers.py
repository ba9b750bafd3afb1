"""How long questions and answers are, and answers that repeat themselves, their question or each other."""

import re
import statistics
from array import array
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from core.data.overlap import plain
from core.doctor.report import Finding, Tally, excerpt, found, percent
from core.doctor.source import Seen, without_documents
from core.progress import Progress
from core.records import Conversation, Text

_UNIT = re.compile("[\u3400-\u9fff\u3040-\u30ff]|[^\\W\u3400-\u9fff\u3040-\u30ff]+")
_DENSE_GAP = re.compile("(?<=[\u3400-\u9fff\u3040-\u30ff]) (?=[\u3400-\u9fff\u3040-\u30ff])")
SHORT_ANSWER, SHORT_QUESTION, LONG_QUESTION = 3, 3, 150  # words (Alpaca's for questions)
_FAR_LONGER = 4  # times the 95th percentile
_CLOSED = 8  # words; where the usual answer is shorter, short ones are what is asked for
_SAME_BEGINNING, _SAME_ANSWER = 0.20, 0.05  # of all answers
_BEGINNING = 5  # words
_ENOUGH = 20  # rows; chosen by us: a share of fewer says nothing
_COPIED = 0.9
_MANY = 0.01  # share of rows; chosen by us: a task may well ask for the same words again
_RUN, _ANSWER_AGAIN = 10, 0.30  # words; share of an answer in runs that stood before, chosen by us
_LEAST = 50  # words; the rules below are for texts at least this long
_TOP = {2: 0.20, 3: 0.18, 4: 0.16}  # share of characters in the commonest n-gram
_AGAIN = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}  # share of characters in n-grams that come again
_LINES = 0.30  # share of lines that stood before
_IN_A_ROW, _PARAGRAPHS = 4, 10  # equal sentences in a row, equal paragraphs
_OFTEN = 0.20  # share of rows from which short or long questions are worth a note


def count_words(text: str) -> int:
    """Count words; a Chinese or Japanese character is one."""
    return len(text.split()) if text.isascii() else len(_UNIT.findall(text))


class Lengths:
    """Very short and very long questions and answers: mostly notes, because short answers are often right."""

    def __init__(self) -> None:
        self._answers = array("l")
        self._questions = array("l")
        self._short = Tally("short_answers")
        self._brief = Tally("short_questions")
        self._wordy = Tally("long_questions")
        self._longest: list[tuple[int, str, str]] = []

    def see(self, seen: Seen) -> None:
        if isinstance(seen.record, Text) or not seen.answer:
            return
        words, asked = count_words(seen.answer), count_words(without_documents(seen.question))
        self._answers.append(words)
        self._questions.append(asked)
        if words < SHORT_ANSWER and not (isinstance(seen.record, Conversation) and seen.record.label):
            self._short.add(seen.place, f"{without_documents(seen.question)} → {seen.answer}")
        if asked <= SHORT_QUESTION:
            self._brief.add(seen.place, seen.question)
        elif asked > LONG_QUESTION:
            self._wordy.add(seen.place, seen.question)
        self._longest.append((words, seen.place, excerpt(seen.answer)))
        if len(self._longest) > 4000:
            self._longest = sorted(self._longest, reverse=True)[:1000]

    def findings(self, rows: int, progress: Progress) -> Iterable[Finding]:
        if not self._answers:
            return
        usual = statistics.median(self._answers)
        if self._short.count and usual >= _CLOSED:
            yield self._short.finding(share=percent(self._short.count, rows), usual=round(usual))
        limit = _FAR_LONGER * _percentile(self._answers, 0.95)
        far = [each for each in sorted(self._longest, reverse=True) if each[0] > limit]
        if far and rows >= _ENOUGH:
            tally = Tally("long_answers")
            for words, place, text in far:
                tally.add(place, f"{words}: {text}")
            yield tally.finding(limit=round(limit))
        for tally in (self._brief, self._wordy):
            if tally.count > _OFTEN * rows:
                yield tally.finding(share=percent(tally.count, rows))

    def stats(self) -> dict[str, Any]:
        def spread(values: array) -> dict[str, int]:
            return {
                name: round(_percentile(values, share)) for name, share in (("p50", 0.5), ("p95", 0.95), ("max", 1.0))
            }

        if not self._answers:
            return {}
        return {"answer_words": spread(self._answers), "question_words": spread(self._questions)}


class Sameness:
    """Answers that begin alike, that are all the same, or that copy their question."""

    def __init__(self) -> None:
        self._beginnings = Counter[str]()
        self._answers = Counter[int]()
        self._texts: dict[int, str] = {}
        self._copied = Tally("copied_question")
        self._rows = 0

    def see(self, seen: Seen) -> None:
        if isinstance(seen.record, Text) or not seen.answer:
            return
        self._rows += 1
        self._beginnings[" ".join(_UNIT.findall(seen.answer[:200])[:_BEGINNING])] += 1
        key = hash(seen.answer)
        self._answers[key] += 1
        if self._answers[key] == 2:
            self._texts[key] = seen.answer
        if copies(seen.question, seen.answer):
            self._copied.add(seen.place, f"{seen.question} → {seen.answer}")

    def findings(self, rows: int, progress: Progress) -> Iterable[Finding]:
        if self._copied.count:
            yield self._copied.finding(self._copied.count <= _MANY * rows, share=percent(self._copied.count, rows))
        if self._rows < _ENOUGH:
            return
        key, times = self._answers.most_common(1)[0]
        if times > _SAME_ANSWER * self._rows and times > 2:
            yield found("same_answer", times, **_quoted(self._texts[key], times, self._rows))
        text, begin = self._beginnings.most_common(1)[0]
        if begin > _SAME_BEGINNING * self._rows and begin > times:
            yield found("same_beginning", begin, **_quoted(_DENSE_GAP.sub("", text), begin, self._rows))

    def stats(self) -> dict[str, Any]:
        return {"different_answers": len(self._answers)} if self._rows else {}


def copies(question: str, answer: str) -> bool:
    """Tell whether an answer of five words or more is its question again, nearly to the word, and without a new number."""
    if not 0.8 < (len(question) + 1) / (len(answer) + 1) < 1.25:
        return False
    asked, said = (Counter(_UNIT.findall(plain(text))) for text in (question, answer))
    if any(unit.isdigit() for unit in said - asked):
        return False
    shared, every = (asked & said).total(), max(asked.total(), said.total())
    return said.total() >= 5 and shared > _COPIED * every


class Repetition:
    """Answers that say the same thing again and again."""

    def __init__(self) -> None:
        self._tally = Tally("repetition")

    def see(self, seen: Seen) -> None:
        if seen.answer and repeats(seen.answer, isinstance(seen.record, Text)):
            self._tally.add(seen.place, seen.answer)

    def findings(self, rows: int, progress: Progress) -> Iterable[Finding]:
        if self._tally.count:
            yield self._tally.finding(self._tally.count <= _MANY * rows, share=percent(self._tally.count, rows))

    def stats(self) -> dict[str, Any]:
        return {}


def repeats(text: str, running: bool = False) -> bool:
    """Tell whether a text repeats itself.

    Running text is measured as Gopher does. An answer that lists, compares or counts repeats words by design (Gopher's
    shares are over one good answer in 17 of a Chinese demonstration set), so that only long runs that come again count.
    """
    sentences = [each.strip() for each in re.split(r"[.!?。！？\n]+", text) if each.strip()]
    run = 1
    for one, other in pairwise(sentences) if len(set(sentences)) < len(sentences) else ():
        run = run + 1 if one == other and len(one) > 3 else 1
        if run >= _IN_A_ROW:
            return True
    words = _UNIT.findall(text)
    if len(words) < _LEAST:
        return False
    lines = Counter(each.strip() for each in text.split("\n") if len(each.strip()) > 3)
    if lines and max(lines.values()) >= _PARAGRAPHS:
        return True
    if running:
        again = lines.total() - len(lines)
        return again > _LINES * lines.total() >= _LINES * _PARAGRAPHS or _ngrams_repeat(words)
    n = _RUN if text.isascii() else 2 * _RUN  # a Chinese word has two characters
    return _share_again(words, n) > _ANSWER_AGAIN


def _ngrams_repeat(words: list[str]) -> bool:
    """Tell whether n-grams take more of a running text than Gopher allows."""
    characters = sum(map(len, words))
    for n, most in _TOP.items():
        top, times = Counter(zip(*(words[i:] for i in range(n)), strict=False)).most_common(1)[0]
        if times > 2 and times * sum(map(len, top)) > most * characters:
            return True
    return any(_share_again(words, n) > most for n, most in _AGAIN.items())


def _share_again(words: list[str], n: int) -> float:
    """Return the share of the characters that lie in runs of n words that stood before."""
    seen: set[tuple[str, ...]] = set()
    repeated = index = 0
    while index + n <= len(words):
        gram = tuple(words[index : index + n])
        if gram in seen:
            repeated += sum(map(len, gram))
            index += n
        else:
            seen.add(gram)
            index += 1
    return repeated / sum(map(len, words))


def _percentile(values: array, share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _quoted(text: str, times: int, rows: int) -> dict[str, Any]:
    return {"text": excerpt(text)[:80], "share": percent(times, rows)}
