"""What differs between two answers: word by word, Chinese and Japanese character by character.

The longest common subsequence, found exactly with one big integer a word (H. Hyyrö, Bit-parallel LCS-length computation
revisited, 2004), since difflib takes minutes for two answers of 10,000 characters that repeat themselves; this takes 0.1 s.
"""

from collections.abc import Sequence
from html import escape
from typing import Literal, NamedTuple

import regex

from core.evaluate.metrics.words import CJK

_PIECE = regex.compile(rf"[{CJK}]|[^\W{CJK}]+|\s+|.", regex.DOTALL)  # what is found joins to the text again
_WORD = regex.compile(r"\w")
_CONTROL = regex.compile(
    r"[\x00-\x08\x0b-\x1f]"
)  # not tab and line feed, which are white space; others are an error in HTML
_MOST_CELLS = 150_000_000  # bits kept of the table, 19 MB; two answers of 10,000 characters need at most 100 million
_LEAST_SHARED = 0.2  # chosen by us: with less in common than every fifth word, what is kept is "the" and "of"

Kind = Literal["same", "removed", "added"]


class Segment(NamedTuple):
    kind: Kind
    text: str


def changes(before: str, after: str) -> list[Segment]:
    """Return the segments of both texts in order; what is same and removed joins to `before`, same and added to `after`.

    Texts that have next to nothing in common, or of which more than some 12,000 words differ, are replaced as a whole.
    """
    old, new = _PIECE.findall(before), _PIECE.findall(after)
    head = _common(old, new)
    tail = _common(old[head:][::-1], new[head:][::-1])
    aligned = _aligned(old[head : len(old) - tail], new[head : len(new) - tail])
    whole = [*_all("same", old[:head]), *aligned, *_all("same", old[len(old) - tail :])]
    shared = sum(kind == "same" and _is_word(piece) for kind, piece in whole)
    if shared < _LEAST_SHARED * max(sum(map(_is_word, old)), sum(map(_is_word, new))):
        return _joined([("removed", before), ("added", after)])
    return _joined(_without_islands(_joined(whole)))


def as_html(segments: Sequence[Segment]) -> str:
    """Return segments as HTML with `<del>` and `<ins>`; everything in them is escaped."""
    tags = {"same": "{}", "removed": "<del>{}</del>", "added": "<ins>{}</ins>"}
    return "".join(tags[kind].format(shown(text)) for kind, text in segments)


def shown(text: str) -> str:
    """Return text of a model or a file as HTML: escaped, and control characters as the pictures that Unicode has of them."""
    return escape(_CONTROL.sub(lambda found: chr(0x2400 + ord(found[0])), text))


def _common(old: Sequence[str], new: Sequence[str]) -> int:
    """Return how many pieces both begin with."""
    return next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))


def _aligned(old: Sequence[str], new: Sequence[str]) -> list[tuple[Kind, str]]:
    """Return the pieces of both along a longest common subsequence.

    `table[j]` has a 0 at bit i where old[: i + 1] has one piece more in common with new[:j] than old[:i] has.
    """
    if not old or not new or len(old) * len(new) > _MOST_CELLS:
        return _all("removed", old) + _all("added", new)
    places: dict[str, int] = {}
    for i, piece in enumerate(old):
        places[piece] = places.get(piece, 0) | 1 << i
    full = (1 << len(old)) - 1
    table = [full]
    for piece in new:
        last = table[-1]
        hit = last & places.get(piece, 0)
        table.append(((last + hit) | (last - hit)) & full)
    found: list[tuple[Kind, str]] = []
    i, j = len(old), len(new)
    while i and j:
        bit = i - 1
        if table[j] >> bit & 1:
            i -= 1
            found.append(("removed", old[i]))
        elif not table[j - 1] >> bit & 1:
            j -= 1
            found.append(("added", new[j]))
        else:
            i, j = i - 1, j - 1
            found.append(("same", old[i]))
    return _all("removed", old[:i]) + _all("added", new[:j]) + found[::-1]


def _is_word(piece: str) -> bool:
    return piece[0].isalnum() or _WORD.search(piece) is not None


def _all(kind: Kind, pieces: Sequence[str]) -> list[tuple[Kind, str]]:
    return [(kind, piece) for piece in pieces]


def _without_islands(segments: Sequence[Segment]) -> list[tuple[Kind, str]]:
    """Give what has no word in it, such as a space between two changed words, to the changes on both sides of it."""
    found: list[tuple[Kind, str]] = []
    for place, (kind, text) in enumerate(segments):
        inside = 0 < place < len(segments) - 1
        if kind == "same" and inside and not _WORD.search(text):
            found += [("removed", text), ("added", text)]
        else:
            found.append((kind, text))
    return found


def _joined(pieces: Sequence[tuple[Kind, str]]) -> list[Segment]:
    """Return one segment for each stretch of a kind; between two stretches that are the same, removed comes before added."""
    found: list[Segment] = []
    waiting: dict[Kind, list[str]] = {"same": [], "removed": [], "added": []}

    def flush(*kinds: Kind) -> None:
        for kind in kinds:
            text = "".join(waiting[kind])
            waiting[kind].clear()
            if text:
                found.append(Segment(kind, text))

    for kind, text in pieces:
        flush(*(("removed", "added") if kind == "same" else ("same",)))
        waiting[kind].append(text)
    flush("same", "removed", "added")
    return found
