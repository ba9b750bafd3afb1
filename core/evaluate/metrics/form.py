"""The form of answers, whatever they say: whether they repeat themselves, and whether the end runs in a loop."""

from collections.abc import Sequence

import regex

from core.evaluate.metrics.words import CJK, ngrams, plain

_GRAM = 4  # words; the length that is usual for it (Welleck et al., 2020)
_TIMES, _LOOP = 3, 12  # chosen by us: three times the same, and 12 words or signs in all, so that "ha ha ha" is no loop
_PIECE = regex.compile(rf"[{CJK}]|[^\W{CJK}]+|\S")


def repetition(words: Sequence[str]) -> float:
    """Return how many percent of the runs of four words occurred before in the same text; 0 of a text without such runs."""
    runs = ngrams(words, _GRAM)
    return 100 * (1 - len(runs) / runs.total()) if runs else 0.0


def loops(text: str) -> bool:
    """Say whether a text ends in the same words or signs again and again, as a model does that cannot stop.

    The end is a loop when something stands there three times or more in a row, cut anywhere, over 12 pieces or more: words,
    Chinese characters, or signs other than white space.
    """
    backwards = _PIECE.findall(plain(text))[::-1]
    same = _common_starts(backwards)
    return any(
        period + same[period] >= max(_TIMES * period, _LOOP) for period in range(1, len(backwards) // _TIMES + 1)
    )


def _common_starts(pieces: Sequence[str]) -> list[int]:
    """Return, for each place, how many pieces from there equal those at the start: the Z function (Gusfield 1997), linear."""
    found = [0] * len(pieces)
    left = right = 0
    for place in range(1, len(pieces)):
        length = min(right - place, found[place - left]) if place < right else 0
        while place + length < len(pieces) and pieces[length] == pieces[place + length]:
            length += 1
        found[place] = length
        if place + length > right:
            left, right = place, place + length
    return found
