"""An X-ray for the terminal: colours, or brackets where there are none."""

from collections.abc import Sequence
from itertools import groupby

from core.render.xray import Kind, Side, XRay

_COLOURS: dict[Kind, str] = {"learnt": "\033[32;4m", "control": "\033[35m", "cut": "\033[31;9m", "context": ""}
_SIDES: dict[Side, str] = {"same": "", "removed": "\033[31;9m", "added": "\033[32;1m"}
_BRACKETS: dict[Kind, tuple[str, str]] = {
    "learnt": ("⟦", "⟧"),
    "cut": ("⟪", "⟫"),
    "control": ("", ""),
    "context": ("", ""),
}
_MARKS: dict[Side, tuple[str, str]] = {"same": ("", ""), "removed": ("[-", "-]"), "added": ("{+", "+}")}  # as wdiff
# What a terminal would obey, shown instead: control characters, and marks that turn the direction of writing.
_VISIBLE = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"} | dict.fromkeys(
    [*range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)], 0xFFFD
)


def as_text(xray: XRay, colour: bool = True) -> str:
    """Return the text of an X-ray: learnt green and underlined, control tokens violet, what is cut off struck through.

    Without colour what is learnt stands in ⟦ ⟧ and what is cut off in ⟪ ⟫.
    """
    if colour:
        return "".join(_painted(text, _COLOURS[kind]) for text, kind in xray.segments)
    return "".join(f"{_BRACKETS[kind][0]}{_harmless(text)}{_BRACKETS[kind][1]}" for text, kind in xray.segments)


def difference_as_text(changes: Sequence[tuple[str, Kind, Side]], colour: bool = True) -> str:
    """Return what `core.render.xray.difference` found: removed red and struck through, added green; or [- -] and {+ +}."""
    if colour:
        return "".join(_painted(text, _SIDES[side] or _COLOURS[kind]) for text, kind, side in changes)
    sides = [
        (side, "".join(text for text, _, _ in group)) for side, group in groupby(changes, key=lambda each: each[2])
    ]
    return "".join(f"{_MARKS[side][0]}{_harmless(text)}{_MARKS[side][1]}" for side, text in sides)


def _painted(text: str, style: str) -> str:
    """Return the text in a style that ends with each line, as pagers want it."""
    plain = _harmless(text)
    return "\n".join(f"{style}{line}\033[0m" if line else "" for line in plain.split("\n")) if style else plain


def _harmless(text: str) -> str:
    return text.translate(_VISIBLE)
