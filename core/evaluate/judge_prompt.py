"""What a judge model is asked about two answers, and what its reply means.

Answers are the work of a model that may have learnt to say "choose me". They stand between marks that occur in none of the
texts, are cut to a length, and hold nothing that a server would read as the border of a turn.
"""

import hashlib
import json
import re
import unicodedata
from functools import lru_cache
from typing import Literal

import yaml

from core.data.variants import language_of
from core.evaluate.pairs import Pair
from core.workspace import SAMPLES

Pick = Literal["first", "second", "tie"]
FILE = SAMPLES / "judge.yaml"
LONGEST_QUESTION = 6000  # characters; chosen by us: question and two answers stay below some 5,000 tokens of English
LONGEST_ANSWER = 4000
# Borders of turns in the chat formats in use: <|im_end|>, <｜User｜>, <start_of_turn>, </s>, [INST], <<SYS>>. A server may
# read them as such wherever they stand.
_BORDER = re.compile(r"[<\[](?=[|｜]|/?s>|(?:start|end)_of_turn>|/?INST\]|</?SYS>)|(?<=[|｜])>")


def default_rubric(language: str) -> str:
    """Return the rubric that comes with the studio."""
    return _words()[language]["rubric"].strip()


def fingerprint(rubric: str = "") -> str:
    """Return the SHA-256 of all that a judge is told beside the texts: a rubric, "" for ours, and the frame around it."""
    told = {language: {**words, "rubric": rubric or words["rubric"]} for language, words in _words().items()}
    return hashlib.sha256(json.dumps(told, ensure_ascii=False, sort_keys=True).encode()).hexdigest()


def prompt(pair: Pair, swapped: bool, rubric: str = "") -> str:
    """Return the question to the judge, in the language of the item; `swapped` puts the answer of `other` first."""
    language = language_of(pair.question)
    words = _words()[language]
    question = shortened(pair.question, LONGEST_QUESTION)
    expected, *answers = (shortened(text, LONGEST_ANSWER) for text in (pair.expected, pair.who_text, pair.other_text))
    first, second = reversed(answers) if swapped else answers
    mark = _mark(question, expected, first, second)
    reference = words["reference"].format(mark=mark, expected=expected) if expected.strip() else ""
    return words["frame"].format(
        rubric=(rubric or words["rubric"]).strip(),
        mark=mark,
        question=question,
        reference=reference,
        first=first,
        second=second,
    )


def shortened(text: str, most: int) -> str:
    """Return a text without borders of turns, and its middle left out where it is longer than `most` characters."""
    if len(text) > most:
        half = most // 2
        text = f"{text[:half]}\n[… {len(text) - 2 * half} …]\n{text[-half:]}"
    return _BORDER.sub(lambda found: " >" if found[0] == ">" else f"{found[0]} ", text)


_PICKS: dict[str, Pick] = {
    **dict.fromkeys(("A", "甲"), "first"),
    **dict.fromkeys(("B", "乙"), "second"),
    **dict.fromkeys(("C", "丙", "TIE", "平局", "平手", "一样好"), "tie"),
}
_NAME = r"(?:(?i:answer|response|assistant|option)\s*|回答|答案)?"  # what a judge may call an answer
_LETTER = r"(?<![A-Za-z0-9])([ABC甲乙丙]|(?i:tie)|平局|平手|一样好)(?![A-Za-z0-9]|\s+(?i:tie))"
_SAID = r"(?i:answer|verdict|choice|winner|better|decision|judge?ment|result)|答案|结论|判断|选择|结果|更好"
_QUOTED = r"[\"'*_\s(]*"
_VERDICTS = (  # tried in this order
    re.compile(rf"\[\[\s*{_LETTER}\s*\]\]"),
    re.compile(rf"(?:{_SAID}){_QUOTED}(?:[:=]|\s(?i:is)\s|[为是]){_QUOTED}{_NAME}{_QUOTED}{_LETTER}"),
    re.compile(
        rf"{_NAME}{_LETTER}\s*(?:is (?:(?:much|far|clearly|slightly|the) )?better|wins\b|(?:明显|稍)?更[好优佳])"
    ),
    re.compile(rf"(?:(?i:choose|pick|prefer)\s+|选择?){_NAME}{_QUOTED}{_LETTER}"),
)
_THAN = re.compile(r"比\s*(?:回答|答案)?\s*[AB甲乙]")  # 甲比乙更好 says that 甲 is better
_OPENING = re.compile(rf"{_LETTER}(?:\s*[.:,)。、]|\s+[—–-])")
_AROUND = " \t\r\n*_`\"'“”‘’()（）[]【】{}.。,:!#<>"


def pick(reply: str) -> Pick | None:
    """Return which of the two places a reply prefers, None where it cannot be told.

    Read are the bare letter, however it is dressed up, the forms that judges are used to ("[[A]]", "Answer: B", "甲"), and
    a verdict in words. A reply that names both is none. Thoughts before </think> do not count.
    """
    text = unicodedata.normalize("NFKC", re.sub(r"^.*</think>", "", reply, flags=re.DOTALL)).strip()
    if "<think>" in text:  # it was cut off while it thought
        return None
    lines = [line for line in text.splitlines() if line.strip(_AROUND)]
    for bare in (*lines[-1:], *lines[:1]):
        if found := _PICKS.get(bare.strip(_AROUND).upper()):
            return found
    text = _THAN.sub("", text)
    for verdict in _VERDICTS:
        named = {_PICKS[letter.upper()] for letter in verdict.findall(text)}
        if named:
            return named.pop() if len(named) == 1 else None
    begun = _OPENING.match(text.lstrip(_AROUND))
    return _PICKS[begun[1].upper()] if begun else None


def _mark(*texts: str) -> str:
    """Return a word that occurs in none of the texts, the same for the same texts."""
    number = 0
    while True:
        mark = hashlib.sha256("\0".join((*texts, str(number))).encode()).hexdigest()[:12]
        if not any(mark in text for text in texts):
            return mark
        number += 1


@lru_cache
def _words() -> dict[str, dict[str, str]]:
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))
