"""How an answer is right.

    kind        an answer is right when                                              pattern
    exact       it is the expected one, but for white space around it                -
    normalised  it is, but for case, punctuation, width and English articles         -
    contains    the expected one occurs in it, compared normalised, as whole words   -
    keywords    all keywords of its row occur in it, in any case                     -
    number      its last number is the last one of the expected answer               -
    label       it says the expected label and no other                              the labels, one a line
    marker      what follows the last marker is the expected one, normalised         the marker, else <ANSWER>:
    citation    that, and every quote in it stands in one of the row's passages      the marker, else <ANSWER>:
    json        it parses and fits the schema; without one: is the expected value    a JSON schema
    regex       the pattern is found in it                                           the pattern
    open        nothing tells right from wrong: answers are compared by shared words -

Keywords of a row win over the kind: they are what somebody wrote down for just this row.
"""

import statistics
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Literal, get_args

import regex

from core.data.overlap import plain as without_layout
from core.errors import SettingsError, problem
from core.evaluate.metrics.classification import labels_of, said_label
from core.evaluate.metrics.json_text import is_json, is_structure, parsed, same_value, validator
from core.evaluate.metrics.numbers import is_bare_number, last_number
from core.evaluate.metrics.words import normalised, plain, tokens

Kind = Literal[
    "exact", "normalised", "contains", "keywords", "number", "label", "marker", "citation", "json", "regex", "open"
]  # fmt: skip
KINDS: tuple[Kind, ...] = get_args(Kind)
MARKER = "<ANSWER>:"  # of RAFT (Zhang et al., 2024)
_QUOTE = regex.compile(r"##begin_quote##(.*?)##end_quote##", regex.DOTALL)
_SECONDS = 0.5  # for one search; chosen by us: ordinary patterns take microseconds
_HARD = ("a" * 64 + "!", "1" * 64 + "!", " " * 64 + "!", "ab1 " * 16 + "!", "a, " * 20 + "!")  # for slow patterns
_MOST_LABELS, _LABEL_LETTERS, _LABEL_WORDS = 20, 24, 3  # chosen by us: more, or longer, are answers and no labels
_LONG = 12  # words in the middle; chosen by us: nobody says so many in exactly the words that were expected
_ROWS_A_LABEL = 3  # chosen by us: a label stands for several rows


@dataclass(frozen=True)
class Check:
    """How an answer is right; `pattern` says with what, for the kinds that need it."""

    kind: Kind
    pattern: str = ""

    def to_dict(self) -> dict[str, str]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Check":
        return cls(values["kind"], values.get("pattern", ""))

    @property
    def labels(self) -> list[str]:
        """The labels of a check by labels."""
        return [line.strip() for line in self.pattern.splitlines() if line.strip()] if self.kind == "label" else []


def validate(check: Check) -> None:
    """Pass a check that can be used.

    Raises:
        SettingsError: if its kind is unknown, or its pattern is missing, wrong or too slow.
    """
    if check.kind not in KINDS:
        raise SettingsError(problem("evaluate.unknown_check", kind=check.kind, known=", ".join(KINDS)))
    if check.kind == "json" and check.pattern:
        validator(check.pattern)
    if check.kind == "regex":
        if not check.pattern:
            raise SettingsError(problem("evaluate.no_pattern"))
        try:
            found = _compiled(check.pattern)
        except regex.error as error:
            raise SettingsError(problem("evaluate.bad_pattern", pattern=check.pattern, reason=str(error))) from None
        for text in _HARD:
            try:
                found.search(text, timeout=_SECONDS)
            except TimeoutError:
                raise SettingsError(problem("evaluate.slow_pattern", pattern=check.pattern)) from None


def detect(expected: Sequence[str], keywords: Sequence[Sequence[str]] = ()) -> Check:
    """Return the check that fits the expected answers of a set and its rows' keywords.

    What all answers have in common decides; `exact` is what is left for short ones. Empty answers are not looked at.
    """
    texts = [text for text in map(plain, expected) if text]
    if any(word.strip() for row in keywords for word in row):
        return Check("keywords")
    if not texts:
        return Check("exact")
    if all(MARKER in text for text in texts):
        return Check("citation" if any(_QUOTE.search(text) for text in texts) else "marker")
    if all(map(is_structure, texts)):
        return Check("json")
    labels = labels_of(texts)
    numbers = all(map(is_bare_number, texts))
    if _are_labels(labels, len(texts), most=5 if numbers else _MOST_LABELS):
        return Check("label", "\n".join(labels))
    if numbers:
        return Check("number")
    return Check("open" if statistics.median(len(tokens(text)) for text in texts) > _LONG else "exact")


def is_right(
    check: Check, answer: str, expected: str, keywords: Sequence[str] = (), docs: Sequence[str] = ()
) -> bool | None:
    """Say whether an answer is right; None where that cannot be told, such as against an empty reference.

    `keywords` are the row's own, `docs` the passages that it shows.

    Raises:
        SettingsError: if the check is one that `validate` refuses.
    """
    words = [plain(word).casefold() for word in keywords if word.strip()]
    if words:
        said = plain(answer).casefold()
        return all(word in said for word in words)
    if check.kind not in ("json", "regex") and not expected.strip():
        return None
    return _RIGHT[check.kind](check, answer, expected, docs)


def is_exact(answer: str, expected: str) -> bool:
    """Say whether two texts are equal after Unicode composition (NFC) and without white space around them."""
    return plain(answer) == plain(expected)


def _normalised(check: Check, answer: str, expected: str, docs: Sequence[str]) -> bool:
    return normalised(answer) == normalised(expected)


def _contains(check: Check, answer: str, expected: str, docs: Sequence[str]) -> bool:
    return f" {normalised(expected)} " in f" {normalised(answer)} "


def _number(check: Check, answer: str, expected: str, docs: Sequence[str]) -> bool | None:
    wanted, said = last_number(expected), last_number(answer)
    return None if wanted is None else said is not None and said.same(wanted)


def _label(check: Check, answer: str, expected: str, docs: Sequence[str]) -> bool:
    said = said_label(answer, check.labels or [expected])
    return said is not None and normalised(said) == normalised(expected)


def _marked(check: Check, answer: str, expected: str, docs: Sequence[str]) -> bool | None:
    marker = check.pattern or MARKER
    wanted = expected.rpartition(marker)[2]
    if not wanted.strip():
        return None
    return marker in answer and normalised(answer.rpartition(marker)[2]) == normalised(wanted)


def _cited(check: Check, answer: str, expected: str, docs: Sequence[str]) -> bool | None:
    right = _marked(check, answer, expected, docs)
    if not right:
        return right
    quotes = [without_layout(quote) for quote in _QUOTE.findall(answer)]
    if len(quotes) != answer.count("##begin_quote##"):
        return False
    if quotes and not docs:
        return None
    passages = [without_layout(passage) for passage in docs]
    return all(any(quote in passage for passage in passages) for quote in quotes)


def _json(check: Check, answer: str, expected: str, docs: Sequence[str]) -> bool:
    try:
        value = parsed(answer)
        if check.pattern:
            return validator(check.pattern).is_valid(value)
        return not is_json(expected) or same_value(value, parsed(expected))
    except (ValueError, RecursionError):  # no JSON, or nested too deeply to be compared
        return False


def _regex(check: Check, answer: str, expected: str, docs: Sequence[str]) -> bool | None:
    try:
        return bool(_compiled(check.pattern).search(plain(answer), timeout=_SECONDS))
    except TimeoutError:
        return None


_RIGHT: dict[Kind, Callable[[Check, str, str, Sequence[str]], bool | None]] = {
    "exact": lambda check, answer, expected, docs: is_exact(answer, expected),
    "keywords": lambda check, answer, expected, docs: is_exact(answer, expected),  # a row without keywords
    "normalised": _normalised,
    "contains": _contains,
    "number": _number,
    "label": _label,
    "marker": _marked,
    "citation": _cited,
    "json": _json,
    "regex": _regex,
    "open": lambda check, answer, expected, docs: None,
}


@lru_cache(maxsize=16)
def _compiled(pattern: str) -> Any:
    return regex.compile(unicodedata.normalize("NFC", pattern))


def _are_labels(labels: Sequence[str], rows: int, most: int) -> bool:
    """Say whether a set's different answers are so few and so short that they are labels."""
    few = 2 <= len(labels) <= most and _ROWS_A_LABEL * len(labels) <= rows
    return few and all(len(label) <= _LABEL_LETTERS and len(label.split()) <= _LABEL_WORDS for label in labels)
