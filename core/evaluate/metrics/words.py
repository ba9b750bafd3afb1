"""Texts as metrics see them: words, normal forms, n-grams, and the longest common subsequence.

A word is what stands between spaces and punctuation; each Chinese or Japanese character is one, since those languages put
no spaces. Vowel signs and other marks belong to their word, so that Hindi and vocalised Arabic stay whole; Python's own `re`
would take them apart there, which is why `regex` is used.
"""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import TypeVar

import regex

CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # kana, Han and their extensions
_TOKEN = regex.compile(rf"[{CJK}]|[^\W{CJK}]+")
_CHINESE = regex.compile(rf"[{CJK}]")
_SIGNED = regex.compile(rf"[{CJK}]|[-+](?=\.?\d)|\d+(?:[.,]\d+)+|[^\W{CJK}]+")
_ARTICLES = {"a", "an", "the"}  # those that SQuAD leaves out (Rajpurkar et al., 2016)

T = TypeVar("T")


def plain(text: str) -> str:
    """Return a text with its accents composed (Unicode NFC) and no white space around it."""
    return unicodedata.normalize("NFC", text).strip()


def tokens(text: str) -> list[str]:
    """Return lower-cased words; each Chinese or Japanese character is a word. Punctuation is left out."""
    return _TOKEN.findall(plain(text).lower())


def normal_tokens(text: str) -> list[str]:
    """Return the words that a tolerant comparison sees, as SQuAD's does: no case, punctuation, width or English article.

    Unlike SQuAD's it keeps what makes another number: the sign before one and the point inside one. An article that is all
    there is stays: "A" is the answer to many a question.
    """
    normal = unicodedata.normalize("NFKC", text).casefold().replace("\u2212", "-")
    found = _SIGNED.findall(normal)
    return [word for word in found if word not in _ARTICLES] or found


def normalised(text: str) -> str:
    """Return the normal tokens as one text; signs and emoji that stand alone are kept as they are."""
    return " ".join(normal_tokens(text)) or " ".join(text.split())


def mostly_chinese(texts: Sequence[str]) -> bool:
    """Say whether at least half of the words are Chinese or Japanese characters."""
    words = [word for text in texts for word in tokens(text)]
    return 2 * sum(bool(_CHINESE.match(word)) for word in words) >= len(words) > 0


def ngrams(words: Sequence[T], n: int) -> "Counter[tuple[T, ...]]":
    """Return how often each run of `n` words occurs; nothing where there are fewer words."""
    return Counter(zip(*(words[start:] for start in range(n)), strict=False))


def common_length(one: Sequence[T], other: Sequence[T]) -> int:
    """Return the length of the longest common subsequence.

    Bit-parallel (Hyyrö 2004): a bit for each word of `one`, so that 10,000 words against 10,000 take some 20 ms, where the
    usual table of Python numbers takes a minute.
    """
    places: dict[T, int] = {}
    for number, word in enumerate(one):
        places[word] = places.get(word, 0) | 1 << number
    full = (1 << len(one)) - 1
    open_places = full  # a 0 bit is a word of `one` that the subsequence has used
    for word in other:
        matched = open_places & places.get(word, 0)
        open_places = ((open_places + matched) | (open_places - matched)) & full
    return len(one) - open_places.bit_count()


def f1(shared: float, said: float, wanted: float) -> float:
    """Return the harmonic mean of shared / said and shared / wanted, 0..1."""
    return 2 * shared / (said + wanted) if said + wanted else 0.0
