"""Which answers to read first: views over the rows of an evaluation, and filters that go with each of them.

A view keeps some rows and brings those to the front that show most. 20,000 rows take less than 0.3 s.
"""

import unicodedata
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from core.evaluate.contestants import BASE, TUNED
from core.evaluate.rows import Row

# Chosen by us, from what these scores are worth: unrelated sentences share up to 16 % of ROUGE, paraphrases some 30 to 55 %.
# An answer that reaches 60 % has the wanted words in the wanted order; whoever looks at the score alone takes it for right.
HIGH_SCORE = 60.0
_OVERLAP = ("rougeL", "f1")  # of the scores a row has, those that count shared words
_REPEATS = (
    50.0  # percent of the 4-grams; chosen by us: a list may repeat its beginnings, an answer half of itself does not
)
_BUCKETS = 512  # a power of 2: pairs of characters that are told apart
_ROWS_AT_ONCE = 100  # 0.4 MB of counts, which stay in the cache: five times as fast as with twenty times the rows

View = Callable[[Sequence[Row], str, str], list[Row]]  # rows, who is looked at, whom it is compared with


def select(
    rows: Sequence[Row],
    view: str = "all",
    *,
    source: str = "",
    tag: str = "",
    kind: str | None = None,
    words: str = "",
    who: str = TUNED,
    other: str = BASE,
) -> list[Row]:
    """Return the rows of a view that pass every filter, those that show most first.

    Args:
        view: a name of `VIEWS`.
        source: name of a data set or probe.
        words: what must occur in question, expected or any answer, each of them, in any case.
        who: whose answers are looked at, beside those of `other`.
    """
    wanted = _plain(words).split()
    kept = [
        row
        for row in rows
        if (not source or row.item.source == source)
        and (not tag or row.item.tag == tag)
        and (kind is None or row.item.kind == kind)
        and (not wanted or _says(row, wanted))
    ]
    return VIEWS[view](kept, who, other)


def everything(rows: Sequence[Row], who: str, other: str) -> list[Row]:
    return list(rows)


def best(rows: Sequence[Row], who: str, other: str) -> list[Row]:
    """Right answers first, then the wrong ones that share most with what was expected; rows without a value are left out."""
    return sorted((row for row in rows if _worth(row, who)), key=lambda row: _worth(row, who), reverse=True)


def worst(rows: Sequence[Row], who: str, other: str) -> list[Row]:
    return sorted((row for row in rows if _worth(row, who)), key=lambda row: _worth(row, who))


def high_score_wrong(rows: Sequence[Row], who: str, other: str) -> list[Row]:
    """What a score of shared words calls good and is wrong: the pattern was learnt and the fact was not."""
    found = [row for row in rows if row.value(who, "right") == 0 and _overlap(row, who) >= HIGH_SCORE]
    return sorted(found, key=lambda row: -_overlap(row, who))


def most_changed(rows: Sequence[Row], who: str, other: str) -> list[Row]:
    """Rows of which the two answers have least in common; equal answers are left out."""
    found = [row for row in rows if who in row.answers and other in row.answers and row.text(who) != row.text(other)]
    far = _distances([row.text(other) for row in found], [row.text(who) for row in found])
    return [found[place] for place in np.argsort(-far, kind="stable")]


def got_worse(rows: Sequence[Row], who: str, other: str) -> list[Row]:
    return [row for row in rows if row.value(who, "right") == 0 and (row.value(other, "right") or 0) > 0]


def got_better(rows: Sequence[Row], who: str, other: str) -> list[Row]:
    return [row for row in rows if (row.value(who, "right") or 0) > 0 and row.value(other, "right") == 0]


def cut_off(rows: Sequence[Row], who: str, other: str) -> list[Row]:
    """Answers that did not end by themselves within the longest length that was asked for."""
    return [row for row in rows if who in row.answers and row.answers[who].asked and not row.answers[who].ended]


def repeating(rows: Sequence[Row], who: str, other: str) -> list[Row]:
    """Answers whose end runs in a loop, and those that say half of themselves again."""
    found = [row for row in rows if row.value(who, "loops") or (row.value(who, "repetition") or 0) >= _REPEATS]
    return sorted(found, key=lambda row: -(row.value(who, "repetition") or 0))


def empty(rows: Sequence[Row], who: str, other: str) -> list[Row]:
    return [row for row in rows if who in row.answers and row.answers[who].asked and not row.answers[who].text.strip()]


VIEWS: dict[str, View] = {  # in the order in which they are offered
    "all": everything,
    "worst": worst,
    "best": best,
    "high_score_wrong": high_score_wrong,
    "got_worse": got_worse,
    "got_better": got_better,
    "most_changed": most_changed,
    "cut_off": cut_off,
    "repeating": repeating,
    "empty": empty,
}


def _worth(row: Row, who: str) -> tuple[float, ...]:
    """Return what an answer is ordered by; () for one that has no value."""
    values = row.values.get(who)
    if not values:
        return ()
    right, overlap = values.get("right"), _overlap(row, who)
    return (overlap if right is None else right, overlap)


def _overlap(row: Row, who: str) -> float:
    values = row.values.get(who, {})
    return max((value for name in _OVERLAP if (value := values.get(name)) is not None), default=0.0)


def _distances(ones: Sequence[str], others: Sequence[str]) -> NDArray[np.float64]:
    """Return how different the texts of each pair are, 0..1: the share of their pairs of characters that only one has.

    The q-gram distance (Ukkonen, 1992), which needs no words and so is the same for every script. Pairs of characters are
    counted in buckets: two that fall into one make texts look a little more alike.
    """
    found = [np.zeros(0)]
    for start in range(0, len(ones), _ROWS_AT_ONCE):
        mine, theirs = (_bigrams(each[start : start + _ROWS_AT_ONCE]) for each in (ones, others))
        found.append(np.abs(mine - theirs).sum(axis=1) / (mine.sum(axis=1) + theirs.sum(axis=1)))
    return np.concatenate(found)


def _bigrams(texts: Sequence[str]) -> NDArray[np.int64]:
    """Return how often each text has each pair of characters, its ends included, shape (texts, _BUCKETS)."""
    codes = np.frombuffer("\0".join(("", *texts, "")).encode("utf-32-le", "surrogatepass"), np.uint32)
    # Knuth's multiplicative hash (The Art of Computer Programming 3, 6.4): the highest bits of the product are well mixed.
    buckets = ((codes[:-1] * np.uint32(40503) + codes[1:]) * np.uint32(2654435761)) >> np.uint32(
        32 - _BUCKETS.bit_length() + 1
    )
    rows = np.repeat(np.arange(len(texts)), [len(text) + 1 for text in texts])
    counts = np.bincount(rows * _BUCKETS + buckets, minlength=len(texts) * _BUCKETS)
    return counts.reshape(len(texts), _BUCKETS)


def _says(row: Row, wanted: Sequence[str]) -> bool:
    texts = (row.item.question, row.item.expected, *(answer.text for answer in row.answers.values()))
    said = _plain("\n".join(texts))
    return all(word in said for word in wanted)


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()
