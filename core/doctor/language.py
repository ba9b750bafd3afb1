"""Which language a text is in, told by its script, and for Latin script by the commonest small words of eight languages."""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from core.doctor.report import Finding, Tally, found, percent
from core.doctor.source import Seen, without_documents
from core.progress import Progress

LEAST = 40  # letters; a Chinese character says as much as three
MAIN = 0.9  # of the answers
_MANY = 0.02  # share of rows; chosen by us: below, the odd row may well be meant
_HAN_WEIGHT = 3
_LOOKED_AT = 600  # characters of a text
_SCRIPTS = {
    "ja": re.compile("[\u3040-\u30ff]"),
    "ko": re.compile("[\uac00-\ud7af]"),
    "zh": re.compile("[\u4e00-\u9fff\u3400-\u4dbf]"),
    "ru": re.compile("[\u0400-\u04ff]"),
    "ar": re.compile("[\u0600-\u06ff]"),
    "he": re.compile("[\u0590-\u05ff]"),
    "th": re.compile("[\u0e00-\u0e7f]"),
    "hi": re.compile("[\u0900-\u097f]"),
    "el": re.compile("[\u0370-\u03ff]"),
    "latin": re.compile("[A-Za-z\u00c0-\u024f]"),
}
_SMALL_WORDS = {
    "en": "the and of to is in that for it with as are be this on you can by from",
    "de": "der die und das ist nicht ein eine zu den mit für sich auf dem des im sie wir",
    "fr": "le la les et est des une pour dans que qui sur pas avec ce il du vous sont",
    "es": "el los las y es que una por para con del se no su como más lo esta son",
    "it": "il di che è la per una sono con non del della gli le si nel come alla anche",
    "pt": "o que e do da em um uma para não com os as é por mais dos ao são você",
    "nl": "de het een en van is dat niet op te zijn voor met die aan er ook als wij",
    "vi": "và của là có cho không được một các trong những với người này đã để khi từ",
}
_CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_LETTERS = re.compile(r"[^\W\d_]+")
_LANGUAGES_OF: dict[str, tuple[str, ...]] = {
    word: tuple(language for language, words in _SMALL_WORDS.items() if word in words.split())
    for word in " ".join(_SMALL_WORDS.values()).split()
    if len(word) > 1
}
_MEANT = re.compile(  # a question that asks for another language, or is about one
    r"translat|übersetz|tradu|翻译|译[成为文]|翻訳|\b(?:in|into|to) (?:\w+ )?(?:English|Chinese|Spanish|French|German|"
    r"Japanese|Italian|Portuguese|Korean|Russian|Latin|Mandarin)\b|[英中法德日韩俄西]语|[英中法德日]文|language|语言|\bcode\b|代码|python|sql",
    re.I,
)


def language_of(text: str) -> str:
    """Return the language's code ("en", "zh" …), or "" where there are too few letters, or no way to tell.

    Code between triple backticks is in no language.
    """
    text = (_CODE.sub(" ", text) if "```" in text else text)[:_LOOKED_AT]
    if text.isascii():
        letters = {"latin": len(text.replace(" ", ""))}
    else:
        letters = {name: len(pattern.findall(text)) for name, pattern in _SCRIPTS.items()}
    for dense in ("zh", "ja", "ko"):
        letters[dense] = letters.get(dense, 0) * _HAN_WEIGHT
    if letters["ja"] and letters["ja"] * 8 > letters["zh"]:  # Japanese mixes kana with Chinese characters
        letters["ja"] += letters.pop("zh")
    script, most = max(letters.items(), key=lambda each: each[1])
    if sum(letters.values()) < LEAST or most < 0.6 * sum(letters.values()):
        return ""
    return _latin_language(text) if script == "latin" else script


def _latin_language(text: str) -> str:
    """Return the language whose small words are at least a tenth of the words, and clearly more than another's."""
    words = _LETTERS.findall(text.lower())
    counts = dict.fromkeys(_SMALL_WORDS, 0)
    for word in words:
        for language in _LANGUAGES_OF.get(word, ()):
            counts[language] += 1
    (first, most), (_, second) = sorted(counts.items(), key=lambda each: -each[1])[:2]
    different = sum(first in _LANGUAGES_OF.get(word, ()) for word in set(words))
    return first if different >= 3 and most >= 0.1 * len(words) and most >= 1.5 * second else ""


class Languages:
    """Answers in several languages, and answers in another language than their question."""

    def __init__(self) -> None:
        self._answers = Counter[str]()
        self._first: dict[str, tuple[str, str]] = {}
        self._odd: dict[str, Tally] = {}
        self._switch = Tally("language_switch")

    def see(self, seen: Seen) -> None:
        if not seen.answer:
            return
        language = language_of(seen.answer)
        if not language:
            return
        self._answers[language] += 1
        self._odd.setdefault(language, Tally("language_mix")).add(seen.place, seen.answer)
        question = without_documents(seen.question)
        asked = language_of(question)
        if asked and asked != language and not _MEANT.search(f"{seen.system}\n{question}"):
            self._switch.add(seen.place, f"{asked} → {language}: {seen.answer}")

    def findings(self, rows: int, progress: Progress) -> Iterable[Finding]:
        told = self._answers.total()
        if told and self._answers.most_common(1)[0][1] < MAIN * told:
            yield self._mix(told)
        if self._switch.count:
            yield self._switch.finding(self._switch.count <= _MANY * rows, share=percent(self._switch.count, rows))

    def _mix(self, told: int) -> Finding:
        """Return the finding on several languages, with the rows of those that are not the main one."""
        main, *others = [language for language, _ in self._answers.most_common()]
        odd = [self._odd[language].finding() for language in others]
        shares = ", ".join(f"{language} {percent(count, told)}" for language, count in self._answers.most_common(5))
        examples = tuple(example for each in odd for example in each.examples[:2])[:5]
        lines = tuple(line for each in odd for line in each.lines)[:1000]
        count = told - self._answers[main]
        return found("language_mix", count, lines, examples, shares=shares, main=main)

    def stats(self) -> dict[str, Any]:
        return {"languages": dict(self._answers.most_common())} if self._answers else {}
